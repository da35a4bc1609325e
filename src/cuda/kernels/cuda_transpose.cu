/* cuda_transpose.cu: copies packed weights into the layouts of the backward pass: R transposed for the steps, W and R as GEMM
 * rows. */
#include "cuda_math_types.cuh"
#include "cuda_grid_stride.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* R is transposed in squares whose side is one row of a fragment tile, so that whole fragment tiles are read and written. */
constexpr int TRANSPOSE_THREADS = 256;

/* R, or copies of it, as unsigned words of `bytes` bytes, 2 or 4. */
GRU_DEVICE uint32_t word_at(const void *words, int bytes, int64_t i) {
    return bytes == 4 ? static_cast<const uint32_t *>(words)[i] : static_cast<const uint16_t *>(words)[i];
}
GRU_DEVICE void set_word(void *words, int bytes, int64_t i, uint32_t word) {
    if (bytes == 4)
        static_cast<uint32_t *>(words)[i] = word;
    else
        static_cast<uint16_t *>(words)[i] = uint16_t(word);
}

/* Grid: squares along k and j of R_g[j][k], then gates. One kernel serves all compute types, because it is memory-bound. */
struct Transpose {
    gru_cuda_transpose args;
    int32_t bytes; /* of a number */
};
__global__ void __launch_bounds__(TRANSPOSE_THREADS, 1)
    transpose_recurrent_kernel(const __grid_constant__ Transpose transpose) {
    constexpr int LARGEST = GRU_CUDA_GROUP_BYTES / 2;
    GRU_SHARED(uint32_t, square, [LARGEST][LARGEST + 1]);
    const gru_cuda_transpose &args = transpose.args;
    const int bytes = transpose.bytes, side = GRU_CUDA_GROUP_BYTES / bytes;
    const int units = (args.H + 15) / 16 * 16, groups = (args.H + side - 1) / side;
    const int gate = int(blockIdx.z), first_k = int(blockIdx.x) * side, first_j = int(blockIdx.y) * side;
    for (int i = int(threadIdx.x); i < side * side; i += TRANSPOSE_THREADS) {
        const int j = first_j + i / side;
        const int64_t tile = (int64_t(j / 8) * groups + blockIdx.x) * GATES + gate;
        square[i / side][i % side] =
            j < units ? word_at(args.R, bytes, (tile * 8 + j % 8) * side + i % side) : 0;
    }
    __syncthreads(); /* the square is complete */
    for (int i = int(threadIdx.x); i < side * side; i += TRANSPOSE_THREADS) {
        const int row = i / side, column = i % side, k = first_k + row;
        const int64_t tile = (int64_t(k / 8) * GATES + gate) * groups + blockIdx.y;
        if (args.transposed && k < units)
            set_word(args.transposed, bytes, (tile * 8 + k % 8) * side + column, square[column][row]);
        if (args.R_rows && first_j + row < units && first_k + column < units)
            set_word(args.R_rows, bytes, (int64_t(gate) * units + first_j + row) * units + first_k + column,
                     square[row][column]);
    }
}

/* Copies rows of W, in words of 16 bytes. */
struct InputRows {
    gru_cuda_transpose args;
    int32_t units;
    int64_t words; /* of a row */
};
__global__ void __launch_bounds__(TRANSPOSE_THREADS, 1)
    input_rows_kernel(const __grid_constant__ InputRows args) {
    const GridStride loop = grid_stride(int64_t(GATES) * args.units, args.words);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, word = i % loop.per_row * 32 + threadIdx.x % 32;
        if (word >= args.words) continue;
        const int64_t gate = row / args.units, unit = row % args.units;
        static_cast<uint4 *>(args.args.W_rows)[row * args.words + word] = static_cast<const uint4 *>(
            args.args.W)[((unit / 8 * GATES + gate) * 8 + unit % 8) * args.words + word];
    }
}

cudaError_t transpose_recurrent(const gru_cuda_transpose &args, int32_t bytes, cudaStream_t stream) {
    const unsigned squares = blocks_for(args.H, GRU_CUDA_GROUP_BYTES / bytes);
    Launch launch;
    launch.grid = dim3(squares, squares, GATES);
    launch.block = dim3(TRANSPOSE_THREADS);
    return start(transpose_recurrent_kernel, launch, Transpose{args, bytes}, stream);
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_transpose(const gru_cuda_transpose *args, cudaStream_t stream) {
    const bool wide = args->compute_type == GRU_CUDA_F32 || args->compute_type == GRU_CUDA_TF32;
    const int32_t type = wide ? GRU_F32 : GRU_F16, bytes = wide ? 4 : 2;
    const int32_t units = int32_t(gru_cuda_unit_pitch(args->H));
    const int64_t words = gru_cuda_input_pitch(args->inputs, type) * bytes / 16;
    if (const cudaError_t error = transpose_recurrent(*args, bytes, stream)) return error;
    if (!args->W_rows || words == 0) return cudaSuccess;
    return start(input_rows_kernel, grid_stride_launch(int64_t(GATES) * units, words, 1),
                 InputRows{*args, units, words}, stream);
}

extern "C" cudaError_t gru_cuda_load_transpose(gru_cuda_compute_type compute_type) {
    (void)compute_type;
    const cudaError_t error = load(transpose_recurrent_kernel, 0);
    return error == cudaSuccess ? load(input_rows_kernel, 0) : error;
}
