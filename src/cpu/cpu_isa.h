/* cpu_isa.h: the instruction set of a CPU engine. */
#ifndef GRU_CPU_ISA_H
#define GRU_CPU_ISA_H

#include "core/engine.h"
#include "cpu_kernels.h"

/* The engines share everything but this (gru_engine.impl); cpu_reference has none. */
typedef struct gru_cpu_isa {
    const void *kernels, *kernels_f64; /* gru_cpu_kernels of each type of number (cpu_real.h) */
    uint32_t feature;                  /* GRU_CPU_..., which the processor must have; 0: none */
    const char *missing;               /* the reason when it does not */
} gru_cpu_isa;

static inline const gru_cpu_kernels *gru_cpu_kernels_of(const gru_engine *engine) {
    const gru_cpu_isa *isa = engine->impl;
    return REAL_TYPE == GRU_F64 ? isa->kernels_f64 : isa->kernels;
}

#endif
