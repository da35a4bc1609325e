/* cuda_checksum.cu: stores a sum over the packed weights in the head of a training run's reserve, and compares it in backward
 * (GRU_CHECK_WEIGHTS). Single block: this is a debug check, its speed does not matter. */
#include "cuda_launch.cuh"
#include "cuda_device_error.cuh"

namespace {

constexpr int SUM_THREADS = 1024;

__global__ void __launch_bounds__(SUM_THREADS, 1)
    weight_checksum_kernel(const __grid_constant__ gru_cuda_weight_checksum args) {
    GRU_SHARED(uint64_t, sums, [SUM_THREADS]);
    uint64_t sum = 0;
    for (int64_t i = threadIdx.x; i < args.count; i += SUM_THREADS)
        sum += gru_checksum_term(args.words[i], uint64_t(i));
    sums[threadIdx.x] = sum;
    for (int half = SUM_THREADS / 2; half > 0; half /= 2) {
        GRU_FAULT_POINT(sums_stored) __syncthreads();
        if (int(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x != 0) return;
    gru_reserve_header header = args.header;
    header.weights = gru_checksum_finish(sums[0]);
    const gru_reserve_header &saved = *args.reserve;
    if (!args.compare)
        *args.reserve = header;
    else if (saved.magic != header.magic || saved.T != header.T || saved.N != header.N)
        record_error(args.device_error, GRU_CUDA_BAD_RESERVE, 0, 0, 0);
    else if (gru_checksums_differ(saved.weights, saved.backend, header.weights, header.backend))
        record_error(args.device_error, GRU_CUDA_OTHER_WEIGHTS, 0, 0, 0);
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_weight_checksum(const gru_cuda_weight_checksum *args,
                                                       cudaStream_t stream) {
    Launch launch;
    launch.grid = dim3(1);
    launch.block = dim3(SUM_THREADS);
    return start(weight_checksum_kernel, launch, *args, stream);
}

extern "C" cudaError_t gru_cuda_load_weight_checksum(void) {
    return load(weight_checksum_kernel, 0);
}
