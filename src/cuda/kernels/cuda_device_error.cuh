/* cuda_device_error.cuh: tells the host what a kernel found wrong in the device's memory: gru_context_check reads it. */
#ifndef GRU_CUDA_DEVICE_ERROR_CUH
#define GRU_CUDA_DEVICE_ERROR_CUH

#include "cuda_ptx.cuh"
#include "cuda_kernels.h"

namespace {

GRU_DEVICE void report(gru_cuda_device_error *to, uint32_t kind, int row, int32_t value, int64_t limit) {
    if (atomicCAS(&to->claimed, 0u, 1u) != 0u) return; /* only the first */
    to->row = row;
    to->value = value;
    to->limit = limit;
    __threadfence(); /* who sees the kind sees the rest */
    to->kind = kind;
}

} // namespace
#endif
