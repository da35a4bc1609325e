/* cuda_streaming.h: calls of one step in one launch. */
#ifndef GRU_CUDA_STREAMING_H
#define GRU_CUDA_STREAMING_H

#include "core/engine.h"

/* gru_engine_pass.plan and .run */
const char *gru_cuda_plan_streaming(const gru_job *jobs, gru_plan *plan);
gru_status gru_cuda_run_streaming(const gru_job *jobs, const gru_plan *plan);

#endif
