/* cpu_best_kernels.h: kernels for work that no engine was chosen for, such as packing weights. */
#ifndef GRU_CPU_BEST_KERNELS_H
#define GRU_CPU_BEST_KERNELS_H

#include "cpu_features.h"
#include "cpu_kernels.h"

/* The kernels of the best instruction set that this processor has and that is not hidden: those of f64 in files that are compiled
 * for it. */
static inline const gru_cpu_kernels *gru_cpu_best_kernels(void) {
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

#endif
