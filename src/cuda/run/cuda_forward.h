/* cuda_forward.h: the forward pass of all CUDA engines. */
#ifndef GRU_CUDA_FORWARD_H
#define GRU_CUDA_FORWARD_H

#include "core/engine.h"
#include "cuda_cost_model.h"

/* What the launches of a call's steps have in common. */
typedef struct gru_cuda_launch_context {
    gru_cuda_compute_type compute_type;
    gru_cuda_plan plan;
    int32_t fused_blocks;
    int overlap; /* this device starts dependent launches early */
    cudaStream_t stream;
} gru_cuda_launch_context;

/* One engine's way to run a step. */
typedef struct gru_cuda_step_launcher {
    gru_cuda_plan (*plan)(const gru_layer *layer, const gru_cuda_size *size);
    cudaError_t (*launch)(const gru_cuda_launch_context *steps, const gru_cuda_step_args *step);
} gru_cuda_step_launcher;

/* Two jobs of equal sizes, the directions of a layer, go through the same launches. */
gru_status gru_cuda_forward(const gru_cuda_step_launcher *stepper, const gru_job *jobs, int32_t count);
size_t gru_cuda_forward_workspace(const gru_layer *layer, int64_t T, int64_t N);

gru_cuda_size gru_cuda_size_of(const gru_layer *layer, const gru_run *run, int32_t directions);

#endif
