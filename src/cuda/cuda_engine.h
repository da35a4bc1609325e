/* cuda_engine.h: the CUDA backend and its engines. */
#ifndef GRU_CUDA_ENGINE_H
#define GRU_CUDA_ENGINE_H

#include "core/engine.h"

extern const gru_backend gru_backend_cuda;
extern const gru_engine gru_engine_cuda_streaming;    /* calls of one step of few sequences in one launch */
extern const gru_engine gru_engine_cuda_stepwise;     /* any layer, any size */
extern const gru_engine gru_engine_cuda_large_batch;  /* large batches, reset AFTER and ALL */
extern const gru_engine gru_engine_cuda_fused_before; /* reset BEFORE in one launch a step */

#endif
