/* cuda_gemm_report.h: says what a layer lacks because cuBLASLt has no algorithm for it. */
#ifndef GRU_CUDA_GEMM_REPORT_H
#define GRU_CUDA_GEMM_REPORT_H

#include "core/layer.h"

/* gru_backend.report */
void gru_cuda_report(const gru_layer *layer, char *text, size_t bytes);

#endif
