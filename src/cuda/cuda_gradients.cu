/* cuda_gradients.cu: what lies between the sweep and the GEMMs of the backward pass: rows for them, and their sums to where
 * the caller wants gradients. */
#include "cuda_launch.cuh"
#include "cuda_number.cuh"
#include "cuda_sweep.h"

extern "C" cudaError_t gru_cuda_launch_state_rows(gru_cuda_math, const gru_cuda_state_rows *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_reset_rows(gru_cuda_math, const gru_cuda_reset_rows *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_attention_sums(const gru_cuda_attention_sums *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_scatter(const gru_cuda_scatter *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_weight_sums(const gru_cuda_weight_sums *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_bias_sums(gru_cuda_math, const gru_cuda_bias_sums *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_launch_turn(const gru_cuda_turn *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_load_gradients(gru_cuda_math) {
    return cudaErrorNotSupported;
}
