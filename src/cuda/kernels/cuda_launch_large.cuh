/* cuda_launch_large.cuh: how the kernels of large tiles are listed, loaded and launched, whatever they finish.
 *
 * visit(batch octets, then) calls then(kernel, shared bytes) for a tile that exists, and returns what that returns. */
#ifndef GRU_CUDA_LAUNCH_LARGE_CUH
#define GRU_CUDA_LAUNCH_LARGE_CUH

#include "cuda_launch.cuh"
#include "cuda_mainloop_large.cuh"

namespace {

template <class Step> struct TileStep {
    Step step;
    int32_t split; /* blocks of a cluster */
};

/* Grid: along units and their padding (and the blocks of their clusters), rows, directions. */
template <class Step, class Visit>
cudaError_t launch_tile(const gru_cuda_block_tile &tile, const gru_cuda_sequence &q, const Step &step,
                        cudaStream_t stream, Visit visit) {
    return visit(tile.batch_octets, [&](void (*kernel)(TileStep<Step>), int shared_bytes) {
        Launch launch;
        launch.grid = dim3(blocks_for(q.octets, TILE_OCTETS) * unsigned(tile.split),
                           blocks_for(q.N, tile.batch_octets * 8), unsigned(step.directions));
        launch.block = dim3(TILE_THREADS);
        launch.shared_bytes = shared_bytes;
        launch.depends = step.depends != 0;
        launch.cluster = tile.split;
        return start(kernel, launch, TileStep<Step>{step, tile.split}, stream);
    });
}

template <class Visit> int32_t list_tiles(gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES], Visit visit) {
    int32_t count = 0;
    for (int32_t batch_octets = 8; batch_octets <= 16; batch_octets += 8)
        (void)visit(batch_octets, [&](auto, int shared_bytes) {
            tiles[count++] = {TILE_OCTETS, batch_octets, 1, shared_bytes};
            return cudaSuccess;
        });
    return count;
}

/* Loads them, and finds how many clusters of each the device holds at once. */
template <class Visit> cudaError_t load_tiles(gru_cuda_occupancy *occupancy, Visit visit) {
    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
    const int32_t count = list_tiles(tiles, visit);
    for (int32_t i = 0; i < count; i++) {
        const cudaError_t error = visit(tiles[i].batch_octets, [&](auto kernel, int shared_bytes) {
            return load_clusters(kernel, TILE_THREADS, shared_bytes, occupancy->large_clusters[i]);
        });
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

} // namespace
#endif
