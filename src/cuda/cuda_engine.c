/* cuda_engine.c: the CUDA engines: what each can run, and how it launches a step. */
#include "cuda_engine.h"

#include "cuda/run/cuda_backward.h"
#include "cuda/run/cuda_forward.h"
#include "cuda/run/cuda_plan.h"
#include "cuda/run/cuda_streaming.h"

static const gru_engine_pass passes[GRU_PASSES] = {
    [GRU_PASS_FORWARD] = {gru_cuda_forward_bytes, gru_cuda_plan_call, gru_cuda_forward},
    [GRU_PASS_BACKWARD] = {gru_cuda_backward_bytes, gru_cuda_plan_call, gru_cuda_backward},
};

/* ---- cuda_stepwise: every variant and size; bits that depend neither on the batch nor on its tiles ---- */

/* Reset BEFORE: the gates wait for what came before the step, and the candidate for the gates. */
static cudaError_t stepwise_forward(const gru_cuda_launch_context *launch, const gru_cuda_step_args *step) {
    const gru_cuda_block_tile tile = launch->choice.tile;
    if (step->sequence[0].reset_mode != GRU_RESET_BEFORE)
        return gru_cuda_launch_step(launch->compute_type, GRU_CUDA_ALL_GATES, tile, step, launch->stream);
    gru_cuda_step_args gates = *step, candidate = *step;
    gates.trigger = candidate.depends = launch->overlap;
    const cudaError_t error =
        gru_cuda_launch_step(launch->compute_type, GRU_CUDA_RESET_UPDATE, tile, &gates, launch->stream);
    if (error != cudaSuccess) return error;
    return gru_cuda_launch_step(launch->compute_type, GRU_CUDA_CANDIDATE, tile, &candidate, launch->stream);
}

/* Reset BEFORE: the reset gate waits for the candidate. After step 0 there is no gate. */
static cudaError_t stepwise_backward(const gru_cuda_launch_context *launch,
                                     const gru_cuda_backward_step_args *step) {
    const gru_cuda_block_tile tile = launch->choice.tile;
    if (step->sequence[0].forward.reset_mode != GRU_RESET_BEFORE)
        return gru_cuda_launch_backward_step(launch->compute_type, GRU_CUDA_ALL_GATES, tile, step,
                                             launch->stream);
    if (step->s < 0)
        return gru_cuda_launch_backward_step(launch->compute_type, GRU_CUDA_UPDATE_CANDIDATE, tile, step,
                                             launch->stream);
    gru_cuda_backward_step_args candidate = *step, gates = *step;
    candidate.trigger = gates.depends = launch->overlap;
    const cudaError_t error = gru_cuda_launch_backward_step(launch->compute_type, GRU_CUDA_UPDATE_CANDIDATE,
                                                            tile, &candidate, launch->stream);
    if (error != cudaSuccess) return error;
    return gru_cuda_launch_backward_step(launch->compute_type, GRU_CUDA_RESET_GATE, tile, &gates,
                                         launch->stream);
}

static const gru_cuda_step_launcher stepwise = {
    .choose = {gru_cuda_choose_step, gru_cuda_choose_backward_step},
    .forward = stepwise_forward,
    .backward = stepwise_backward,
};

const gru_engine gru_engine_cuda_stepwise = {
    .name = "cuda_stepwise",
    .backend = &gru_backend_cuda,
    .impl = &stepwise,
    .any_size = 1,
    .passes = passes,
};

/* ---- cuda_large_batch: large batches; sums in another order ---- */

static const char *large_declines(const gru_engine *self, const gru_context *context,
                                  const gru_layer_config *config) {
    (void)self;
    if (config->reset_mode == GRU_RESET_BEFORE)
        return "reset BEFORE has two products that wait for each other";
    if (gru_cuda_device_of(context)->invariant)
        return "its sums depend on the size of the batch, and the context asks for GRU_BATCH_INVARIANT";
    return NULL;
}

static cudaError_t large_forward(const gru_cuda_launch_context *launch, const gru_cuda_step_args *step) {
    return gru_cuda_launch_step_large(launch->compute_type, launch->choice.tile, step, launch->stream);
}

static cudaError_t large_backward(const gru_cuda_launch_context *launch,
                                  const gru_cuda_backward_step_args *step) {
    return gru_cuda_launch_backward_step_large(launch->compute_type, launch->choice.tile, step,
                                               launch->stream);
}

static const gru_cuda_step_launcher large = {
    .choose = {gru_cuda_choose_step_large, gru_cuda_choose_backward_step_large},
    .forward = large_forward,
    .backward = large_backward,
    .baseline = &stepwise,
    .no_room = "this device has no room for its tiles",
    .slower = "smaller tiles should be faster at this size",
};

const gru_engine gru_engine_cuda_large_batch = {
    .name = "cuda_large_batch",
    .backend = &gru_backend_cuda,
    .impl = &large,
    .passes = passes,
    .declines = large_declines,
};

/* ---- cuda_fused_before: reset BEFORE in one launch a step; the bits of cuda_stepwise ---- */

static const char *fused_declines(const gru_engine *self, const gru_context *context,
                                  const gru_layer_config *config) {
    (void)self, (void)context;
    return config->reset_mode == GRU_RESET_BEFORE ? NULL
                                                  : "only reset BEFORE has r h to hand on inside a step";
}

static cudaError_t fused_forward(const gru_cuda_launch_context *launch, const gru_cuda_step_args *step) {
    return gru_cuda_launch_step_fused(launch->compute_type, launch->choice.cluster, launch->fused_blocks,
                                      step, launch->stream);
}

/* After step 0 nothing is left to exchange. */
static cudaError_t fused_backward(const gru_cuda_launch_context *launch,
                                  const gru_cuda_backward_step_args *step) {
    if (step->s < 0) return stepwise_backward(launch, step);
    return gru_cuda_launch_backward_step_fused(launch->compute_type, launch->choice.cluster,
                                               launch->fused_blocks, step, launch->stream);
}

static const gru_cuda_step_launcher fused = {
    .choose = {gru_cuda_choose_step_fused, gru_cuda_choose_backward_step_fused},
    .forward = fused_forward,
    .backward = fused_backward,
    .baseline = &stepwise,
    .no_room = "more sequences than this device can hold blocks for at once",
    .slower = "two launches a step should be faster at this size",
};

const gru_engine gru_engine_cuda_fused_before = {
    .name = "cuda_fused_before",
    .backend = &gru_backend_cuda,
    .impl = &fused,
    .passes = passes,
    .declines = fused_declines,
};

/* ---- cuda_streaming: calls of one step in one launch; sums in another order ---- */

static const char *streaming_declines(const gru_engine *self, const gru_context *context,
                                      const gru_layer_config *config) {
    (void)self;
    return gru_cuda_declines_streaming(gru_cuda_device_of(context), config);
}

/* It needs no workspace, but a layer of several engines asks for the largest in any case. */
static const gru_engine_pass streaming_passes[GRU_PASSES] = {
    [GRU_PASS_FORWARD] = {gru_cuda_forward_bytes, gru_cuda_plan_streaming, gru_cuda_run_streaming},
};

const gru_engine gru_engine_cuda_streaming = {
    .name = "cuda_streaming",
    .backend = &gru_backend_cuda,
    .passes = streaming_passes,
    .declines = streaming_declines,
};
