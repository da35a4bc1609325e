/* cuda_dropout.cu: dropout between two layers. A thread uses the four numbers that the generator makes at once. */
#include "core/dropout.h"
#include "cuda_launch.cuh"
#include "cuda_math_types.cuh"

namespace {

constexpr int DROPOUT_THREADS = 256;
constexpr int64_t MAX_BLOCKS = 2048; /* fills any device; a thread continues with further numbers */

__global__ void __launch_bounds__(DROPOUT_THREADS, 1)
    dropout_kernel(const __grid_constant__ gru_cuda_dropout args) {
    const int64_t quads = (args.row + 3) / 4, count = args.T * args.N * quads;
    const uint64_t seed[2] = {args.seed[0], args.seed[1]};
    for (int64_t i = int64_t(blockIdx.x) * DROPOUT_THREADS + threadIdx.x; i < count;
         i += int64_t(gridDim.x) * DROPOUT_THREADS) {
        const int64_t t = i / quads / args.N, n = i / quads % args.N, quad = i % quads;
        const gru_philox_words numbers = gru_dropout_numbers(seed, args.layer, t, n, quad);
        const int64_t first = t * args.data.time_stride + n * args.data.batch_stride + quad * 4;
        GRU_UNROLL
        for (int lane = 0; lane < 4; lane++) {
            if (quad * 4 + lane >= args.row) break;
            const float value = load_number(args.data.data, args.type, first + lane);
            store_number(args.data.data, args.type, first + lane,
                         numbers.word[lane] < args.limit ? 0.0f : value * args.scale);
        }
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_dropout(const gru_cuda_dropout *args, cudaStream_t stream) {
    const int64_t blocks =
        (args->T * args->N * ((args->row + 3) / 4) + DROPOUT_THREADS - 1) / DROPOUT_THREADS;
    if (blocks == 0) return cudaSuccess;
    Launch launch;
    launch.grid = dim3(unsigned(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS));
    launch.block = dim3(DROPOUT_THREADS);
    return start(dropout_kernel, launch, *args, stream);
}

extern "C" cudaError_t gru_cuda_load_dropout(void) {
    return load(dropout_kernel, 0);
}
