/* cuda_backward.h: the backward pass of all CUDA engines, whichever ran forward. */
#ifndef GRU_CUDA_BACKWARD_H
#define GRU_CUDA_BACKWARD_H

#include "cuda_arguments.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "cuda_workspace.h"

/* gru_engine_pass.run and .workspace, of plans made by gru_cuda_plan_call. */
gru_status gru_cuda_backward(const gru_job *jobs, const gru_plan *plan);
size_t gru_cuda_backward_bytes(const gru_layer *layer, int64_t T, int64_t N);

/* ---- between cuda_backward.c and cuda_gradient_gemms.c ---- */

/* One direction's call: what the products of its gradients need. */
typedef struct gru_cuda_direction {
    const gru_job *job;
    gru_cuda_device *device;
    cudaStream_t stream;
    const gru_cuda_backward_workspace *workspace; /* of the plan */
    const void *gathered; /* where rows of x are copied to; NULL: x is read as it is, or there is none */
    int64_t planes, units, pitch; /* of a row of gate gradients: planes x units; of x */
} gru_cuda_direction;

/* Where row `row` begins of [rows][numbers] of the compute type. */
void *gru_cuda_row(const gru_cuda_direction *dir, size_t offset, int64_t row, int64_t numbers);

/* Steps s .. s + steps - 1 of a call, one chunk. */
typedef struct gru_cuda_chunk {
    int64_t s, steps, rows;
    int first; /* of the call: the chunk of the last steps */
} gru_cuda_chunk;

/* c = R h of the chunk, from its rows of states; and with reset BEFORE, when r h is there, that of n. */
gru_status gru_cuda_recur(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk);
gru_status gru_cuda_recur_reset(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk);
/* dx of the chunk, if wanted, when its gate gradients are there. */
gru_status gru_cuda_input_gradient(const gru_cuda_direction *dir, const gru_cuda_sequence *sequence,
                                   const gru_cuda_chunk *chunk);
/* The chunk's part of dW and dR, as far as they are wanted, from the gate gradients, rows of x and of states; and, after the
 * last chunk, their sums and those of biases into the caller's memory. */
gru_status gru_cuda_sum_gradients(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk);
gru_status gru_cuda_store_gradients(const gru_cuda_direction *dir);

#endif
