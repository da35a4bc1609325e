/* cpu_isa.h: the instruction set of a CPU engine. */
#ifndef GRU_CPU_ISA_H
#define GRU_CPU_ISA_H

#include "core/context.h"
#include "core/engine.h"
#include "cpu_features.h"
#include "cpu_kernels.h"

/* The engines share everything but this (gru_engine.impl); cpu_reference has none. */
typedef struct gru_cpu_isa {
    const void *kernels, *kernels_f64; /* gru_cpu_kernels of each type of number (cpu_real.h) */
    const void *int8;                  /* gru_cpu_pair_kernels of int8 weights */
    const void *int8_dots;             /* the same with instructions of int8_dots_feature; NULL: none */
    uint32_t int8_dots_feature;
    const void
        *bf16; /* the same of bf16 weights with bf16 rows, with instructions of bf16_feature; NULL: none */
    uint32_t bf16_feature;
    uint32_t feature;    /* GRU_CPU_..., which the processor must have; 0: none */
    const char *missing; /* the reason when it does not */
} gru_cpu_isa;

/* Whether rows of x and h may be rounded to 16 bits. */
static inline int gru_cpu_may_narrow(const gru_layer *layer) {
    const int32_t type = layer->config.weight_type;
    return type == GRU_INT8 || (type == GRU_BF16 && layer->context->config.flags & GRU_ALLOW_BF16);
}

static inline const gru_cpu_kernels *gru_cpu_kernels_of(const gru_engine *engine) {
    const gru_cpu_isa *isa = engine->impl;
    return REAL_TYPE == GRU_F64 ? isa->kernels_f64 : isa->kernels;
}

/* The products of pairs of a layer's inference; NULL: it has none. */
static inline const gru_cpu_pair_kernels *gru_cpu_pairs_of(const gru_engine *engine, const gru_layer *layer) {
    const gru_cpu_isa *isa = engine->impl;
    if (!gru_cpu_may_narrow(layer)) return NULL;
    if (layer->config.weight_type == GRU_BF16)
        return gru_cpu_features() & isa->bf16_feature ? isa->bf16 : NULL;
    return gru_cpu_features() & isa->int8_dots_feature ? isa->int8_dots : isa->int8;
}

#endif
