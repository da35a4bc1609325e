/* cuda_sweep_hop.cu: a step of the sweep with reset BEFORE in one launch: da of the candidate is published in the middle. */
#include "cuda_launch.cuh"
#include "cuda_number.cuh"
#include "cuda_sweep.h"

extern "C" cudaError_t gru_cuda_launch_sweep_hop(gru_cuda_math, int32_t, int32_t, const gru_cuda_sweep_step *,
                                                 cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" cudaError_t gru_cuda_load_sweep_hop(gru_cuda_math, gru_cuda_room *) {
    return cudaErrorNotSupported;
}
