/* cuda_device_error.cuh: how a kernel records bad data in device memory for gru_context_check. */
#ifndef GRU_CUDA_DEVICE_ERROR_CUH
#define GRU_CUDA_DEVICE_ERROR_CUH

#include "cuda_ptx.cuh"
#include "cuda_kernels.h"

namespace {

GRU_DEVICE void record_error(gru_cuda_device_error *error, uint32_t kind, int row, int64_t value,
                             int64_t limit) {
    if (atomicCAS(&error->taken, 0u, 1u) != 0u) return; /* another thread was first */
    error->row = row;
    error->value = value;
    error->limit = limit;
    __threadfence(); /* whoever reads kind reads the other fields too */
    error->kind = kind;
}

} // namespace
#endif
