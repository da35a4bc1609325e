/* cuda_forward.h: the forward pass of all CUDA engines. */
#ifndef GRU_CUDA_FORWARD_H
#define GRU_CUDA_FORWARD_H

#include "core/engine.h"

/* gru_engine_pass.run and .workspace, of plans made by gru_cuda_plan_call. */
gru_status gru_cuda_forward(const gru_job *jobs, const gru_plan *plan);
size_t gru_cuda_forward_bytes(const gru_layer *layer, int64_t T, int64_t N);

#endif
