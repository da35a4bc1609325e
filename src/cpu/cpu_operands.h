/* cpu_operands.h: the operands of the kernels: the variant of the cell, and the weights as panels. */
#ifndef GRU_CPU_OPERANDS_H
#define GRU_CPU_OPERANDS_H

#include "cpu_kernels.h"
#include "cpu_slice.h"

typedef struct gru_cpu_operands {
    gru_cpu_cell cell;
    gru_cpu_panel W, R,
        R_n; /* the first panel's, but lanes is H; R_n: the candidate's second product of BEFORE */
    size_t W_pitch, R_pitch; /* bytes from one panel's weights to the next's */
    gru_activation
        functions[2]; /* what cell.functions points to, if anything: so operands stay where they are */
} gru_cpu_operands;

/* By pointer and field by field: clearing and copying the struct would take longer than the arithmetic of a streaming
 * step. */
void gru_cpu_operands_of(const gru_layer *layer, const gru_run *run, gru_cpu_operands *operands);

/* Stage 1 if the caller gives W x + bW: copies row (t, n) of run.projected, [3][H] of io_type, into the panels of a,
 * [P][3][16]; zeros past H. */
void gru_cpu_load_projected(const gru_layer_config *config, const gru_run *run, gru_cpu_range panels,
                            int64_t t, int64_t n, real *a);

#endif
