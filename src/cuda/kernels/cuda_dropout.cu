/* cuda_dropout.cu: drops numbers of a tensor between two layers; a thread makes four numbers of the generator at once. */
#include "core/dropout.h"
#include "cuda_launch.cuh"
#include "cuda_math_types.cuh"

namespace {

constexpr int DROPOUT_THREADS = 256;
constexpr int64_t MAX_BLOCKS = 2048; /* enough to fill any device; each goes on to further numbers */

__global__ void __launch_bounds__(DROPOUT_THREADS, 1)
    dropout_kernel(const __grid_constant__ gru_cuda_dropout d) {
    const int64_t quads = (d.row + 3) / 4, count = d.T * d.N * quads;
    const uint64_t seed[2] = {d.seed[0], d.seed[1]};
    for (int64_t i = int64_t(blockIdx.x) * DROPOUT_THREADS + threadIdx.x; i < count;
         i += int64_t(gridDim.x) * DROPOUT_THREADS) {
        const int64_t t = i / quads / d.N, n = i / quads % d.N, quad = i % quads;
        const gru_philox_words numbers = gru_dropout_numbers(seed, d.layer, t, n, quad);
        const int64_t first = t * d.data.time_stride + n * d.data.batch_stride + quad * 4;
        GRU_UNROLL
        for (int lane = 0; lane < 4; lane++) {
            if (quad * 4 + lane >= d.row) break;
            const float value = load_number(d.data.data, d.type, first + lane);
            store_number(d.data.data, d.type, first + lane,
                         numbers.word[lane] < d.limit ? 0.0f : value * d.scale);
        }
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_dropout(const gru_cuda_dropout *d, cudaStream_t stream) {
    const int64_t blocks = (d->T * d->N * ((d->row + 3) / 4) + DROPOUT_THREADS - 1) / DROPOUT_THREADS;
    if (blocks == 0) return cudaSuccess;
    Launch launch;
    launch.grid = dim3(unsigned(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS));
    launch.block = dim3(DROPOUT_THREADS);
    return start(dropout_kernel, launch, *d, stream);
}

extern "C" cudaError_t gru_cuda_load_dropout(void) {
    return load(dropout_kernel, 0);
}
