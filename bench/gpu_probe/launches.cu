// launches.cu: from one kernel to the next: in a stream, in a graph, dependent, cooperative; and what the
// host pays.  SPDX-License-Identifier: Apache-2.0
#include "probe_ptx.cuh"
#include "measurement.h"

namespace gpu_probe {

// Adds one to its block's word, which shows that each launch ran behind the one before. NULL: does nothing at
// all.
__global__ void count_launch(unsigned *counts) {
    if (counts && threadIdx.x == 0) counts[blockIdx.x] += 1;
}

enum { AT_ENTRY, AT_END };
enum {
    WEIGHT_WORDS = 6
}; // of 16 bytes, for each of 256 threads: the 24 KB that a block reads in a small step

__device__ static unsigned sum_of(const uint4 *weights) {
    unsigned sum = 0;
    for (int i = 0; i < WEIGHT_WORDS; i++) {
        const uint4 w =
            load_stream(weights + (blockIdx.x * WEIGHT_WORDS + unsigned(i)) * blockDim.x + threadIdx.x);
        sum |= w.x | w.y | w.z | w.w;
    }
    return sum;
}

// The same under programmatic dependent launch. Weights, all zero, are read before the wait (early) or behind
// it.
__global__ void count_dependent(unsigned *counts, const uint4 *weights, int trigger, int early) {
    unsigned sum = 0;
    if (trigger == AT_ENTRY) dependency_trigger();
    if (weights && early) sum = sum_of(weights);
    dependency_wait();
    if (weights && !early) sum = sum_of(weights);
    if (sum || (counts && threadIdx.x == 0)) counts[blockIdx.x] += 1 + sum;
    if (trigger == AT_END) dependency_trigger();
}

struct Chain {
    Shape shape;
    int launches;
    unsigned *counts;
    const uint4 *weights;
    bool weighted; // count_dependent
    int trigger, early;
};

static cudaError_t enqueue_chain(Session &s, const void *context) {
    const Chain &c = *static_cast<const Chain *>(context);
    for (int i = 0; i < c.launches; i++)
        TRY(c.weighted ? launch(s, c.shape, count_dependent, c.counts, c.weights, c.trigger, c.early)
                       : launch(s, c.shape, count_launch, c.counts));
    return cudaSuccess;
}

// As often as it was launched, in each block.
static const char *check_chain(Session &s, Chain chain, unsigned *counts) {
    unsigned first = 0, last = 0;
    chain.launches = 7, chain.counts = counts;
    const size_t bytes = size_t(chain.shape.blocks) * sizeof *counts;
    cudaError_t status = cudaMemset(counts, 0, bytes);
    if (status == cudaSuccess) status = cudaDeviceSynchronize();
    if (status == cudaSuccess) status = enqueue_chain(s, &chain);
    if (status == cudaSuccess) status = read_word(s, counts, &first);
    if (status == cudaSuccess) status = read_word(s, counts + chain.shape.blocks - 1, &last);
    if (status != cudaSuccess) return error_of(status);
    return first == 7 && last == 7 ? nullptr : "a launch is missing, or did not wait";
}

enum { IN_STREAM, IN_GRAPH };

static void time_chain(Session &s, const char *what, const Chain &chain, int where, int per_step,
                       const char *words) {
    const Memory<unsigned> counts(size_t(chain.shape.blocks));
    double seconds = 0;
    const char *wrong = error_of(counts.status);
    if (!wrong) wrong = check_chain(s, chain, counts.data);
    if (!wrong)
        wrong = error_of(where == IN_GRAPH ? time_graph(s, enqueue_chain, &chain, &seconds)
                                           : time_stream(s, enqueue_chain, &chain, &seconds));
    report(s, what, seconds * 1e6 * per_step / chain.launches, "us", wrong, "%s, %s, %d blocks",
           where == IN_GRAPH ? "graph" : "stream", words, chain.shape.blocks);
}

static Chain chain_of(const Session &s, int blocks, int threads) {
    Chain chain = {};
    chain.shape.blocks = blocks, chain.shape.threads = threads;
    chain.launches = many(s, 500, 4);
    return chain;
}

static void measure_plain(Session &s) {
    const int sizes[3] = {32, 64, s.multiprocessors};
    for (int blocks : sizes) {
        if (blocks > s.multiprocessors) continue;
        Chain chain = chain_of(s, blocks, 256);
        time_chain(s, "launch to launch", chain, IN_STREAM, 1, "empty kernels");
        time_chain(s, "launch to launch", chain, IN_GRAPH, 1, "empty kernels");
        chain.shape.cooperative = true;
        time_chain(s, "launch to launch", chain, IN_GRAPH, 1, "cooperative");
    }
}

static void measure_dependent(Session &s) {
    const int blocks = s.multiprocessors;
    const Memory<uint4> weights(size_t(blocks) * WEIGHT_WORDS * 256);
    if (s.capability < 90) return;
    for (int trigger = AT_ENTRY; trigger <= AT_END; trigger++) {
        Chain chain = chain_of(s, blocks, 256);
        chain.shape.dependent = chain.weighted = true, chain.trigger = trigger;
        const bool entry = trigger == AT_ENTRY;
        time_chain(s, "dependent launch", chain, IN_STREAM, 1, entry ? "trigger at entry" : "trigger at end");
        time_chain(s, "dependent launch", chain, IN_GRAPH, 1, entry ? "trigger at entry" : "trigger at end");
        time_chain(s, "two dependent launches", chain, IN_GRAPH, 2,
                   entry ? "trigger at entry" : "trigger at end");
        chain.weights = weights.data;
        time_chain(s, "dependent launch, 24 KB", chain, IN_GRAPH, 1,
                   entry ? "trigger at entry, read after the wait" : "trigger at end, read after the wait");
        chain.early = 1;
        time_chain(s, "dependent launch, 24 KB", chain, IN_GRAPH, 1,
                   entry ? "trigger at entry, read before the wait" : "trigger at end, read before the wait");
    }
    Chain plain = chain_of(s, blocks, 256);
    plain.weighted = true, plain.weights = weights.data;
    time_chain(s, "launch to launch, 24 KB", plain, IN_GRAPH, 1, "no dependent launch");
}

void measure_launches(Session &s) {
    measure_plain(s);
    measure_dependent(s);
}

// ---- the host's part --------------------------------------------------------------------------------------

static void time_host_launches(Session &s, const Chain &chain, const char *words) {
    double samples[REPEATS];
    cudaError_t status = cudaSuccess;
    for (int i = -1; i < REPEATS && status == cudaSuccess; i++) { // fewer at once than a stream holds
        const double start = now();
        status = enqueue_chain(s, &chain);
        if (i >= 0) samples[i] = now() - start;
        if (status == cudaSuccess) status = cudaStreamSynchronize(s.stream);
    }
    const char *wrong = error_of(status);
    report(s, "host: cudaLaunchKernelEx", wrong ? 0 : median(samples) * 1e6 / chain.launches, "us", wrong,
           "%s", words);
}

static void time_pointer_attributes(Session &s, const void *pointer, const char *words) {
    const int calls = many(s, 2000, 3);
    double samples[REPEATS];
    cudaError_t status = cudaSuccess;
    for (int i = -1; i < REPEATS; i++) {
        cudaPointerAttributes attributes;
        const double start = now();
        for (int k = 0; k < calls && status == cudaSuccess; k++)
            status = cudaPointerGetAttributes(&attributes, pointer);
        if (i >= 0) samples[i] = now() - start;
    }
    report(s, "host: cudaPointerGetAttributes", median(samples) * 1e6 / calls, "us", error_of(status), "%s",
           words);
}

void measure_host_calls(Session &s) {
    const Memory<unsigned> device(1);
    Chain chain = chain_of(s, 1, 32);
    chain.launches = many(s, 400, 3);
    time_host_launches(s, chain, "no attribute");
    if (s.capability >= 90) {
        chain.shape.dependent = chain.weighted = true;
        time_host_launches(s, chain, "dependent");
        chain.shape.cluster = 1;
        time_host_launches(s, chain, "dependent, cluster");
    }
    time_pointer_attributes(s, device.data, "device memory");
    time_pointer_attributes(s, &chain, "host memory");
}

} // namespace gpu_probe
