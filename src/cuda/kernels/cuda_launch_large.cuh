/* cuda_launch_large.cuh: lists, loads and launches kernels with large block tiles, forward and backward.
 *
 * visit(batch octets, then) calls then(kernel, shared bytes) for a tile that exists, and returns its result. */
#ifndef GRU_CUDA_LAUNCH_LARGE_CUH
#define GRU_CUDA_LAUNCH_LARGE_CUH

#include "cuda_launch.cuh"
#include "cuda_mainloop_large.cuh"

namespace {

template <class Step> struct LargeStep {
    Step step;
    int32_t split; /* blocks of a cluster */
};

/* Grid: units with padding, times the blocks of a cluster; rows; directions. */
template <class Step, class Visit>
cudaError_t launch_large(const gru_cuda_block_tile &block_tile, const gru_cuda_sequence &seq,
                         const Step &step, cudaStream_t stream, Visit visit) {
    return visit(block_tile.batch_octets, [&](void (*kernel)(LargeStep<Step>), int shared_bytes) {
        Launch launch;
        launch.grid = dim3(blocks_for(seq.octets, LARGE_OCTETS) * unsigned(block_tile.split),
                           blocks_for(seq.N, block_tile.batch_octets * 8), unsigned(step.directions));
        launch.block = dim3(LARGE_THREADS);
        launch.shared_bytes = shared_bytes;
        launch.depends = step.depends != 0;
        launch.cluster = block_tile.split;
        return start(kernel, launch, LargeStep<Step>{step, block_tile.split}, stream);
    });
}

template <class Visit> int32_t list_tiles(gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES], Visit visit) {
    int32_t count = 0;
    for (int32_t batch_octets = 8; batch_octets <= 16; batch_octets += 8)
        (void)visit(batch_octets, [&](auto, int shared_bytes) {
            tiles[count++] = {LARGE_OCTETS, batch_octets, 1, shared_bytes};
            return cudaSuccess;
        });
    return count;
}

/* Loads the kernels, and asks how many clusters of each the device holds at once. */
template <class Visit> cudaError_t load_tiles(gru_cuda_occupancy *occupancy, Visit visit) {
    gru_cuda_block_tile tiles[GRU_CUDA_LARGE_TILES];
    const int32_t count = list_tiles(tiles, visit);
    for (int32_t i = 0; i < count; i++) {
        const cudaError_t error = visit(tiles[i].batch_octets, [&](auto kernel, int shared_bytes) {
            return load_clusters(kernel, LARGE_THREADS, shared_bytes, occupancy->large_clusters[i]);
        });
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

} // namespace
#endif
