/* cuda_engine.c: the CUDA engines: what each can run, and how it launches a step. */
#include "cuda_engine.h"

#include <math.h>

#include "cuda/run/cuda_backward.h"
#include "cuda/run/cuda_forward.h"

/* ---- what all of them need ---- */

/* A context that names one engine gets it for every size that it can run. */
static int engine_is_forced(const gru_layer *layer) {
    return layer->context->config.engine != NULL;
}

static const gru_cuda_device *device_of(const gru_layer *layer) {
    return gru_cuda_device_of(layer->context);
}

/* ---- cuda_stepwise: every variant and size; bits that depend neither on the batch nor on its tiles ---- */

static gru_cuda_plan stepwise_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_step(device_of(layer), size);
}

/* Reset BEFORE: the gates wait for what came before the step, and the candidate for the gates. */
static cudaError_t stepwise_launch(const gru_cuda_launch_context *steps, const gru_cuda_step_args *step) {
    const gru_cuda_block_tile tile = steps->plan.tile;
    if (step->sequence[0].reset_mode != GRU_RESET_BEFORE)
        return gru_cuda_launch_step(steps->compute_type, GRU_CUDA_ALL_GATES, tile, step, steps->stream);
    gru_cuda_step_args gates = *step, candidate = *step;
    gates.trigger = candidate.depends = steps->overlap;
    const cudaError_t error =
        gru_cuda_launch_step(steps->compute_type, GRU_CUDA_RESET_UPDATE, tile, &gates, steps->stream);
    if (error != cudaSuccess) return error;
    return gru_cuda_launch_step(steps->compute_type, GRU_CUDA_CANDIDATE, tile, &candidate, steps->stream);
}

/* ---- cuda_large_batch: large batches; sums in another order ---- */

static const char *large_batch_declines(const gru_context *context, const gru_layer_config *config) {
    if (config->reset_mode == GRU_RESET_BEFORE)
        return "reset BEFORE has two products that wait for each other";
    if (gru_cuda_device_of(context)->invariant)
        return "its sums depend on the size of the batch, and the context asks for GRU_BATCH_INVARIANT";
    return NULL;
}

static gru_cuda_plan large_batch_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_step_large(device_of(layer), size, &gru_cuda_layer_of(layer)->occupancy);
}

static const char *large_batch_declines_run(const gru_layer *layer, const gru_run *run) {
    const gru_cuda_size size = gru_cuda_size_of(layer, run, 1);
    const double seconds = large_batch_plan(layer, &size).seconds;
    if (seconds == HUGE_VAL) return "this device has no room for its tiles";
    if (engine_is_forced(layer) || seconds < stepwise_plan(layer, &size).seconds) return NULL;
    return "smaller tiles should be faster at this size";
}

static cudaError_t large_batch_launch(const gru_cuda_launch_context *steps, const gru_cuda_step_args *step) {
    return gru_cuda_launch_step_large(steps->compute_type, steps->plan.tile, step, steps->stream);
}

/* ---- cuda_fused_before: reset BEFORE in one launch a step; the bits of cuda_stepwise ---- */

static const char *fused_before_declines(const gru_context *context, const gru_layer_config *config) {
    (void)context;
    return config->reset_mode == GRU_RESET_BEFORE ? NULL
                                                  : "only reset BEFORE has r h to hand on inside a step";
}

static gru_cuda_plan fused_before_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_step_fused(device_of(layer), size, &gru_cuda_layer_of(layer)->occupancy);
}

static const char *fused_before_declines_run(const gru_layer *layer, const gru_run *run) {
    const gru_cuda_size size = gru_cuda_size_of(layer, run, 1);
    const double seconds = fused_before_plan(layer, &size).seconds;
    if (seconds == HUGE_VAL) return "more sequences than this device can hold blocks for at once";
    if (engine_is_forced(layer) || seconds < stepwise_plan(layer, &size).seconds) return NULL;
    return "two launches a step should be faster at this size";
}

static cudaError_t fused_before_launch(const gru_cuda_launch_context *steps, const gru_cuda_step_args *step) {
    return gru_cuda_launch_step_fused(steps->compute_type, steps->plan.cluster, steps->fused_blocks, step,
                                      steps->stream);
}

/* ---- the structs ---- */

#define ENGINE(engine, declines_variants, declines_sizes)                               \
    static gru_status engine##_forward(const gru_job *jobs, int32_t count) {            \
        static const gru_cuda_step_launcher stepper = {engine##_plan, engine##_launch}; \
        return gru_cuda_forward(&stepper, jobs, count);                                 \
    }                                                                                   \
    const gru_engine gru_engine_cuda_##engine = {                                       \
        .name = "cuda_" #engine,                                                        \
        .backend = &gru_backend_cuda,                                                   \
        .declines = declines_variants,                                                  \
        .declines_run = declines_sizes,                                                 \
        .workspace = gru_cuda_forward_workspace,                                        \
        .forward = engine##_forward,                                                    \
        .backward_workspace = gru_cuda_backward_workspace_bytes,                        \
        .backward = gru_cuda_backward,                                                  \
    };

ENGINE(stepwise, NULL, NULL)
ENGINE(large_batch, large_batch_declines, large_batch_declines_run)
ENGINE(fused_before, fused_before_declines, fused_before_declines_run)
