/* cuda_sweep.cu: one step of the sweep in one launch, from the last step of a layer to its first. */
#include "cuda_launch.cuh"
#include "cuda_number.cuh"
#include "cuda_sweep.h"

extern "C" cudaError_t gru_cuda_launch_sweep(gru_cuda_math, gru_cuda_part, gru_cuda_tile,
                                             const gru_cuda_sweep_step *, cudaStream_t) {
    return cudaErrorNotSupported;
}

extern "C" int32_t gru_cuda_sweep_tiles(gru_cuda_math, gru_cuda_part, gru_cuda_tile *) {
    return 0;
}

extern "C" cudaError_t gru_cuda_load_sweep(gru_cuda_math, int32_t) {
    return cudaErrorNotSupported;
}
