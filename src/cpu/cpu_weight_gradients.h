/* cpu_weight_gradients.h: stage 5, the gradients of the input and of the weights. */
#ifndef GRU_CPU_WEIGHT_GRADIENTS_H
#define GRU_CPU_WEIGHT_GRADIENTS_H

#include "cpu_backward_state.h"

/* dx and dprojected of the chunk. */
void gru_cpu_input_gradients(gru_cpu_backward_work *work);
/* Those of absent steps. */
void gru_cpu_zero_absent(const gru_cpu_backward_work *work);
/* Accumulates the chunk's weight gradients. first: overwrites instead. gru_cpu_add_weight_gradients then adds the sums to the
 * caller's arrays. */
void gru_cpu_weight_gradients(gru_cpu_backward_work *work, int first);
void gru_cpu_add_weight_gradients(const gru_cpu_backward_work *work);

#endif
