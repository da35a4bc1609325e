/* cpu_operands.h: what a run asks of the kernels: the variant of its cell and its weights as strips. */
#ifndef GRU_CPU_OPERANDS_H
#define GRU_CPU_OPERANDS_H

#include "cpu_kernels.h"

typedef struct gru_cpu_terms {
    gru_cpu_cell cell;
    gru_cpu_strip W, R, R_n; /* the first panel's; R_n: the candidate's second product of BEFORE */
    size_t W_pitch, R_pitch; /* bytes from one panel's weights to the next's */
} gru_cpu_terms;

/* By pointer and field by field: for a streaming step, clearing and copying such structs would take longer than its sums. */
void gru_cpu_terms_of(const gru_layer *layer, const gru_run *run, gru_cpu_terms *terms);

static inline gru_cpu_strip gru_cpu_strip_at(const gru_cpu_strip *first, size_t pitch, size_t panel) {
    gru_cpu_strip strip = *first;
    strip.weights = (const char *)first->weights + panel * pitch;
    strip.bias += panel * GATES * PANEL;
    return strip;
}

#endif
