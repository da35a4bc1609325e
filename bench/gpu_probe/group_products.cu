// group_products.cu: wgmma, the product of four warps: its time by the number of columns, and whether that
// number shows in a column's bits.  SPDX-License-Identifier: Apache-2.0
//
// A [64][16] and B [N][16], bf16, lie in shared memory without swizzle: cores of 8 rows by 16 bytes, 128
// bytes each, the two along k beside each other, so 128 bytes from core to core along k and 256 along the
// rows.
#include "probe_ptx.cuh"
#include "fragments.cuh"
#include "measurement.h"

#include <string.h>

namespace gpu_probe {

enum { ROWS = 64, DEPTH = 16, AT_ONCE = 16, STEPS = 4 }; // products between two waits; of a random sum

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

static __device__ uint64_t descriptor_of(const void *cores) {
    const uint64_t address = uint64_t(__cvta_generic_to_shared(cores));
    return (address & 0x3ffff) >> 4 | uint64_t(128 >> 4) << 16 | uint64_t(256 >> 4) << 32;
}

static __device__ void group_arrive() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
static __device__ void group_commit_and_wait() {
    asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
}

#define D4 "{%0, %1, %2, %3"
#define D8 D4 ", %4, %5, %6, %7"
#define D16 D8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define D32 D16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define D64                                                                                            \
    D32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
        "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define O4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define O8(i) O4(i), O4(i + 4)
#define O16(i) O8(i), O8(i + 8)
#define O32(i) O16(i), O16(i + 16)
#define O64(i) O32(i), O32(i + 32)
// COUNT sums in each thread; A and B: the numbers of the operands behind them.
#define PRODUCT(N, COUNT, A, B)                                                                              \
    static __device__ void group_multiply(float(&d)[COUNT], uint64_t a, uint64_t b) {                        \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 " D##COUNT "}, %" #A ", %" #B \
                                                                                          ", 1, 1, 1, 0, 0;" \
                     : O##COUNT(0)                                                                           \
                     : "l"(a), "l"(b));                                                                      \
    }
PRODUCT(8, 4, 4, 5)
PRODUCT(16, 8, 8, 9)
PRODUCT(32, 16, 16, 17)
PRODUCT(64, 32, 32, 33)
PRODUCT(128, 64, 64, 65)

// Where element (row, k) lies, in 16-bit elements.
static __device__ int place(int row, int k) {
    return row / 8 * 128 + k / 8 * 64 + row % 8 * 8 + k % 8;
}

// What asynchronous units read next was written by ordinary stores.
static __device__ void show_to_group() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
}

static __device__ uint16_t small_number(int row, int k) { // 0 to 7, exactly
    static const uint16_t bits[8] = {0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0};
    return bits[(row * 3 + k * 5) % 8];
}
static __device__ float small_value(int row, int k) {
    return float((row * 3 + k * 5) % 8);
}

// Thread t holds, in sums 4 j .. 4 j + 3, columns 8 j + 2 (t % 4) and the next, of row 16 (t / 32) + t % 32 /
// 4 and of the eighth row below it.
template <int COUNT>
static __device__ void check_sums(const float (&d)[COUNT], int rounds, unsigned *errors) {
    const int thread = int(threadIdx.x), first_row = thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
    for (int i = 0; i < COUNT; i++) { // unrolled, as sums stay in registers
        const int row = first_row + (i % 4 / 2) * 8, column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        float sum = 0;
        for (int k = 0; k < DEPTH; k++) sum += small_value(row, k) * small_value(column + 1, k);
        if (d[i] != sum * float(rounds)) atomicAdd(errors, 1u);
    }
}

template <int N> static __device__ void multiply_small_numbers(unsigned *errors, int rounds) {
    GRU_SHARED(uint16_t, a, [ROWS * DEPTH]);
    GRU_SHARED(uint16_t, b, [N * DEPTH]);
    for (int i = int(threadIdx.x); i < ROWS * DEPTH; i += 128)
        a[place(i / DEPTH, i % DEPTH)] = small_number(i / DEPTH, i % DEPTH);
    for (int i = int(threadIdx.x); i < N * DEPTH; i += 128)
        b[place(i / DEPTH, i % DEPTH)] = small_number(i / DEPTH + 1, i % DEPTH);
    show_to_group();
    float d[N / 2] = {};
    const uint64_t from_a = descriptor_of(a), from_b = descriptor_of(b);
#pragma unroll 1
    for (int round = 0; round < rounds; round += AT_ONCE) {
        group_arrive();
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) group_multiply(d, from_a, from_b);
        group_commit_and_wait();
    }
    if (rounds == AT_ONCE) check_sums(d, rounds, errors);
}

// One random product of N columns into results [block][ROWS][8]: its first eight columns. The others depend
// on salt.
template <int N> static __device__ void random_product(float *results, unsigned salt) {
    GRU_SHARED(uint16_t, a, [ROWS * DEPTH]);
    GRU_SHARED(uint16_t, b, [N * DEPTH]);
    const unsigned seed = blockIdx.x * 0x10000u;
    for (int i = int(threadIdx.x); i < ROWS * DEPTH; i += 128)
        a[place(i / DEPTH, i % DEPTH)] = uint16_t(two_random(seed + unsigned(i)));
    for (int i = int(threadIdx.x); i < N * DEPTH; i += 128)
        b[place(i / DEPTH, i % DEPTH)] =
            uint16_t(two_random(seed + 0x8000u + unsigned(i) + (i < 8 * DEPTH ? 0 : salt)));
    show_to_group();
    float d[N / 2] = {};
    group_arrive();
#pragma unroll
    for (int i = 0; i < STEPS; i++) group_multiply(d, descriptor_of(a), descriptor_of(b));
    group_commit_and_wait();
    const int thread = int(threadIdx.x), row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
    float *mine = results + (int(blockIdx.x) * ROWS + row) * 8 + column;
    mine[0] = d[0], mine[1] = d[1], mine[64] = d[2], mine[65] = d[3];
}

// The same product by mma.sync: a warp takes its 16 rows.
static __device__ void same_by_warps(float *results) {
    const unsigned seed = blockIdx.x * 0x10000u, warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4,
                   c = threadIdx.x % 4;
    const auto number = [seed](unsigned offset, unsigned row, unsigned k) {
        return two_random(seed + offset + row * DEPTH + k) & 0xffff;
    };
    const auto pair = [&number](unsigned offset, unsigned row, unsigned k) {
        return number(offset, row, k) | number(offset, row, k + 1) << 16;
    };
    const unsigned row = warp * 16 + g;
    const uint32_t a[4] = {pair(0, row, 2 * c), pair(0, row + 8, 2 * c), pair(0, row, 2 * c + 8),
                           pair(0, row + 8, 2 * c + 8)};
    const uint32_t b[2] = {pair(0x8000, g, 2 * c), pair(0x8000, g, 2 * c + 8)};
    float d[4] = {};
    for (int i = 0; i < STEPS; i++) mma_bf16(d, a, b);
    float *mine = results + (blockIdx.x * ROWS + row) * 8 + c * 2;
    mine[0] = d[0], mine[1] = d[1], mine[64] = d[2], mine[65] = d[3];
}
#endif

// Products of N columns, one behind the other into the same sums, a multiple of AT_ONCE; AT_ONCE of them are
// checked. Nothing on other chips.
template <int N> __global__ void multiply_in_group(unsigned *errors, int rounds) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    multiply_small_numbers<N>(errors, rounds);
#endif
}

// results [blocks][ROWS][8]: the first eight columns of a random product of N columns; N = 0: by mma.sync.
template <int N> __global__ void multiply_random(float *results, unsigned salt) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (N == 0)
        same_by_warps(results);
    else
        random_product<N>(results, salt);
#endif
}

struct Grouped {
    Shape shape;
    void (*kernel)(unsigned *, int);
    unsigned *errors;
    int rounds;
};

static cudaError_t enqueue_grouped(Session &s, const void *context) {
    const Grouped &g = *static_cast<const Grouped *>(context);
    return launch(s, g.shape, g.kernel, g.errors, g.rounds);
}

static cudaError_t time_grouped(Session &s, Grouped g, unsigned *errors, double *seconds) {
    double all = 0, few = 0;
    const int rounds = g.rounds;
    g.rounds = AT_ONCE;
    TRY(enqueue_grouped(s, &g));
    TRY(read_word(s, g.errors, errors));
    g.rounds = rounds;
    TRY(time_stream(s, enqueue_grouped, &g, &all));
    g.rounds = 320 * AT_ONCE;
    TRY(time_stream(s, enqueue_grouped, &g, &few));
    *seconds = (all - few) / (rounds - g.rounds);
    return cudaSuccess;
}

template <int N> static void measure_columns(Session &s) {
    const Memory<unsigned> memory(1);
    const Grouped g = {
        {s.multiprocessors, 128, 0, 0, false, false}, multiply_in_group<N>, memory.data, 3200 * AT_ONCE};
    unsigned errors = 0;
    double seconds = 0;
    const cudaError_t status = time_grouped(s, g, &errors, &seconds);
    const char *wrong = status != cudaSuccess ? error_of(status) : errors ? "a product is wrong" : nullptr;
    report(s, "wgmma m64 k16 bf16", seconds * 1e9, "ns", wrong, "n%d, one group, one sum", N);
    report(s, "wgmma m64 k16 bf16", 2.0 * ROWS * DEPTH * N * s.multiprocessors / seconds * 1e-12, "TFLOP/s",
           wrong, "n%d, one group, one sum", N);
}

// ---- bits -------------------------------------------------------------------------------------------------

enum { RANDOM_BLOCKS = 256, RESULTS = RANDOM_BLOCKS * ROWS * 8 };

static cudaError_t random_results(Session &s, void (*kernel)(float *, unsigned), unsigned salt,
                                  float *results) {
    const Memory<float> memory(RESULTS);
    const Shape shape = {RANDOM_BLOCKS, 128, 0, 0, false, false};
    TRY(memory.status);
    TRY(launch(s, shape, kernel, memory.data, salt));
    TRY(cudaStreamSynchronize(s.stream));
    return cudaMemcpy(results, memory.data, RESULTS * sizeof(float), cudaMemcpyDeviceToHost);
}

// How many results of the two have other bits. All zero would be a kernel that did nothing.
static void compare(Session &s, void (*one)(float *, unsigned), void (*other)(float *, unsigned),
                    unsigned salt, const char *words) {
    static float left[RESULTS], right[RESULTS];
    int different = 0, zeros = 0;
    cudaError_t status = random_results(s, one, 0, left);
    if (status == cudaSuccess) status = random_results(s, other, salt, right);
    for (int i = 0; i < RESULTS; i++) {
        different += memcmp(left + i, right + i, sizeof *left) != 0;
        zeros += left[i] == 0 || right[i] == 0;
    }
    const char *wrong = error_of(status);
    if (!wrong && zeros > RESULTS / 100) wrong = "the kernel did nothing";
    report(s, "wgmma: numbers with other bits", different, "", wrong, "%s, of %d", words, int(RESULTS));
}

void measure_group_products(Session &s) {
    if (s.capability != 90) return;
    measure_columns<8>(s);
    measure_columns<16>(s);
    measure_columns<32>(s);
    measure_columns<64>(s);
    measure_columns<128>(s);
    compare(s, multiply_random<128>, multiply_random<128>, 0x777, "n128, other columns changed");
    compare(s, multiply_random<8>, multiply_random<64>, 0, "n8 against n64");
    compare(s, multiply_random<8>, multiply_random<128>, 0, "n8 against n128");
    compare(s, multiply_random<8>, multiply_random<0>, 0, "n8 against mma.sync");
}

} // namespace gpu_probe
