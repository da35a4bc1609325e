/* cuda_engine.c: the CUDA engines: what each can run, and how it launches a step. */
#include "cuda_engine.h"

#include <math.h>

#include "cuda/run/cuda_backward.h"
#include "cuda/run/cuda_forward.h"

/* ---- what all of them need ---- */

/* A context that names one engine gets it for every size that it can run. */
static int insisted(const gru_layer *layer) {
    return layer->context->config.engine != NULL;
}

static const gru_cuda_machine *machine_of(const gru_layer *layer) {
    return gru_cuda_machine_of(layer->context);
}

/* ---- cuda_stepwise: every variant and size; bits that depend neither on the batch nor on its tiles ---- */

static gru_cuda_plan stepwise_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_stepwise(machine_of(layer), size);
}

/* Reset BEFORE: the gates wait for what came before the step, and the candidate for the gates. */
static cudaError_t stepwise_launch(const gru_cuda_steps *steps, const gru_cuda_step *step) {
    const gru_cuda_tile tile = steps->plan.tile;
    if (step->sequence[0].reset_mode != GRU_RESET_BEFORE)
        return gru_cuda_launch_stepwise(steps->math, GRU_CUDA_WHOLE, tile, step, steps->stream);
    gru_cuda_step gates = *step, candidate = *step;
    gates.trigger = candidate.depends = steps->overlap;
    const cudaError_t error =
        gru_cuda_launch_stepwise(steps->math, GRU_CUDA_GATES, tile, &gates, steps->stream);
    if (error != cudaSuccess) return error;
    return gru_cuda_launch_stepwise(steps->math, GRU_CUDA_CANDIDATE, tile, &candidate, steps->stream);
}

/* ---- cuda_stepwise_tile: large batches; sums in another order ---- */

static const char *tile_declines(const gru_context *context, const gru_layer_config *config) {
    if (config->reset_mode == GRU_RESET_BEFORE)
        return "reset BEFORE has two products that wait for each other";
    if (gru_cuda_machine_of(context)->invariant)
        return "its sums depend on the size of the batch, and the context asks for GRU_BATCH_INVARIANT";
    return NULL;
}

static gru_cuda_plan tile_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_tile(machine_of(layer), size, &gru_cuda_layer_of(layer)->room);
}

static const char *tile_declines_run(const gru_layer *layer, const gru_run *run) {
    const gru_cuda_size size = gru_cuda_size_of(layer, run, 1);
    const double seconds = tile_plan(layer, &size).seconds;
    if (seconds == HUGE_VAL) return "this device has no room for its tiles";
    if (insisted(layer) || seconds < stepwise_plan(layer, &size).seconds) return NULL;
    return "smaller tiles should be faster at this size";
}

static cudaError_t tile_launch(const gru_cuda_steps *steps, const gru_cuda_step *step) {
    return gru_cuda_launch_tile(steps->math, steps->plan.tile, step, steps->stream);
}

/* ---- cuda_fused_before: reset BEFORE in one launch a step; the bits of cuda_stepwise ---- */

static const char *hop_declines(const gru_context *context, const gru_layer_config *config) {
    (void)context;
    return config->reset_mode == GRU_RESET_BEFORE ? NULL
                                                  : "only reset BEFORE has r h to hand on inside a step";
}

static gru_cuda_plan hop_plan(const gru_layer *layer, const gru_cuda_size *size) {
    return gru_cuda_plan_hop(machine_of(layer), size, &gru_cuda_layer_of(layer)->room);
}

static const char *hop_declines_run(const gru_layer *layer, const gru_run *run) {
    const gru_cuda_size size = gru_cuda_size_of(layer, run, 1);
    const double seconds = hop_plan(layer, &size).seconds;
    if (seconds == HUGE_VAL) return "more sequences than this device can hold blocks for at once";
    if (insisted(layer) || seconds < stepwise_plan(layer, &size).seconds) return NULL;
    return "two launches a step should be faster at this size";
}

static cudaError_t hop_launch(const gru_cuda_steps *steps, const gru_cuda_step *step) {
    return gru_cuda_launch_hop(steps->math, steps->plan.cluster, steps->hop_blocks, step, steps->stream);
}

/* ---- the structs ---- */

#define ENGINE(engine, declines_variants, declines_sizes)                         \
    static gru_status engine##_forward(const gru_job *jobs, int32_t count) {      \
        static const gru_cuda_stepper stepper = {engine##_plan, engine##_launch}; \
        return gru_cuda_forward(&stepper, jobs, count);                           \
    }                                                                             \
    const gru_engine gru_engine_cuda_##engine = {                                 \
        .name = "cuda_" #engine,                                                  \
        .backend = &gru_backend_cuda,                                             \
        .declines = declines_variants,                                            \
        .declines_run = declines_sizes,                                           \
        .workspace = gru_cuda_forward_workspace,                                  \
        .forward = engine##_forward,                                              \
        .backward_workspace = gru_cuda_backward_workspace_bytes,                  \
        .backward = gru_cuda_backward,                                            \
    };

ENGINE(stepwise, NULL, NULL)
ENGINE(tile, tile_declines, tile_declines_run)
ENGINE(hop, hop_declines, hop_declines_run)
