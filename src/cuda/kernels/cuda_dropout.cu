/* cuda_dropout.cu: dropout between two layers. A thread uses the four numbers that the generator makes at once. */
#include "core/dropout.h"
#include "cuda_launch.cuh"
#include "cuda_math_types.cuh"
#include "cuda_ragged.cuh"

namespace {

constexpr int DROPOUT_THREADS = 256;
constexpr int64_t MAX_BLOCKS = 2048; /* fills any device; a thread continues with further numbers */

/* Finds the step of the sequence that a row of a ragged batch is. Each row must lie behind the one before. */
class RowFinder {
    BatchSizes at;

  public:
    int64_t t = 0, n = 0;

    GRU_DEVICE explicit RowFinder(int64_t sequences) : at(sequences) {}

    GRU_DEVICE void find(const gru_cuda_dropout &args, int64_t row) {
        if (args.ragged.offsets)
            find_by_offsets(args, row);
        else
            find_by_batch_sizes(args, row);
    }

  private:
    /* n: the last sequence that begins at the row or before it. */
    GRU_DEVICE void find_by_offsets(const gru_cuda_dropout &args, int64_t row) {
        int64_t end = args.N;
        for (n = 0; n < end;) {
            const int64_t middle = (n + end) / 2;
            if (args.ragged.offsets[middle + 1] <= row)
                n = middle + 1;
            else
                end = middle;
        }
        t = row - args.ragged.offsets[n];
    }

    /* Wrong batch sizes and orders may give a row another's numbers, no more. */
    GRU_DEVICE void find_by_batch_sizes(const gru_cuda_dropout &args, int64_t row) {
        for (; at.t < args.T; at.advance()) {
            BatchSizes there = at;
            there.read(args.ragged);
            if (row < at.begin + there.size) break;
            at = there;
        }
        t = at.t, n = row - at.begin;
        if (args.ragged.batch_order && n < args.N) n = args.ragged.batch_order[n];
    }
};

/* The numbers 4 quad .. 4 quad + 3 of step t of sequence n, whose row begins at number `row`. */
GRU_DEVICE void drop_quad(const gru_cuda_dropout &args, const uint64_t *seed, int64_t t, int64_t n,
                          int64_t row, int64_t quad) {
    const gru_philox_words numbers = gru_dropout_numbers(seed, args.layer, t, n, quad);
    const int64_t first = row + quad * 4;
    GRU_UNROLL
    for (int lane = 0; lane < 4; lane++) {
        if (quad * 4 + lane >= args.row) break;
        const float value = load_number(args.data.data, args.type, first + lane);
        store_number(args.data.data, args.type, first + lane,
                     numbers.word[lane] < args.limit ? 0.0f : value * args.scale);
    }
}

GRU_EVERYWHERE int64_t rows_of(const gru_cuda_dropout &args) {
    return args.ragged.offsets || args.ragged.batch_sizes ? args.ragged.rows : args.T * args.N;
}

__global__ void __launch_bounds__(DROPOUT_THREADS, 1)
    dropout_kernel(const __grid_constant__ gru_cuda_dropout args) {
    const bool ragged = args.ragged.offsets || args.ragged.batch_sizes;
    const int64_t quads = (args.row + 3) / 4, count = rows_of(args) * quads;
    const uint64_t seed[2] = {args.seed[0], args.seed[1]};
    RowFinder finder(args.N);
    for (int64_t i = int64_t(blockIdx.x) * DROPOUT_THREADS + threadIdx.x; i < count;
         i += int64_t(gridDim.x) * DROPOUT_THREADS) {
        const int64_t row = i / quads, quad = i % quads;
        if (ragged) {
            finder.find(args, row);
            drop_quad(args, seed, finder.t, finder.n, row * args.data.time_stride, quad);
        } else {
            const int64_t t = row / args.N, n = row % args.N;
            drop_quad(args, seed, t, n, t * args.data.time_stride + n * args.data.batch_stride, quad);
        }
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_dropout(const gru_cuda_dropout *args, cudaStream_t stream) {
    const int64_t blocks = (rows_of(*args) * ((args->row + 3) / 4) + DROPOUT_THREADS - 1) / DROPOUT_THREADS;
    if (blocks == 0) return cudaSuccess;
    Launch launch;
    launch.grid = dim3(unsigned(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS));
    launch.block = dim3(DROPOUT_THREADS);
    return start(dropout_kernel, launch, *args, stream);
}

extern "C" cudaError_t gru_cuda_load_dropout(void) {
    return load(dropout_kernel, 0);
}
