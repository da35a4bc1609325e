// The faults of a recurrent step's parts, each planted once: barriers of a block, warp collectives, copies in
// the background, the exchange between the blocks of a cooperative grid.
#include "self.h"

enum {
    NONE,
    NO_BARRIER_BEFORE_READ,
    NO_BARRIER_BEFORE_OVERWRITE,
    DIVERGENT_BARRIER,
    DIVERGENT_BARRIER_PLACES,
    DIVERGENT_SHUFFLE,
    NO_WARP_BARRIER,
    COPY_NOT_AWAITED,
    RETURN_BEFORE_BARRIER
};
// Two products of each warp's slice meet in shared memory: sums of 1 .. 64, twice.
__global__ void partial_sums(const int *in, int *out, int fault) {
    GRU_SHARED(int, staged, [64]);
    GRU_SHARED(int, part, [2]);
    GRU_SHARED(int, seen, [2][2]);
    const unsigned i = threadIdx.x, lane = i % 32, warp = i / 32;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    if (lane % 4 == 0) copy_async16(&staged[i], &in[i]);
    copy_async_commit();
    if (fault != COPY_NOT_AWAITED) copy_async_wait<0>();
#endif
    if (fault != NO_WARP_BARRIER) __syncwarp();
    for (int times = 0; times < 2; times++) {
        int sum = staged[i];
        if (fault == DIVERGENT_SHUFFLE && lane < 16) sum += __shfl_xor_sync(~0u, sum, 16);
        for (int bit = 16; bit; bit >>= 1) sum += __shfl_xor_sync(~0u, sum, bit);
        if (lane == 0) part[warp] = sum;
        if (fault == DIVERGENT_BARRIER) {
            if (warp == 0) __syncthreads();
        } else if (fault == DIVERGENT_BARRIER_PLACES) {
            if (warp == 0)
                __syncthreads();
            else
                __syncthreads();
        } else if (fault == RETURN_BEFORE_BARRIER) {
            if (i == 40) return;
            __syncthreads();
        } else if (fault != NO_BARRIER_BEFORE_READ)
            __syncthreads();
        if (lane == 0) seen[times][warp] = part[0] + part[1];
        if (fault != NO_BARRIER_BEFORE_OVERWRITE) __syncthreads();
    }
    if (lane == 0) out[warp] = seen[0][warp] + seen[1][warp];
}
static bool sums_are_wrong(int fault) {
    std::vector<int> numbers;
    for (int i = 1; i <= 64; i++) numbers.push_back(i);
    const Device<int> in(numbers), out(2);
    How how;
    how.block = 64;
    if (start(partial_sums, how, static_cast<const int *>(in.data), out.data, fault) != cudaSuccess)
        return true;
    const std::vector<int> seen = out.host();
    return seen[0] != 4160 || seen[1] != 4160;
}
TEST(partial_sums_meet) {
    CHECK(!sums_are_wrong(NONE));
}
FAULT(block_barrier_missing, CHECKER, "data race") {
    return sums_are_wrong(NO_BARRIER_BEFORE_READ);
}
FAULT(block_barrier_missing_shows, PLAIN, nullptr) {
    return sums_are_wrong(NO_BARRIER_BEFORE_READ);
}
FAULT(block_barrier_missing_before_overwriting, CHECKER, "data race") {
    return sums_are_wrong(NO_BARRIER_BEFORE_OVERWRITE);
}
FAULT(block_barrier_in_a_branch, BOTH, "__syncthreads") {
    return sums_are_wrong(DIVERGENT_BARRIER);
}
FAULT(block_barrier_in_two_branches, BOTH, "divergent __syncthreads") {
    return sums_are_wrong(DIVERGENT_BARRIER_PLACES);
}
FAULT(thread_returns_before_a_barrier, BOTH, "returned") {
    return sums_are_wrong(RETURN_BEFORE_BARRIER);
}
FAULT(shuffle_in_a_branch, BOTH, "divergent warp collectives") {
    return sums_are_wrong(DIVERGENT_SHUFFLE);
}
FAULT(warp_barrier_missing, CHECKER, "never written") {
    return sums_are_wrong(NO_WARP_BARRIER);
}
FAULT(warp_barrier_missing_shows, PLAIN, nullptr) {
    return sums_are_wrong(NO_WARP_BARRIER);
}
FAULT(copy_not_awaited, CHECKER, "never written") {
    return sums_are_wrong(COPY_NOT_AWAITED);
}
FAULT(copy_not_awaited_shows, PLAIN, nullptr) {
    return sums_are_wrong(COPY_NOT_AWAITED);
}

// A sequence in one cooperative launch: every block needs what all blocks made in the step before.
enum {
    HOP_RIGHT,
    HOP_NOT_AWAITED,
    HOP_RELAXED,
    HOP_NO_BARRIER_BEFORE_RELEASE,
    HOP_NO_BARRIER_BEHIND_WAIT,
    HOP_TARGET_IGNORES_STEP,
    HOP_ONE_BUFFER,
    HOP_LENGTH_NOT_CLAMPED
};
__global__ void sequence(int *h, unsigned *count, const int *lengths, int *y, int T, int fault) {
    const int n = int(gridDim.x * blockDim.x), i = int(blockIdx.x * blockDim.x + threadIdx.x);
    int length = lengths[i % 2];
    if (fault != HOP_LENGTH_NOT_CLAMPED) length = min(max(length, 0), T);
    for (int t = 0; t < T; t++) {
        const int *in = h + (fault == HOP_ONE_BUFFER ? 0 : t % 2 * n);
        int *out = h + (fault == HOP_ONE_BUFFER ? 0 : (t + 1) % 2 * n);
        out[i] = in[n - 1 - i] + 1;
        if (fault != HOP_NO_BARRIER_BEFORE_RELEASE)
            __syncthreads(); // all of the block's values before its release
        if (threadIdx.x == 0) {
            const unsigned target = gridDim.x * (fault == HOP_TARGET_IGNORES_STEP ? 1u : unsigned(t + 1));
            if (fault == HOP_RELAXED) {
                atomicAdd(count, 1u);
                while (atomicAdd(count, 0u) < target) spin_pause();
            } else {
                add_release(count, 1u);
                if (fault != HOP_NOT_AWAITED)
                    while (load_acquire(count) < target) spin_pause();
            }
        }
        if (fault != HOP_NO_BARRIER_BEHIND_WAIT) __syncthreads(); // nobody goes on before the wait is over
    }
    y[(length - 1 < 0 ? 0 : length - 1) * n + i] = h[T % 2 * n + i];
}
static bool sequence_is_wrong(int fault) {
    constexpr int BLOCKS = 4, N = BLOCKS * 64, T = 9; // long enough to fail under nearly every schedule
    const Device<int> h(2 * N, 0), y(N * T, 0), lengths(std::vector<int>{T, T + 2});
    const Device<unsigned> count(1, 0);
    How how;
    how.grid = BLOCKS;
    how.block = 64;
    how.cooperative = true;
    const cudaError_t error = start(sequence, how, h.data, count.data, static_cast<const int *>(lengths.data),
                                    y.data, int(T), fault);
    if (error != cudaSuccess) return true;
    const std::vector<int> seen = y.host();
    for (int i = 0; i < N; i++)
        if (seen[size_t((T - 1) * N + i)] != T) return true;
    return false;
}
TEST(blocks_hop_together) {
    CHECK(!sequence_is_wrong(HOP_RIGHT));
}
FAULT(hop_not_awaited, CHECKER, "data race") {
    return sequence_is_wrong(HOP_NOT_AWAITED);
}
FAULT(hop_not_awaited_shows, PLAIN, nullptr) {
    return sequence_is_wrong(HOP_NOT_AWAITED);
}
FAULT(hop_with_relaxed_atomics, CHECKER, "data race") {
    return sequence_is_wrong(HOP_RELAXED);
}
FAULT(hop_without_a_barrier_before, CHECKER, "data race") {
    return sequence_is_wrong(HOP_NO_BARRIER_BEFORE_RELEASE);
}
FAULT(hop_without_a_barrier_behind, CHECKER, "data race") {
    return sequence_is_wrong(HOP_NO_BARRIER_BEHIND_WAIT);
}
FAULT(hop_target_ignores_the_step, CHECKER, "data race") {
    return sequence_is_wrong(HOP_TARGET_IGNORES_STEP);
}
FAULT(hop_with_one_buffer, CHECKER, "data race") {
    return sequence_is_wrong(HOP_ONE_BUFFER);
}
FAULT(hop_with_one_buffer_shows, PLAIN, nullptr) {
    return sequence_is_wrong(HOP_ONE_BUFFER);
}
FAULT(length_not_clamped, CHECKER, "outside an allocation") {
    return sequence_is_wrong(HOP_LENGTH_NOT_CLAMPED);
}
