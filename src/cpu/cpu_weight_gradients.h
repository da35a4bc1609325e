/* cpu_weight_gradients.h: stage 5, the gradients of the input and of the weights. */
#ifndef GRU_CPU_WEIGHT_GRADIENTS_H
#define GRU_CPU_WEIGHT_GRADIENTS_H

#include "cpu_backward_state.h"

/* Stage 5: dx and dprojected of the chunk; zeros past lengths. */
void gru_cpu_input_gradients(gru_cpu_backward_work *work);
void gru_cpu_zero_past_lengths(const gru_cpu_backward_work *work);
/* The chunk's part of the sums; then all of them to where they are wanted. first: no sums stand there yet. */
void gru_cpu_weight_gradients(gru_cpu_backward_work *work, int first);
void gru_cpu_add_weight_gradients(const gru_cpu_backward_work *work);

#endif
