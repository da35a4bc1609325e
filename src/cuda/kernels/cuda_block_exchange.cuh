/* cuda_block_exchange.cuh: how blocks that share an octet of rows tell each other, in the middle of a step, that what they published is in
 * memory: by the barrier of their cluster, or (cluster 0) by a counter on which all blocks of a cooperative grid wait. */
#ifndef GRU_CUDA_BLOCK_EXCHANGE_CUH
#define GRU_CUDA_BLOCK_EXCHANGE_CUH

#include "cuda_kernels.h"
#include "cuda_launch.cuh"

namespace {

/* barrier_counter: [row octet] counts the blocks of gridDim.x that have published, in all steps of the call so far. */
GRU_DEVICE void publish(int32_t cluster, uint32_t *barrier_counter) {
    if (cluster) {
        cluster_arrive();
        return;
    }
    /* What every thread published comes before the block's arrival. */
    GRU_FAULT_POINT(published) __syncthreads();
    if (threadIdx.x == 0) add_release(barrier_counter + blockIdx.y, 1u);
}

/* steps: of the call up to this one, which is among them. */
GRU_DEVICE void await(int32_t cluster, uint32_t *barrier_counter, int64_t steps) {
    if (cluster) {
        cluster_wait();
        return;
    }
    if (threadIdx.x == 0) {
        const uint32_t all = gridDim.x * uint32_t(steps); /* may wrap, as the counter does */
        while (int32_t(load_acquire(barrier_counter + blockIdx.y) - all) < 0) spin_pause();
    }
    __syncthreads(); /* what the others published comes before any thread's reading */
}

/* Blocks along x for the tiles of each octet of rows: a cluster, or what is there of the `blocks` of a cooperative grid.
 * False: not even one. */
inline bool place_hop(Launch &launch, int32_t cluster, int32_t blocks, unsigned tiles, unsigned rows,
                      unsigned directions) {
    const unsigned room = unsigned(blocks) / (rows * directions); /* for the blocks of one octet of rows */
    if (!cluster && room == 0) return false;
    launch.grid = dim3(cluster ? unsigned(cluster) : min(tiles, room), rows, directions);
    launch.depends = launch.depends && cluster; /* a cooperative launch starts alone */
    launch.cooperative = !cluster;
    launch.cluster = cluster ? cluster : 1;
    return true;
}

/* Loads the kernel, and finds how much of it the device holds at once. */
template <class Argument>
cudaError_t load_hop(void (*kernel)(Argument), int threads, gru_cuda_occupancy *occupancy) {
    int device, multiprocessors, blocks;
    Launch launch;
    launch.grid = dim3(GRU_CUDA_FUSED_CLUSTER);
    launch.block = dim3(unsigned(threads));
    launch.cluster = GRU_CUDA_FUSED_CLUSTER;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device))
        return error;
    if (const cudaError_t error = load(kernel, 0)) return error;
    if (const cudaError_t error = count_clusters(kernel, launch, &occupancy->fused_clusters)) return error;
    const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, 0);
    occupancy->fused_blocks = error == cudaSuccess ? blocks * multiprocessors : 0;
    return error;
}

} // namespace
#endif
