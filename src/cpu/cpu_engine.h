/* cpu_engine.h: the CPU engines. */
#ifndef GRU_CPU_ENGINE_H
#define GRU_CPU_ENGINE_H

#include "core/engine.h"
#include "cpu_kernels.h"

extern const gru_engine gru_engine_cpu_reference;
extern const gru_engine gru_engine_cpu_scalar;
extern const gru_engine gru_engine_cpu_avx2;
extern const gru_engine gru_engine_cpu_avx512;
extern const gru_engine gru_engine_cpu_neon;

/* What tells the engines apart that share everything but kernels (gru_engine.impl): all but cpu_reference. */
typedef struct gru_cpu_isa {
    const gru_cpu_kernels *kernels;
    uint32_t feature;    /* GRU_CPU_..., which the processor must have; 0: none */
    const char *missing; /* the reason where it has not */
} gru_cpu_isa;

static inline const gru_cpu_kernels *gru_cpu_kernels_of(const gru_engine *engine) {
    return ((const gru_cpu_isa *)engine->impl)->kernels;
}

#endif
