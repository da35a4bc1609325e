// Clusters: barriers in one and in two instructions, each block's shared memory read and written by the
// others.
#include "self.h"

// Each block pushes its numbers to the next one, twice, between barriers; sums over all come back to block 0.
__global__ void ring(int *out, int blocks) {
    GRU_SHARED(int, mine, [2][32]);
    const unsigned rank = cluster_rank(), next = (rank + 1) % unsigned(blocks);
    cluster_map(&mine[0][0], next)[threadIdx.x] = int(rank * 100 + threadIdx.x);
    cluster_arrive();
    cluster_wait();
    cluster_map(&mine[0][0], next)[32 + threadIdx.x] = mine[0][threadIdx.x] + 1;
    cluster_arrive();
    const int own = mine[0][threadIdx.x]; // others write only the second half now
    cluster_wait();
    out[blockIdx.x * 32 + threadIdx.x] = 1000 * mine[1][threadIdx.x] + own;
}
static void check_ring(int blocks) {
    const Device<int> out(size_t(blocks) * 64);
    How how;
    how.cluster = unsigned(blocks);
    how.grid = how.cluster * 2;
    CHECK(start(ring, how, out.data, blocks) == cudaSuccess);
    const std::vector<int> seen = out.host();
    for (int block = 0; block < 2 * blocks; block++)
        for (int i = 0; i < 32; i++) {
            const int before = (block + blocks - 1) % blocks, two_before = (block + 2 * blocks - 2) % blocks;
            CHECK(seen[size_t(block * 32 + i)] == 1000 * (two_before * 100 + i + 1) + before * 100 + i);
        }
}
TEST(clusters_exchange_shared_memory) {
    for (int blocks : {2, 4, 8}) check_ring(blocks);
}
TEST(clusters_of_sixteen_ask_first) {
    const Device<int> out(1024);
    How how;
    how.grid = how.cluster = 16;
    CHECK(cudaFuncSetAttribute(ring, cudaFuncAttributeNonPortableClusterSizeAllowed, 0) == cudaSuccess);
    CHECK(start(ring, how, out.data, 16) == cudaErrorInvalidClusterSize);
    CHECK(cudaFuncSetAttribute(ring, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) == cudaSuccess);
    check_ring(16);
    (void)cudaGetLastError();
}

enum { RIGHT, NO_BARRIER, ARRIVE_EARLY, ARRIVE_TWICE, NO_WAIT, LEAVE_EARLY };
__global__ void published(int *out, int fault) { // block 0 reads what block 1 made
    GRU_SHARED(int, value, [32]);
    if (fault == ARRIVE_EARLY) cluster_arrive();
    value[threadIdx.x] = int(cluster_rank() * 100 + threadIdx.x);
    if (fault != ARRIVE_EARLY && fault != NO_BARRIER) cluster_arrive_shared();
    if (fault == ARRIVE_TWICE) cluster_arrive();
    if (fault != NO_WAIT && fault != NO_BARRIER) cluster_wait();
    out[blockIdx.x * 32 + threadIdx.x] = cluster_map(value, cluster_rank() ^ 1)[31 - threadIdx.x];
    if (fault == NO_WAIT) cluster_wait();
    if (fault == LEAVE_EARLY) return;
    cluster_arrive_shared(); // nobody leaves while others read its memory
    cluster_wait();
}
static bool wrong_if(int fault) {
    const Device<int> out(64);
    How how;
    how.grid = how.cluster = 2;
    if (start(published, how, out.data, fault) != cudaSuccess) return true;
    const std::vector<int> seen = out.host();
    for (int i = 0; i < 64; i++)
        if (seen[size_t(i)] != (i < 32 ? 100 : 0) + 31 - i % 32) return true;
    return false;
}
TEST(cluster_publishes) {
    CHECK(!wrong_if(RIGHT));
}
FAULT(cluster_barrier_missing, PLAIN, nullptr) {
    return wrong_if(NO_BARRIER);
}
FAULT(cluster_barrier_missing_is_a_race, CHECKER, "data race") {
    return wrong_if(NO_BARRIER);
}
FAULT(cluster_arrive_before_publishing, CHECKER, "data race") {
    return wrong_if(ARRIVE_EARLY);
}
FAULT(cluster_arrive_twice, BOTH, "twice") {
    return wrong_if(ARRIVE_TWICE);
}
FAULT(cluster_wait_too_late, CHECKER, "data race") {
    return wrong_if(NO_WAIT);
}
FAULT(cluster_left_while_others_read_shows, PLAIN, "has ended") {
    return wrong_if(LEAVE_EARLY);
}
// Each block leaves as soon as it has read; with the address mapped before, nothing but the order tells.
__global__ void leave_early(int *out, int stay) {
    GRU_SHARED(int, value, [32]);
    const int *other = cluster_map(&value[0], cluster_rank() ^ 1);
    value[threadIdx.x] = 5;
    cluster_arrive();
    cluster_wait();
    out[blockIdx.x * 32 + threadIdx.x] = other[threadIdx.x];
    if (!stay) return;
    cluster_arrive();
    cluster_wait();
}
static bool left_early(int stay) {
    const Device<int> out(64);
    How how;
    how.grid = how.cluster = 2;
    return start(leave_early, how, out.data, stay) != cudaSuccess || out.host()[63] != 5;
}
TEST(cluster_stays_together) {
    CHECK(!left_early(1));
}
FAULT(cluster_left_while_others_read, CHECKER, "") {
    return left_early(0);
}
