// fragments.cuh: small numbers whose products can be checked exactly, and random ones whose bits can be
// compared.  SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_MACHINE_FRAGMENTS_CUH
#define BENCH_MACHINE_FRAGMENTS_CUH
#include <cuda_runtime.h>
#include <stdint.h>

namespace gpu_probe {

enum { BF16_ONE = 0x3f80, TWO_ONES = 0x3f803f80 };

static __device__ inline uint32_t mixed(uint32_t x) {
    x = (x ^ x >> 16) * 0x45d9f3bu;
    x = (x ^ x >> 16) * 0x45d9f3bu;
    return x ^ x >> 16;
}

// Two random bf16 between 2^-7 and 2^8 in size, either sign: sums of their products are rounded all the time.
static __device__ inline uint32_t two_random(uint32_t seed) {
    const uint32_t r = mixed(seed);
    const uint32_t low = (r & 0x807f) | (120 + (r >> 8 & 7)) << 7;
    const uint32_t high = (r >> 16 & 0x807f) | (120 + (r >> 24 & 7)) << 7;
    return low | high << 16;
}

} // namespace gpu_probe
#endif
