// clusters.cu: blocks that share their shared memory: their barrier, pushes, partial sums, and how many of
// them fit.  SPDX-License-Identifier: Apache-2.0
#include "probe_ptx.cuh"
#include "measurement.h"

namespace gpu_probe {

// Each block shows its round to the next one. check 0: barriers only.
__global__ void sync_cluster(unsigned *errors, int rounds, int size, int check) {
    GRU_SHARED(unsigned, mine, [1]);
    const unsigned *next = cluster_map(&mine[0], (cluster_rank() + 1) % unsigned(size));
    for (int round = 1; round <= rounds; round++) {
        if (check && threadIdx.x == 0) mine[0] = unsigned(round);
        cluster_arrive();
        cluster_wait();
        if (!check) continue;
        if (threadIdx.x == 0 && *next != unsigned(round)) atomicAdd(errors, 1u);
        cluster_arrive(); // before anybody writes again, or leaves
        cluster_wait();
    }
}

// Each block writes count numbers of 16 bytes into the next one's memory, between barriers, into one half and
// the other.
__global__ void push(unsigned *errors, int rounds, int size, int count, int check) {
    GRU_DYNAMIC_SHARED(uint4, halves);
    const unsigned rank = cluster_rank(), from = (rank + unsigned(size) - 1) % unsigned(size);
    uint4 *next = cluster_map(halves, (rank + 1) % unsigned(size));
    for (int round = 1; round <= rounds; round++) {
        const int half = round % 2 * count;
        for (int i = int(threadIdx.x); i < count; i += int(blockDim.x))
            next[half + i] = {unsigned(round), rank, unsigned(i), 0};
        cluster_arrive();
        cluster_wait();
        for (int i = int(threadIdx.x); check && i < count; i += int(blockDim.x)) {
            const uint4 got = halves[half + i];
            if (got.x != unsigned(round) || got.y != from || got.z != unsigned(i)) atomicAdd(errors, 1u);
        }
    }
    cluster_arrive(); // nobody leaves while others look
    cluster_wait();
}

// Block k holds count partial sums, (k + 1) (i % 64); each block adds up its share over all blocks, in
// ascending order.
__global__ void reduce(unsigned *errors, int rounds, int size, int count) {
    GRU_DYNAMIC_SHARED(float4, partials);
    const unsigned rank = cluster_rank();
    const int share = count / size, begin = int(rank) * share;
    for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) {
        const float value = float((rank + 1) * unsigned(i % 64));
        partials[i] = {value, value, value, value};
    }
    cluster_arrive();
    cluster_wait();
    const float whole = float(size * (size + 1) / 2);
    for (int round = 0; round < rounds; round++) {
        for (int i = begin + int(threadIdx.x); i < begin + share; i += int(blockDim.x)) {
            float4 sum = {0, 0, 0, 0};
            for (int k = 0; k < size; k++) {
                const float4 part = cluster_map(partials, unsigned(k))[i];
                sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
            }
            const float wanted = whole * float(i % 64);
            if (sum.x != wanted || sum.y != wanted || sum.z != wanted || sum.w != wanted)
                atomicAdd(errors, 1u);
        }
        cluster_arrive();
        cluster_wait();
    }
}

// ---- times ------------------------------------------------------------------------------------------------

enum { BARRIER, PUSH, REDUCE };

struct Exchange {
    Shape shape;
    unsigned *errors;
    int kind, rounds, count, check; // count: of 16 bytes
};

static cudaError_t enqueue_exchange(Session &s, const void *context) {
    const Exchange &e = *static_cast<const Exchange *>(context);
    switch (e.kind) {
    case BARRIER:
        return launch(s, e.shape, sync_cluster, e.errors, e.rounds, e.shape.cluster, e.check);
    case PUSH:
        return launch(s, e.shape, push, e.errors, e.rounds, e.shape.cluster, e.count, e.check);
    default:
        return launch(s, e.shape, reduce, e.errors, e.rounds, e.shape.cluster, e.count);
    }
}

static cudaError_t allow(int kind, const Shape &shape) {
    const cudaFuncAttribute wide = cudaFuncAttributeNonPortableClusterSizeAllowed;
    const cudaFuncAttribute large = cudaFuncAttributeMaxDynamicSharedMemorySize;
    const int bytes = int(shape.shared);
    if (kind == BARRIER) return cudaFuncSetAttribute(sync_cluster, wide, shape.cluster > 8);
    if (kind == PUSH) return cudaFuncSetAttribute(push, large, bytes);
    return cudaFuncSetAttribute(reduce, large, bytes);
}

// Time of a round: many rounds less few, so that the launch does not count.
static cudaError_t time_exchange(Session &s, Exchange e, double *seconds) {
    double all = 0, few = 0;
    TRY(allow(e.kind, e.shape));
    Exchange checked = e;
    checked.check = 1, checked.rounds = 5;
    TRY(enqueue_exchange(s, &checked));
    TRY(time_stream(s, enqueue_exchange, &e, &all));
    const int rounds = e.rounds;
    e.rounds = rounds / 10 + 1;
    TRY(time_stream(s, enqueue_exchange, &e, &few));
    *seconds = (all - few) / (rounds - e.rounds);
    return cudaSuccess;
}

static const char *wrong_of_exchange(Session &s, cudaError_t status, const unsigned *errors) {
    unsigned count = 0;
    if (status == cudaSuccess) status = read_word(s, errors, &count);
    if (status != cudaSuccess) return error_of(status);
    return count ? "a number did not arrive" : nullptr;
}

static void measure_exchange(Session &s, int kind, int size, int kilobytes) {
    static const char *const names[] = {"cluster barrier", "push to the next block",
                                        "sum of all blocks' partials"};
    const Memory<unsigned> errors(1);
    Exchange e = {};
    double seconds = 0;
    e.shape.shared = size_t(kilobytes) * 1024 * (kind == PUSH ? 2 : 1);
    if (e.shape.shared > size_t(s.shared_limit)) return;
    e.shape.blocks = e.shape.cluster = size, e.shape.threads = 256;
    e.kind = kind, e.errors = errors.data;
    e.count = kilobytes * 64, e.rounds = many(s, 1000, 15);
    const cudaError_t status = time_exchange(s, e, &seconds);
    const char *wrong = wrong_of_exchange(s, status, errors.data);
    if (kind == BARRIER)
        report(s, names[kind], seconds * 1e6, "us", wrong, "cluster of %d, 256 threads", size);
    else
        report(s, names[kind], seconds * 1e6, "us", wrong,
               "cluster of %d, %d KB in each block, with a barrier", size, kilobytes);
}

// A block of each cluster fills a multiprocessor when its shared memory does.
static int count_clusters(Session &s, int size, size_t shared) {
    const Shape shape = {size * s.multiprocessors, 256, size, shared, false, false};
    cudaLaunchConfig_t config;
    cudaLaunchAttribute attributes[3];
    int clusters = 0;
    configure(s, shape, &config, attributes);
    cudaError_t status =
        cudaFuncSetAttribute(reduce, cudaFuncAttributeNonPortableClusterSizeAllowed, size > 8);
    if (status == cudaSuccess)
        status = cudaFuncSetAttribute(reduce, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
    if (status == cudaSuccess) status = cudaOccupancyMaxActiveClusters(&clusters, reduce, &config);
    report(s, "clusters that fit", clusters, "", error_of(status), "clusters of %d, %d KB in each block",
           size, int(shared / 1024));
    (void)cudaFuncSetAttribute(reduce, cudaFuncAttributeNonPortableClusterSizeAllowed, 0);
    return clusters;
}

void measure_clusters(Session &s) {
    if (s.capability < 90) return;
    for (int size = 2; size <= 16; size *= 2) {
        const int few = size >= 8 ? count_clusters(s, size, 16 << 10) : 1;
        if (size >= 8) (void)count_clusters(s, size, size_t(s.shared_limit));
        if (few > 0) measure_exchange(s, BARRIER, size, 0); // not every chip has sixteen
    }
    for (int size = 4; size <= 8; size *= 2)
        for (int kilobytes = 24; kilobytes <= 96; kilobytes *= 2)
            for (int kind = PUSH; kind <= REDUCE; kind++)
                measure_exchange(s, kind, size, s.brief ? kilobytes / 24 : kilobytes);
}

} // namespace gpu_probe
