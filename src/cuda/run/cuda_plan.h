/* cuda_plan.h: how a call runs on CUDA: which launches a step takes, for how many directions at once, and where the workspace's
 * tensors lie. */
#ifndef GRU_CUDA_PLAN_H
#define GRU_CUDA_PLAN_H

#include "core/engine.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "cuda_cost_model.h"
#include "cuda_workspace.h"

/* What the launches of a call's steps have in common. */
typedef struct gru_cuda_launch_context {
    gru_cuda_compute_type compute_type;
    gru_cuda_choice choice;
    int32_t fused_blocks; /* at most, of a cooperative grid */
    int overlap;          /* this device starts dependent launches early */
    cudaStream_t stream;
} gru_cuda_launch_context;

/* An engine's way to run steps (gru_engine.impl). */
typedef struct gru_cuda_step_launcher {
    gru_cuda_chooser *choose[GRU_PASSES];
    cudaError_t (*forward)(const gru_cuda_launch_context *context, const gru_cuda_step_args *step);
    cudaError_t (*backward)(const gru_cuda_launch_context *context, const gru_cuda_backward_step_args *step);
    /* What runs the sizes that this one does not; NULL: this one runs all. And why it does not: this device cannot, or should
     * take longer. */
    const struct gru_cuda_step_launcher *baseline;
    const char *no_room, *slower;
} gru_cuda_step_launcher;

typedef struct gru_cuda_plan {
    const gru_cuda_step_launcher *launcher;
    gru_cuda_choice choice;
    union {
        gru_cuda_workspace forward;
        gru_cuda_backward_workspace backward;
    } layout[GRU_CUDA_DIRECTIONS]; /* of each job */
} gru_cuda_plan;

_Static_assert(sizeof(gru_cuda_plan) <= GRU_PLAN_BYTES, "a plan has room for CUDA's");

/* gru_engine_pass.plan of both passes. */
const char *gru_cuda_plan_call(const gru_job *jobs, gru_plan *plan);

static inline const gru_cuda_plan *gru_cuda_plan_of(const gru_plan *plan) {
    return (const gru_cuda_plan *)(const void *)plan->own;
}

gru_cuda_launch_context gru_cuda_launch_context_of(const gru_job *jobs, const gru_plan *plan);

#endif
