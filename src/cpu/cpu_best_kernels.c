/* cpu_best_kernels.c: the kernels of the best instruction set of this processor. */
#include "cpu_best_kernels.h"

#include "cpu_features.h"

const gru_cpu_kernels *gru_cpu_best_kernels(void) {
    const uint32_t features = gru_cpu_features();
#if defined(__x86_64__)
    if (features & GRU_CPU_AVX512) return &gru_cpu_kernels_avx512;
    if (features & GRU_CPU_AVX2) return &gru_cpu_kernels_avx2;
#elif defined(__aarch64__)
    if (features & GRU_CPU_NEON) return &gru_cpu_kernels_neon;
#endif
    (void)features;
    return &gru_cpu_kernels_scalar;
}
