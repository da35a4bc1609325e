/* cpu_operands.h: what a run asks of the kernels: the variant of its cell and its weights as strips. */
#ifndef GRU_CPU_OPERANDS_H
#define GRU_CPU_OPERANDS_H

#include "cpu_kernels.h"
#include "cpu_slice.h"

typedef struct gru_cpu_operands {
    gru_cpu_cell cell;
    gru_cpu_panel W, R, R_n; /* the first panel's; R_n: the candidate's second product of BEFORE */
    size_t W_pitch, R_pitch; /* bytes from one panel's weights to the next's */
} gru_cpu_operands;

/* By pointer and field by field: for a streaming step, clearing and copying such structs would take longer than its sums. */
void gru_cpu_operands_of(const gru_layer *layer, const gru_run *run, gru_cpu_operands *operands);

static inline gru_cpu_panel gru_cpu_panel_at(const gru_cpu_panel *first, size_t pitch, size_t index) {
    gru_cpu_panel panel = *first;
    panel.weights = (const char *)first->weights + index * pitch;
    panel.bias += index * GATES * PANEL;
    return panel;
}

/* Stage 1 where the caller brought W x + bW: row (t, n) of run.projected, [3][H] of io_type, into the panels of a,
 * [P][3][16]; zeros past H. */
void gru_cpu_load_projected(const gru_layer_config *config, const gru_run *run, gru_cpu_range panels,
                            int64_t t, int64_t n, float *a);

#endif
