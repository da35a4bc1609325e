/* cpu_transpose.h: W and R transposed, for the products of the backward pass. */
#ifndef GRU_CPU_TRANSPOSE_H
#define GRU_CPU_TRANSPOSE_H

#include "cpu_backward_state.h"

/* Transposes the weights; each thread does a part. */
void gru_cpu_transpose_weights(const gru_cpu_backward_part *p);

/* Panels of outputs of the strips that p multiplies: of H (recurrent), or of I. */
gru_cpu_range gru_cpu_output_panels(const gru_cpu_backward_part *p, int recurrent);
/* The strip of `panels` panels of outputs from `panel` on, terms [first, first + K) of its chains; no bias. */
gru_cpu_strip gru_cpu_transposed_strip(const gru_cpu_backward_call *f, int recurrent, size_t panel,
                                       int32_t panels, size_t first, size_t K);

#endif
