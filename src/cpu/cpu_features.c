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
/* The registers that the operating system saves: bits of XCR0. Only where cpuid says OSXSAVE. */
enum { SAVES_YMM = 0x06, SAVES_ZMM = 0xe6 };

static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Asked of the processor itself. __builtin_cpu_supports asks the compiler's runtime, which may know no processor (zig cc) or
 * not F16C (clang 14), and then the scalar engine runs, 30 to 55 times slower. */
static uint32_t x86_features(void) {
    const uint32_t needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed) return 0;
    const uint32_t saved = saved_registers();
    if ((saved & SAVES_YMM) != SAVES_YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!(b & bit_AVX2)) return 0;
    const int has_512 = (b & bit_AVX512F) && (b & bit_AVX512BW) && (saved & SAVES_ZMM) == SAVES_ZMM;
    if (!has_512) return GRU_CPU_AVX2;
    const uint32_t vnni = c & bit_AVX512VNNI ? GRU_CPU_AVX512_VNNI : 0;
    const int has_bf16 = a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & bit_AVX512BF16;
    return GRU_CPU_AVX2 | GRU_CPU_AVX512 | vnni | (has_bf16 ? GRU_CPU_AVX512_BF16 : 0);
}
#endif

static uint32_t find_features(void) {
#if defined(__x86_64__)
    return x86_features();
#elif defined(__aarch64__)
    return GRU_CPU_NEON; /* part of the architecture */
#else
    return 0;
#endif
}

/* The processor is asked once: in a virtual machine each cpuid takes microseconds. */
uint32_t gru_cpu_features(void) {
    enum { FOUND = 1u << 31 };
    static _Atomic uint32_t found;
    uint32_t features = atomic_load_explicit(&found, memory_order_relaxed);
    if (!features) {
        features = find_features() | FOUND;
        atomic_store_explicit(&found, features, memory_order_relaxed);
    }
    return features & ~(FOUND | atomic_load(&hidden));
}
