// products.cu: mma.sync: how long one takes, how many a multiprocessor does, and whether a column's bits are
// its own.  SPDX-License-Identifier: Apache-2.0
#include "probe_ptx.cuh"
#include "fragments.cuh"
#include "measurement.h"

namespace gpu_probe {

// Products of ones in CHAINS sums at a time: each sum ends as 16 times the rounds, exactly.
template <int CHAINS> __global__ void multiply(unsigned *errors, int rounds) {
    const uint32_t a[4] = {TWO_ONES, TWO_ONES, TWO_ONES, TWO_ONES}, b[2] = {TWO_ONES, TWO_ONES};
    float sums[CHAINS][4] = {};
    for (int round = 0; round < rounds; round++)
#pragma unroll
        for (int chain = 0; chain < CHAINS; chain++) mma_bf16(sums[chain], a, b);
#pragma unroll
    for (int chain = 0; chain < CHAINS; chain++)
        for (int i = 0; i < 4; i++)
            if (sums[chain][i] != 16.0f * float(rounds)) atomicAdd(errors, 1u);
}

// The same random A and first column of B, the other seven columns once these and once those; counts[0]:
// blocks that compared, counts[1]: bits of the first column that differed.
__global__ void change_other_columns(unsigned *counts, int steps) {
    const unsigned lane = threadIdx.x, seed = blockIdx.x * 1000u;
    float sums[2][4] = {};
    for (unsigned step = 0; step < unsigned(steps); step++)
        for (unsigned version = 0; version < 2; version++) {
            uint32_t a[4], b[2];
            const unsigned other = lane < 4 ? 0 : version; // lanes 0 to 3 hold the first column of B
            for (unsigned i = 0; i < 4; i++) a[i] = two_random(((seed + step) * 4 + i) * 32 + lane);
            for (unsigned i = 0; i < 2; i++)
                b[i] = two_random((((seed + step) * 2 + i) * 32 + lane) * 2 + other + 0x80000000u);
            mma_bf16(sums[version], a, b);
        }
    const bool first = lane % 4 == 0; // sums 0 and 2 of these lanes are the first column
    if (first && __float_as_uint(sums[0][0]) != __float_as_uint(sums[1][0])) atomicAdd(counts + 1, 1u);
    if (first && __float_as_uint(sums[0][2]) != __float_as_uint(sums[1][2])) atomicAdd(counts + 1, 1u);
    if (lane == 0) atomicAdd(counts, 1u);
}

struct Multiplying {
    Shape shape;
    unsigned *errors;
    int chains, rounds;
};

static cudaError_t enqueue_multiplying(Session &s, const void *context) {
    const Multiplying &m = *static_cast<const Multiplying *>(context);
    void (*const kernel)(unsigned *, int) = m.chains == 1   ? multiply<1>
                                            : m.chains == 2 ? multiply<2>
                                            : m.chains == 4 ? multiply<4>
                                                            : multiply<8>;
    return launch(s, m.shape, kernel, m.errors, m.rounds);
}

static const char *wrong_product(Session &s, cudaError_t status, const unsigned *errors) {
    unsigned count = 0;
    if (status == cudaSuccess) status = read_word(s, errors, &count);
    if (status != cudaSuccess) return error_of(status);
    return count ? "a product is wrong" : nullptr;
}

// ns of one instruction of a warp, from many rounds less few; TFLOP/s of the whole device.
static void measure_multiplying(Session &s, int warps, int chains) {
    const Memory<unsigned> errors(1);
    double all = 0, few = 0;
    Multiplying m = {
        {s.multiprocessors, 32 * warps, 0, 0, false, false}, errors.data, chains, many(s, 50000, 20)};
    cudaError_t status = time_stream(s, enqueue_multiplying, &m, &all);
    const int rounds = m.rounds;
    m.rounds = rounds / 10;
    if (status == cudaSuccess) status = time_stream(s, enqueue_multiplying, &m, &few);
    const char *wrong = wrong_product(s, status, errors.data);
    const double each = (all - few) / (double(rounds - m.rounds) * chains);
    report(s, "mma.sync m16n8k16 bf16", each * 1e9, "ns", wrong, "%d warps, %d sums each", warps, chains);
    report(s, "mma.sync m16n8k16 bf16", 4096.0 * warps * s.multiprocessors / each * 1e-12, "TFLOP/s", wrong,
           "%d warps, %d sums each", warps, chains);
}

static void compare_columns(Session &s) {
    const Memory<unsigned> counts(2);
    const Shape shape = {many(s, 4096, 8), 32, 0, 0, false, false};
    unsigned compared = 0, different = 0;
    cudaError_t status = launch(s, shape, change_other_columns, counts.data, 16);
    if (status == cudaSuccess) status = read_word(s, counts.data, &compared);
    if (status == cudaSuccess) status = read_word(s, counts.data + 1, &different);
    const char *wrong = error_of(status);
    if (!wrong && compared != unsigned(shape.blocks)) wrong = "not all blocks compared";
    report(s, "mma.sync: numbers that other columns change", different, "", wrong, "of %d, 16 products each",
           shape.blocks * 16);
}

void measure_products(Session &s) {
    for (int chains = 1; chains <= 8; chains *= 2) measure_multiplying(s, 1, chains);
    for (int warps = 4; warps <= 16; warps *= 2) measure_multiplying(s, warps, 4);
    compare_columns(s);
}

} // namespace gpu_probe
