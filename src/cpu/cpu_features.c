/* cpu_features.c: queries the instruction sets of the processor; tests can hide some. */
#include "cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdatomic.h>

static _Atomic uint32_t hidden;

void gru_cpu_features_hide(uint32_t features) {
    atomic_store(&hidden, features);
}

#if defined(__x86_64__)
/* Asked of the processor itself: clang 14 has no word for it. The system's part is that of AVX2. */
static int has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

uint32_t gru_cpu_features(void) {
    uint32_t features = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        features |= GRU_CPU_AVX2;
    if ((features & GRU_CPU_AVX2) && __builtin_cpu_supports("avx512f")) features |= GRU_CPU_AVX512;
#elif defined(__aarch64__)
    features |= GRU_CPU_NEON; /* part of the architecture */
#endif
    return features & ~atomic_load(&hidden);
}
