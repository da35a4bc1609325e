/* cuda_reduce.cu: the last of a backward pass: sums over all steps and sequences, of biases in a fixed order and of weights from
 * their GEMMs, divided by the loss scale and set or added where the caller keeps gradients. */
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
    weight_sums_kernel(const __grid_constant__ gru_cuda_weight_sums a) {
    const int64_t units = (a.H + 15) / 16 * 16;
    const Pieces pieces = pieces_of(int64_t(a.count) * a.H, a.K);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int64_t row = i / pieces.each, k = i % pieces.each * 32 + threadIdx.x % 32;
        if (k >= a.K) continue;
        const float sum = a.sums[(row / a.H * units + row % a.H) * a.pitch + k];
        store_gradient(a.gradient + (int64_t(a.first) * a.H + row) * a.K + k, unscaled(sum, a.loss_scale),
                       a.overwrite);
    }
}

/* ---- biases ---- */

struct BiasSums {
    gru_cuda_bias_sums sums;
    int32_t type;    /* of rows */
    int32_t columns; /* of a row */
    int64_t each;    /* rows of a part */
    int32_t parts;
};

/* Block: 32 columns of one part. A warp sums every eighth row, then the first adds the warps in order. */
__global__ void __launch_bounds__(WARPS * 32, 1)
    bias_partial_sums_kernel(const __grid_constant__ BiasSums p) {
    GRU_SHARED(float, sums, [WARPS][32]);
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32,
              column = int(blockIdx.x) * 32 + lane;
    const int64_t first = int64_t(blockIdx.y) * p.each, last = min(first + p.each, p.sums.count);
    float sum = 0.0f;
    if (column < p.columns)
        for (int64_t row = first + warp; row < last; row += WARPS)
            sum += load_number(p.sums.rows, p.type, row * p.columns + column);
    sums[warp][lane] = sum;
    __syncthreads(); /* the sums of all warps are there */
    if (warp > 0 || column >= p.columns) return;
    for (int other = 1; other < WARPS; other++) sum += sums[other][lane];
    p.sums.parts[int64_t(blockIdx.y) * p.columns + column] = sum;
}

/* One column in the order of the parts. */
__global__ void __launch_bounds__(WARPS * 32, 1) bias_sums_kernel(const __grid_constant__ BiasSums p) {
    const gru_cuda_bias_sums &a = p.sums;
    const int column = int(blockIdx.x) * WARPS * 32 + int(threadIdx.x), units = (a.H + 15) / 16 * 16;
    const int plane = column / units, unit = column % units;
    if (column >= p.columns || unit >= a.H) return;
    float sum = 0.0f;
    for (int part = 0; part < p.parts; part++) sum += a.parts[int64_t(part) * p.columns + column];
    sum = unscaled(sum, a.loss_scale);
    const bool only_recurrent = plane == GRU_CUDA_DC_N,
               only_input = a.reset_mode == GRU_RESET_AFTER && plane == GATE_N;
    const int at = (only_recurrent ? GATE_N : plane) * a.H + unit;
    if (a.dbW && !only_recurrent) store_gradient(a.dbW + at, sum, a.overwrite);
    if (a.dbR && !only_input) store_gradient(a.dbR + at, sum, a.overwrite);
}

/* Parts of at least 32 rows, so that few rows are not cut to pieces. */
BiasSums describe(gru_cuda_compute_type compute_type, const gru_cuda_bias_sums &sums) {
    BiasSums p = {sums, GRU_F32, 0, 0, 0};
    if (compute_type == GRU_CUDA_F16) p.type = GRU_F16;
    if (compute_type == GRU_CUDA_BF16) p.type = GRU_BF16;
    p.columns = int32_t(gru_cuda_gradient_planes(sums.reset_mode) * gru_cuda_unit_pitch(sums.H));
    p.each = max(int64_t(32), (sums.count + GRU_CUDA_SUM_SPLITS - 1) / GRU_CUDA_SUM_SPLITS);
    p.parts = int32_t((sums.count + p.each - 1) / p.each);
    return p;
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_weight_sums(const gru_cuda_weight_sums *sums, cudaStream_t stream) {
    return start(weight_sums_kernel, launch_for(int64_t(sums->count) * sums->H, sums->K, 1), *sums, stream);
}

extern "C" cudaError_t gru_cuda_launch_bias_sums(gru_cuda_compute_type compute_type,
                                                 const gru_cuda_bias_sums *sums, cudaStream_t stream) {
    const BiasSums p = describe(compute_type, *sums);
    Launch launch;
    launch.block = dim3(WARPS * 32);
    launch.grid = dim3(blocks_for(p.columns, 32), unsigned(p.parts > 0 ? p.parts : 1));
    if (const cudaError_t error = start(bias_partial_sums_kernel, launch, p, stream)) return error;
    launch.grid = dim3(blocks_for(p.columns, WARPS * 32));
    return start(bias_sums_kernel, launch, p, stream);
}

extern "C" cudaError_t gru_cuda_load_reduce(void) {
    cudaError_t error = load(weight_sums_kernel, 0);
    if (error == cudaSuccess) error = load(bias_partial_sums_kernel, 0);
    if (error == cudaSuccess) error = load(bias_sums_kernel, 0);
    return error;
}
