/* cpu_transpose.h: W and R transposed, for the products of the backward pass. */
#ifndef GRU_CPU_TRANSPOSE_H
#define GRU_CPU_TRANSPOSE_H

#include "cpu_backward_state.h"

/* Transposes the weights, for the current part. */
void gru_cpu_transpose_weights(const gru_cpu_backward_work *work);

/* The current part's blocks of 16 outputs: of H (recurrent), or of I. */
gru_cpu_range gru_cpu_output_blocks(const gru_cpu_backward_work *work, int recurrent);
/* The panel of `blocks` blocks of outputs from `block` on, k in [first, first + K); no bias. */
gru_cpu_panel gru_cpu_transposed_panel(const gru_cpu_backward_call *call, int recurrent, size_t block,
                                       int32_t blocks, size_t first, size_t K);

#endif
