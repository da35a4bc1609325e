/* cpu_features.h: which instruction sets this processor has. */
#ifndef GRU_CPU_FEATURES_H
#define GRU_CPU_FEATURES_H

#include <stdint.h>

enum {
    GRU_CPU_AVX2 = 1,
    GRU_CPU_AVX512 = 2,
    GRU_CPU_NEON = 4,
    GRU_CPU_AVX512_VNNI = 8,
    GRU_CPU_AVX512_BF16 = 16
};

/* What the processor and its operating system support, without what is hidden. */
uint32_t gru_cpu_features(void);
/* Hides features from layers created later, so that tests can run the engines of other processors. */
void gru_cpu_features_hide(uint32_t features);

#endif
