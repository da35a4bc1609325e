/* cuda_grid_stride.cuh: how kernels that copy or sum rows divide them: pieces of 32 numbers go round the warps of the grid. */
#ifndef GRU_CUDA_GRID_STRIDE_CUH
#define GRU_CUDA_GRID_STRIDE_CUH

#include "cuda_launch.cuh"

namespace {

constexpr int WARPS = 8, MAX_BLOCKS = 2048;

struct Pieces {
    int64_t count, each; /* pieces in all, and of one row */
};
GRU_DEVICE Pieces pieces_of(int64_t rows, int64_t width) {
    const int64_t each = (width + 31) / 32;
    return {rows * each, each};
}
GRU_DEVICE int64_t first_piece() {
    return int64_t(blockIdx.x) * WARPS + threadIdx.x / 32;
}
GRU_DEVICE int64_t piece_step() {
    return int64_t(gridDim.x) * WARPS;
}

/* Every lane one number, until the grid is large enough to fill a device. */
inline Launch launch_for(int64_t rows, int64_t width, int directions) {
    const int64_t pieces = rows * ((width + 31) / 32), blocks = (pieces + WARPS - 1) / WARPS;
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
