// block_exchange.cu: the latency of data from one block to another: across the grid's barrier, behind a flag, and as
// words that carry their round.  SPDX-License-Identifier: Apache-2.0
#include <cooperative_groups.h>

#include "probe_ptx.cuh"
#include "measurement.h"

namespace gpu_probe {

enum { LINE = 32 }; // words, 128 bytes: the distance between the words of two blocks

// Each block stores the round and reads its neighbour's; words [2][blocks][LINE]. NULL: barriers only.
__global__ void sync_grid(unsigned *words, unsigned *errors, int rounds) {
    const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    const unsigned neighbour = (blockIdx.x + 1) % gridDim.x;
    for (int round = 1; round <= rounds; round++) {
        unsigned *now = words + unsigned(round % 2) * gridDim.x * LINE;
        if (words && threadIdx.x == 0) now[blockIdx.x * LINE] = unsigned(round);
        grid.sync();
        if (words && threadIdx.x == 0 && now[neighbour * LINE] != unsigned(round)) atomicAdd(errors, 1u);
    }
}

enum { PATIENCE = 1 << 24 }; // polls, some seconds: data that never arrives is an error, not a hang

static __device__ bool wait_for(const unsigned *flag, unsigned value) {
    for (int poll = 0; poll < PATIENCE; poll++) {
        if (load_acquire(flag) == value) return true;
        spin_pause();
    }
    return false;
}

static __device__ unsigned payload_of(int round, unsigned side) {
    return unsigned(round) * 2654435761u + side;
}

// The first and the last block send a payload back and forth; those between poll the first flag.
// words: payload and flag of each side, LINE apart. Two exchanges in a round.
__global__ void exchange_by_flag(unsigned *words, unsigned *errors, int rounds) {
    unsigned *payloads = words, *flags = words + 2 * LINE;
    if (threadIdx.x != 0) return;
    const bool plays = blockIdx.x == 0 || blockIdx.x == gridDim.x - 1;
    const unsigned side = blockIdx.x == 0 ? 0 : 1, other = 1 - side;
    for (int round = 1; plays && round <= rounds; round++) {
        if (side == 0) {
            payloads[0] = payload_of(round, 0);
            store_release(flags, unsigned(round));
        }
        if (!wait_for(flags + other * LINE, unsigned(round)) ||
            payloads[other * LINE] != payload_of(round, other)) {
            atomicAdd(errors, 1u);
            return;
        }
        if (side == 1) {
            payloads[LINE] = payload_of(round, 1);
            store_release(flags + LINE, unsigned(round));
        }
    }
    if (!plays && !wait_for(flags, unsigned(rounds))) atomicAdd(errors, 1u);
}

static __device__ uint4 stamped(int round,
                                unsigned side) { // the round in each word, beside 16 bits of payload
    const unsigned tag = unsigned(round & 0xffff) << 16;
    return {tag | (side << 8 | threadIdx.x), tag | 1, tag | 2, tag | 3};
}

static __device__ bool arrived(uint4 v, int round) {
    const unsigned tag = unsigned(round & 0xffff);
    return v.x >> 16 == tag && v.y >> 16 == tag && v.z >> 16 == tag && v.w >> 16 == tag;
}

// What lies there in the end, whether or not it has come; patience: looks.
static __device__ uint4 poll(const uint4 *place, int round, int patience) {
    uint4 v = load_relaxed(place);
    for (int poll = 0; poll < patience && !arrived(v, round); poll++) {
        spin_pause();
        v = load_relaxed(place);
    }
    return v;
}

// A warp of each of two blocks: 512 bytes to and fro, 16 from a lane, no flag and no fence: each word carries
// its round. lines [2][32]. Nobody stores round + 1 before the other has read the round, so one line for each
// side is enough.
__global__ void exchange_by_data(uint4 *lines, unsigned *errors, int rounds) {
    const unsigned side = blockIdx.x, other = 1 - side;
    int patience = PATIENCE;
    for (int round = 1; round <= rounds; round++) {
        if (side == 0) store_relaxed(lines + threadIdx.x, stamped(round, 0));
        const uint4 got = poll(lines + other * 32 + threadIdx.x, round, patience);
        const uint4 wanted = stamped(round, other);
        if (got.x != wanted.x || got.y != wanted.y || got.z != wanted.z || got.w != wanted.w) {
            atomicAdd(errors, 1u);
            patience = 0;
        }
        __syncwarp();
        if (side == 1) store_relaxed(lines + 32 + threadIdx.x, stamped(round, 1));
    }
}

// ---- times ------------------------------------------------------------------------------------------------

struct Exchange {
    Shape shape;
    unsigned *words, *errors;
    int rounds;
    bool by_data;
};

// Words begin at zero, which is no round.
static cudaError_t enqueue_exchange(Session &s, const void *context) {
    const Exchange &args = *static_cast<const Exchange *>(context);
    TRY(cudaMemsetAsync(args.words, 0, 4 * LINE * 2 * sizeof(unsigned), s.stream));
    if (args.by_data)
        return launch(s, args.shape, exchange_by_data, reinterpret_cast<uint4 *>(args.words), args.errors,
                      args.rounds);
    return launch(s, args.shape, exchange_by_flag, args.words, args.errors, args.rounds);
}

static cudaError_t enqueue_sync(Session &s, const void *context) {
    const Exchange &args = *static_cast<const Exchange *>(context);
    return launch(s, args.shape, sync_grid, args.words, args.errors, args.rounds);
}

static const char *wrong_of(Session &s, cudaError_t status, const unsigned *errors) {
    unsigned count = 0;
    if (status == cudaSuccess) status = read_word(s, errors, &count);
    if (status != cudaSuccess) return error_of(status);
    return count ? "a number did not arrive" : nullptr;
}

// A launch costs as much as some rounds: times of many rounds less those of few.
static cudaError_t time_rounds(Session &s, Enqueue enqueue, Exchange exchange, double *seconds_each) {
    double all = 0, few = 0;
    const int rounds = exchange.rounds;
    TRY(time_stream(s, enqueue, &exchange, &all));
    exchange.rounds = rounds / 10 + 1;
    TRY(time_stream(s, enqueue, &exchange, &few));
    *seconds_each = (all - few) / (rounds - exchange.rounds);
    return cudaSuccess;
}

static void measure_sync(Session &s, int blocks) {
    const Memory<unsigned> words(size_t(2 * blocks * LINE)), errors(1);
    Exchange exchange = {};
    double seconds = 0;
    exchange.shape.blocks = blocks, exchange.shape.threads = 256, exchange.shape.cooperative = true;
    exchange.words = words.data, exchange.errors = errors.data, exchange.rounds = many(s, 100, 4);
    const char *wrong = wrong_of(s, enqueue_sync(s, &exchange), errors.data);
    exchange.words = nullptr, exchange.rounds = many(s, 2000, 20);
    if (!wrong) wrong = error_of(time_rounds(s, enqueue_sync, exchange, &seconds));
    report(s, "grid.sync", seconds * 1e6, "us", wrong, "%d blocks of 256", blocks);
}

static void measure_exchange(Session &s, bool by_data, int blocks, const char *what,
                             const char *words_of_it) {
    const Memory<unsigned> words(8 * LINE), errors(1);
    Exchange exchange = {};
    double seconds = 0;
    exchange.shape.blocks = blocks, exchange.shape.threads = 32, exchange.shape.cooperative = true;
    exchange.words = words.data, exchange.errors = errors.data, exchange.by_data = by_data,
    exchange.rounds = many(s, 5000, 20);
    const cudaError_t status = time_rounds(s, enqueue_exchange, exchange, &seconds);
    report(s, what, seconds * 0.5e6, "us", wrong_of(s, status, errors.data), "%s, %d blocks", words_of_it,
           blocks);
}

void measure_block_exchange(Session &s) {
    const int sizes[3] = {32, 64, s.multiprocessors};
    for (int blocks : sizes)
        if (blocks <= s.multiprocessors) measure_sync(s, blocks);
    measure_exchange(s, false, 2, "exchange by flag", "payload, release, acquire");
    measure_exchange(s, false, s.multiprocessors, "exchange by flag", "the same, all others poll");
    measure_exchange(s, true, 2, "exchange by data", "512 bytes, relaxed, each word carries its round");
}

} // namespace gpu_probe
