/* cuda_reduce.cu: final reductions of a backward pass: bias gradients (in a fixed order) and weight gradients (from GEMM
 * accumulators), divided by the loss scale and written or added to the caller's buffers. */
#include "cuda_grid_stride.cuh"
#include "cuda_math_types.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* ---- weights ---- */

GRU_DEVICE float unscaled(float sum, const float *loss_scale) {
    return loss_scale ? sum * (1.0f / *loss_scale) : sum;
}

GRU_DEVICE void store_gradient(float *to, float sum, int32_t overwrite) {
    *to = overwrite ? sum : *to + sum;
}

__global__ void __launch_bounds__(WARPS * 32, 1)
    weight_sums_kernel(const __grid_constant__ gru_cuda_weight_sums args) {
    const int64_t units = (args.H + 15) / 16 * 16;
    const GridStride loop = grid_stride(int64_t(args.count) * args.H, args.K);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, k = i % loop.per_row * 32 + threadIdx.x % 32;
        if (k >= args.K) continue;
        const float sum = args.sums[(row / args.H * units + row % args.H) * args.pitch + k];
        store_gradient(args.gradient + (int64_t(args.first) * args.H + row) * args.K + k,
                       unscaled(sum, args.loss_scale), args.overwrite);
    }
}

/* ---- biases ---- */

struct BiasSums {
    gru_cuda_bias_sums sums;
    int32_t type;      /* of rows */
    int32_t columns;   /* of a row */
    int64_t rows_each; /* of a split */
    int32_t splits;
};

/* Block: 32 columns of one split. A warp sums every eighth row, then the first warp adds the warps in order. */
__global__ void __launch_bounds__(WARPS * 32, 1)
    bias_partial_sums_kernel(const __grid_constant__ BiasSums args) {
    GRU_SHARED(float, sums, [WARPS][32]);
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32,
              column = int(blockIdx.x) * 32 + lane;
    const int64_t first = int64_t(blockIdx.y) * args.rows_each,
                  last = min(first + args.rows_each, args.sums.count);
    float sum = 0.0f;
    if (column < args.columns)
        for (int64_t row = first + warp; row < last; row += WARPS)
            sum += load_number(args.sums.rows, args.type, row * args.columns + column);
    sums[warp][lane] = sum;
    __syncthreads(); /* the sums of all warps are stored */
    if (warp > 0 || column >= args.columns) return;
    for (int other = 1; other < WARPS; other++) sum += sums[other][lane];
    args.sums.partial_sums[int64_t(blockIdx.y) * args.columns + column] = sum;
}

/* One column, splits in ascending order. */
__global__ void __launch_bounds__(WARPS * 32, 1) bias_sums_kernel(const __grid_constant__ BiasSums args) {
    const gru_cuda_bias_sums &sums = args.sums;
    const int column = int(blockIdx.x) * WARPS * 32 + int(threadIdx.x), units = (sums.H + 15) / 16 * 16;
    const int plane = column / units, unit = column % units;
    if (column >= args.columns || unit >= sums.H) return;
    float sum = 0.0f;
    for (int split = 0; split < args.splits; split++)
        sum += sums.partial_sums[int64_t(split) * args.columns + column];
    sum = unscaled(sum, sums.loss_scale);
    const bool only_recurrent = plane == GRU_CUDA_DC_N,
               only_input = sums.reset_mode == GRU_RESET_AFTER && plane == GATE_N;
    const int at = (only_recurrent ? GATE_N : plane) * sums.H + unit;
    if (sums.dbW && !only_recurrent) store_gradient(sums.dbW + at, sum, sums.overwrite);
    if (sums.dbR && !only_input) store_gradient(sums.dbR + at, sum, sums.overwrite);
}

/* Splits have at least 32 rows, so that few rows are not divided further. */
BiasSums describe(gru_cuda_compute_type compute_type, const gru_cuda_bias_sums &sums) {
    BiasSums args = {sums, GRU_F32, 0, 0, 0};
    if (compute_type == GRU_CUDA_F16) args.type = GRU_F16;
    if (compute_type == GRU_CUDA_BF16) args.type = GRU_BF16;
    args.columns = int32_t(gru_cuda_gradient_planes(sums.reset_mode) * gru_cuda_unit_pitch(sums.H));
    args.rows_each = max(int64_t(32), (sums.count + GRU_CUDA_SUM_SPLITS - 1) / GRU_CUDA_SUM_SPLITS);
    args.splits = int32_t((sums.count + args.rows_each - 1) / args.rows_each);
    return args;
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_weight_sums(const gru_cuda_weight_sums *sums, cudaStream_t stream) {
    return start(weight_sums_kernel, grid_stride_launch(int64_t(sums->count) * sums->H, sums->K, 1), *sums,
                 stream);
}

extern "C" cudaError_t gru_cuda_launch_bias_sums(gru_cuda_compute_type compute_type,
                                                 const gru_cuda_bias_sums *sums, cudaStream_t stream) {
    const BiasSums args = describe(compute_type, *sums);
    Launch launch;
    launch.block = dim3(WARPS * 32);
    launch.grid = dim3(blocks_for(args.columns, 32), unsigned(args.splits > 0 ? args.splits : 1));
    if (const cudaError_t error = start(bias_partial_sums_kernel, launch, args, stream)) return error;
    launch.grid = dim3(blocks_for(args.columns, WARPS * 32));
    return start(bias_sums_kernel, launch, args, stream);
}

extern "C" cudaError_t gru_cuda_load_reduce(void) {
    cudaError_t error = load(weight_sums_kernel, 0);
    if (error == cudaSuccess) error = load(bias_partial_sums_kernel, 0);
    if (error == cudaSuccess) error = load(bias_sums_kernel, 0);
    return error;
}
