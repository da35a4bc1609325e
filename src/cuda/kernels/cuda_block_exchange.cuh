/* cuda_block_exchange.cuh: the barrier at which blocks exchange data in the middle of a step, and the launch of kernels that
 * use it. The blocks of one octet of rows form a cluster and use its barrier. Or (cluster 0) they belong to a cooperative
 * grid and use a counter in memory. */
#ifndef GRU_CUDA_BLOCK_EXCHANGE_CUH
#define GRU_CUDA_BLOCK_EXCHANGE_CUH

#include "cuda_kernels.h"
#include "cuda_launch.cuh"
#include "cuda_mainloop_small.cuh"

namespace {

/* One step and how its blocks are launched: the argument of the kernel. */
template <class Step> struct FusedStep {
    Step step;
    int32_t cluster; /* 0: a cooperative grid */
};

/* ---- the barrier ---- */

/* barrier_counter: [row octet], the number of arrivals in all steps of the call so far. */
GRU_DEVICE void barrier_arrive(int32_t cluster, uint32_t *barrier_counter) {
    if (cluster) {
        cluster_arrive();
        return;
    }
    /* Orders the stores of all threads before the block's arrival. */
    GRU_FAULT_POINT(published) __syncthreads();
    if (threadIdx.x == 0) add_release(barrier_counter + blockIdx.y, 1u);
}

/* steps: the number of steps of the call so far, this one included. */
GRU_DEVICE void barrier_wait(int32_t cluster, uint32_t *barrier_counter, int64_t steps) {
    if (cluster) {
        cluster_wait();
        return;
    }
    if (threadIdx.x == 0) {
        const uint32_t all = gridDim.x * uint32_t(steps); /* may wrap, as the counter does */
        while (int32_t(load_acquire(barrier_counter + blockIdx.y) - all) < 0) spin_pause();
    }
    __syncthreads(); /* orders the stores of other blocks before the loads of all threads */
}

/* ---- launches ---- */

/* Divides the grid: along x the blocks of one octet of rows, as many as a cluster has or as the `blocks` of a cooperative
 * grid allow; then octets of rows and directions. False: not even one block for each octet. */
inline bool configure_grid(Launch &launch, int32_t cluster, int32_t blocks, unsigned tiles, unsigned rows,
                           unsigned directions) {
    const unsigned available = unsigned(blocks) / (rows * directions);
    if (!cluster && available == 0) return false;
    launch.grid = dim3(cluster ? unsigned(cluster) : min(tiles, available), rows, directions);
    launch.depends = launch.depends && cluster; /* a cooperative launch never overlaps another */
    launch.cooperative = !cluster;
    launch.cluster = cluster ? cluster : 1;
    return true;
}

/* tiles: of units, which the blocks along x share. */
template <class Step>
cudaError_t launch_fused(void (*kernel)(FusedStep<Step>), unsigned tiles, int32_t cluster, int32_t blocks,
                         const gru_cuda_sequence &seq, const Step &step, cudaStream_t stream) {
    Launch launch;
    launch.block = dim3(STEP_THREADS);
    launch.depends = step.depends != 0;
    if (!configure_grid(launch, cluster, blocks, tiles, blocks_for(seq.N, 8), unsigned(step.directions)))
        return cudaErrorCooperativeLaunchTooLarge;
    return start(kernel, launch, FusedStep<Step>{step, cluster}, stream);
}

/* Loads the kernel, and asks for its occupancy in clusters and in a cooperative grid. */
template <class Argument> cudaError_t load_fused(void (*kernel)(Argument), gru_cuda_occupancy *occupancy) {
    int device, multiprocessors, blocks;
    Launch launch;
    launch.grid = dim3(GRU_CUDA_FUSED_CLUSTER);
    launch.block = dim3(STEP_THREADS);
    launch.cluster = GRU_CUDA_FUSED_CLUSTER;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device))
        return error;
    if (const cudaError_t error = load(kernel, 0)) return error;
    if (const cudaError_t error = count_clusters(kernel, launch, &occupancy->fused_clusters)) return error;
    const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, STEP_THREADS, 0);
    occupancy->fused_blocks = error == cudaSuccess ? blocks * multiprocessors : 0;
    return error;
}

} // namespace
#endif
