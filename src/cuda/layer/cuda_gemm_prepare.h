/* cuda_gemm_prepare.h: creates a GEMM: finds its algorithms and runs each once. */
#ifndef GRU_CUDA_GEMM_PREPARE_H
#define GRU_CUDA_GEMM_PREPARE_H

#include "cuda_gemm_describe.h"

/* Chooses an algorithm for every bucket of row counts up to a whole chunk, and runs each once, so that no run has to load
 * anything. fixed_rows: of every product over rows, or 0: any number. Call it between gru_cuda_enter and gru_cuda_leave.
 * A GEMM without buckets cannot run: cuBLASLt has no algorithm for a single row, or for the fixed rows. Release takes NULL too. */
gru_status gru_cuda_gemm_create(gru_layer *layer, const gru_cuda_gemm_shape *shape, int32_t fixed_rows,
                                gru_cuda_gemm **gemm);
void gru_cuda_gemm_release(gru_layer *layer, gru_cuda_gemm *gemm);

#endif
