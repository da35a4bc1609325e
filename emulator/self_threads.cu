// Threads, warps and blocks: that correct programs come out right and silent under every
// schedule.
#include "self.h"
#include <cooperative_groups.h>

__global__ void warp_functions(int *out) { // [7][32]
    const int lane = int(threadIdx.x);
    out[lane] = __shfl_up_sync(~0u, lane, 3);
    out[32 + lane] = __shfl_down_sync(~0u, lane, 3);
    out[64 + lane] = __shfl_xor_sync(~0u, lane, 5, 8);
    out[96 + lane] = __shfl_sync(~0u, lane, 9, 16);
    out[128 + lane] = int(__ballot_sync(~0u, lane % 3 == 0));
    if (lane < 16)
        out[160 + lane] = __shfl_sync(0xffffu, lane, 3);
    else
        out[160 + lane] = __shfl_sync(0xffff0000u, lane, 20);
    int sum = lane;
    for (int bit = 16; bit; bit >>= 1) sum += __shfl_xor_sync(~0u, sum, bit);
    out[192 + lane] = sum + int(__reduce_max_sync(~0u, unsigned(lane))) + 1000 * __any_sync(~0u, lane == 9);
}
TEST(warps_exchange_values) {
    const Device<int> out(224);
    CHECK(start(warp_functions, {}, out.data) == cudaSuccess);
    const std::vector<int> seen = out.host();
    for (int lane = 0; lane < 32; lane++) {
        CHECK(seen[size_t(lane)] == (lane < 3 ? lane : lane - 3));
        CHECK(seen[size_t(32 + lane)] == (lane > 28 ? lane : lane + 3));
        CHECK(seen[size_t(64 + lane)] == (lane ^ 5));
        CHECK(seen[size_t(96 + lane)] == lane / 16 * 16 + 9);
        CHECK(seen[size_t(128 + lane)] == 0x49249249);
        CHECK(seen[size_t(160 + lane)] == (lane < 16 ? 3 : 20));
        CHECK(seen[size_t(192 + lane)] == 496 + 31 + 1000);
    }
}

__global__ void block_sums(int *out) {
    GRU_SHARED(int, values, [2][48]);
    GRU_DYNAMIC_SHARED(int, more);
    const unsigned i = threadIdx.y * blockDim.x + threadIdx.x;
    for (int round = 0; round < 3; round++) {
        values[round & 1][i] = int(i) + round;
        more[i] = int(blockIdx.x);
        __syncthreads();
        int sum = more[47 - i];
        for (int k = 0; k < 48; k++) sum += values[round & 1][k];
        if (i == 0) out[3 * blockIdx.x + unsigned(round)] = sum;
        const int odd = __syncthreads_count(i % 2 == 1);
        if (i == 1 && odd != 24) out[3 * blockIdx.x + unsigned(round)] = -1;
    }
}
TEST(blocks_share_memory) {
    const Device<int> out(21);
    How how;
    how.grid = 7;
    how.block = dim3(16, 3);
    how.shared = 48 * sizeof(int);
    CHECK(start(block_sums, how, out.data) == cudaSuccess);
    const std::vector<int> sums = out.host();
    for (size_t i = 0; i < sums.size(); i++) CHECK(sums[i] == 48 * 47 / 2 + 48 * int(i % 3) + int(i / 3));
}

// The last block to come adds up what the others left: right only with the fences.
__global__ void last_block(float *parts, unsigned *count, float *out, int fences) {
    GRU_SHARED(int, last, [1]);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = float(blockIdx.x);
        if (fences) __threadfence();
        last[0] = atomicAdd(count, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0] || threadIdx.x) return;
    if (fences) __threadfence();
    float sum = 0;
    for (unsigned i = 0; i < gridDim.x; i++) sum += parts[i];
    *out = sum;
}
static float sum_of_blocks(int fences) {
    const Device<float> parts(10), out(1);
    const Device<unsigned> count(1, 0);
    How how;
    how.grid = 10;
    CHECK(start(last_block, how, parts.data, count.data, out.data, fences) == cudaSuccess);
    return out.host()[0];
}
TEST(fences_and_atomics_order_blocks) {
    CHECK(sum_of_blocks(1) == 45);
}
FAULT(fences_missing, CHECKER, "data race") {
    return sum_of_blocks(0) != 45;
}

__global__ void neighbours(unsigned char *bytes, float *sum) {
    bytes[threadIdx.x] = (unsigned char)threadIdx.x; // four threads in one word: no race
    atomicAdd(sum, 1.0f);
}
TEST(bytes_and_atomics_are_no_race) {
    const Device<unsigned char> bytes(64);
    const Device<float> sum(1, 0);
    How how;
    how.block = 64;
    CHECK(start(neighbours, how, bytes.data, sum.data) == cudaSuccess);
    CHECK(sum.host()[0] == 64);
    CHECK(bytes.host()[63] == 63);
}

__global__ void wait_for_all(unsigned *count) {
    if (threadIdx.x) return;
    add_release(count, 1u);
    while (load_acquire(count) < gridDim.x) spin_pause();
}
FAULT(blocks_that_need_not_run_together_wait, BOTH, "livelock") {
    const Device<unsigned> count(1, 0);
    How how;
    how.grid = 8;
    return start(wait_for_all, how, count.data) != cudaSuccess;
}
__global__ void shift(int *values, int n, int rounds) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    for (int round = 0; round < rounds; round++) {
        const int next = values[(i + 1) % n];
        cooperative_groups::this_grid().sync();
        values[i] = next;
        cooperative_groups::this_grid().sync();
    }
}
TEST(cooperative_grids_meet) {
    std::vector<int> values(132);
    for (int i = 0; i < 132; i++) values[size_t(i)] = i;
    const Device<int> on_device(values);
    How how;
    how.grid = 4;
    how.block = 33;
    how.cooperative = true;
    CHECK(start(shift, how, on_device.data, 132, 3) == cudaSuccess);
    values = on_device.host();
    for (int i = 0; i < 132; i++) CHECK(values[size_t(i)] == (i + 3) % 132);
}

TEST(launches_are_checked) {
    const Device<unsigned> count(1, 0);
    How how;
    how.grid = 8;
    how.cooperative = true;
    CHECK(start(wait_for_all, how, count.data) == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    how.grid = 4000;
    CHECK(start(wait_for_all, how, count.data) == cudaErrorCooperativeLaunchTooLarge);
    how = {};
    how.block = 1025;
    CHECK(start(wait_for_all, how, count.data) == cudaErrorInvalidConfiguration);
    how = {};
    how.shared = 50000;
    CHECK(start(wait_for_all, how, count.data) == cudaErrorInvalidValue);
    how = {};
    how.grid = 4;
    how.cluster = 3;
    CHECK(start(wait_for_all, how, count.data) == cudaErrorInvalidClusterSize);
    CHECK(cudaGetLastError() == cudaErrorInvalidClusterSize && cudaGetLastError() == cudaSuccess);
}
