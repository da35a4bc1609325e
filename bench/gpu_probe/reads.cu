// reads.cu: how fast weights come from L2 and from memory, in the tiles in which kernels read them.
// SPDX-License-Identifier: Apache-2.0
#include "probe_ptx.cuh"
#include "measurement.h"

namespace gpu_probe {

enum {
    TILE = 32,
    AHEAD = 8
}; // numbers of 16 bytes in a tile, one for each lane; tiles that a warp has on their way

__global__ void write_indices(unsigned *words, int64_t count) {
    const int64_t all = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += all)
        words[i] = unsigned(i);
}

// Each warp reads its share of count tiles, which begin at block * distance; sums [blocks]: of all words that
// were read, modulo 2^32. count: a multiple of warps * AHEAD.
__global__ void read_tiles(const uint4 *tiles, int64_t distance, int count, int rounds, unsigned *sums) {
    const unsigned warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint4 *mine = tiles + int64_t(blockIdx.x) * distance * TILE + lane;
    unsigned sum = 0;
    for (int round = 0; round < rounds; round++)
        for (unsigned tile = warp * AHEAD; tile < unsigned(count); tile += warps * AHEAD) {
            uint4 v[AHEAD];
#pragma unroll
            for (unsigned k = 0; k < AHEAD; k++) v[k] = load_stream(mine + int64_t(tile + k) * TILE);
#pragma unroll
            for (unsigned k = 0; k < AHEAD; k++) sum += v[k].x + v[k].y + v[k].z + v[k].w;
        }
    for (int bit = 16; bit; bit >>= 1) sum += __shfl_xor_sync(~0u, sum, bit);
    if (lane == 0) atomicAdd(sums + blockIdx.x, sum);
}

struct Reading {
    Shape shape;
    const uint4 *tiles;
    unsigned *sums;
    int64_t distance; // tiles from block to block; 0: all read the same
    int count, rounds;
};

static cudaError_t enqueue_reading(Session &s, const void *context) {
    const Reading &r = *static_cast<const Reading *>(context);
    return launch(s, r.shape, read_tiles, r.tiles, r.distance, r.count, r.rounds, r.sums);
}

// The sum of begin, begin + 1 .. begin + count - 1.
static unsigned sum_of_range(uint64_t begin, uint64_t count) {
    const uint64_t pairs = count % 2 ? count * ((count - 1) / 2) : count / 2 * (count - 1);
    return unsigned(begin * count + pairs);
}

static const char *check_reading(Session &s, Reading r) {
    const unsigned last = unsigned(r.shape.blocks - 1);
    const uint64_t words = uint64_t(r.count) * TILE * 4, begin = last * uint64_t(r.distance) * TILE * 4;
    unsigned sum = 0;
    cudaError_t status = cudaMemset(r.sums, 0, size_t(r.shape.blocks) * sizeof *r.sums);
    if (status == cudaSuccess) status = cudaDeviceSynchronize();
    if (status == cudaSuccess) status = enqueue_reading(s, &r);
    if (status == cudaSuccess) status = read_word(s, r.sums + last, &sum);
    if (status != cudaSuccess) return error_of(status);
    return sum == unsigned(r.rounds) * sum_of_range(begin, words) ? nullptr
                                                                  : "the words read are not those written";
}

static void measure_reading(Session &s, const char *what, int blocks, bool shared, int kilobytes,
                            int rounds) {
    Reading r = {};
    double seconds = 0;
    r.shape.blocks = blocks, r.shape.threads = 256;
    r.count = kilobytes * 2, r.rounds = rounds, r.distance = shared ? 0 : r.count;
    const int64_t words = int64_t(r.count) * TILE * 4 * (shared ? 1 : blocks);
    const Memory<unsigned> tiles(size_t(words), Memory<unsigned>::UNWRITTEN),
        sums(static_cast<size_t>(blocks));
    const Shape writers = {s.multiprocessors, 256, 0, 0, false, false};
    r.tiles = reinterpret_cast<const uint4 *>(tiles.data), r.sums = sums.data;
    const char *wrong = error_of(tiles.status != cudaSuccess ? tiles.status : sums.status);
    if (!wrong) wrong = error_of(launch(s, writers, write_indices, tiles.data, words));
    if (!wrong) wrong = check_reading(s, r);
    if (!wrong) wrong = error_of(time_stream(s, enqueue_reading, &r, &seconds));
    const double bytes = 1024.0 * kilobytes * blocks * rounds;
    report(s, what, bytes / seconds * 1e-9, "GB/s", wrong, "%d blocks, %d KB %s, %d times", blocks, kilobytes,
           shared ? "for all of them" : "for each", rounds);
}

void measure_reads(Session &s) {
    const int all = s.multiprocessors, rounds = many(s, 200, 1), size = many(s, 128, 64);
    measure_reading(s, "read from L2", all, false, size, rounds);
    measure_reading(s, "read from L2", all / 2, false, size, rounds);
    measure_reading(s, "read from L2", all, true, size, rounds);
    measure_reading(s, "read from L2", all / 2, true, size, rounds);
    if (s.brief) return;
    measure_reading(s, "read from memory", 8 * all, false, 2048, 1); // some 2 GB: no cache holds that
}

} // namespace gpu_probe
