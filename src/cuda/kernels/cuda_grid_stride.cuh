/* cuda_grid_stride.cuh: the loop of kernels that copy or sum rows: each warp of the grid takes 32 columns of a row at a time. */
#ifndef GRU_CUDA_GRID_STRIDE_CUH
#define GRU_CUDA_GRID_STRIDE_CUH

#include "cuda_launch.cuh"

namespace {

constexpr int WARPS = 8, MAX_BLOCKS = 2048;

/* for (int64_t i = grid_first(); i < loop.count; i += grid_step()): row i / per_row, columns from i % per_row * 32 on. */
struct GridStride {
    int64_t count, per_row; /* iterations of all warps; of one row */
};
GRU_DEVICE GridStride grid_stride(int64_t rows, int64_t width) {
    const int64_t per_row = (width + 31) / 32;
    return {rows * per_row, per_row};
}
GRU_DEVICE int64_t grid_first() {
    return int64_t(blockIdx.x) * WARPS + threadIdx.x / 32;
}
GRU_DEVICE int64_t grid_step() {
    return int64_t(gridDim.x) * WARPS;
}

/* One column for each lane, up to the blocks that fill a device. */
inline Launch grid_stride_launch(int64_t rows, int64_t width, int directions) {
    const int64_t count = rows * ((width + 31) / 32), blocks = (count + WARPS - 1) / WARPS;
    Launch launch;
    launch.grid = dim3(unsigned(blocks < 1            ? 1
                                : blocks < MAX_BLOCKS ? blocks
                                                      : MAX_BLOCKS),
                       1, unsigned(directions));
    launch.block = dim3(WARPS * 32);
    return launch;
}

} // namespace
#endif
