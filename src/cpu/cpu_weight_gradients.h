/* cpu_weight_gradients.h: stage 5, the gradients of the input and of the weights. */
#ifndef GRU_CPU_WEIGHT_GRADIENTS_H
#define GRU_CPU_WEIGHT_GRADIENTS_H

#include "cpu_backward_state.h"

/* Chooses where the sums are made: in the memory of the call, which is laid out, or in dW and dR. */
void gru_cpu_place_weight_sums(gru_cpu_backward_call *call);
/* dx and dprojected of the chunk, for the current part. */
void gru_cpu_input_gradients(gru_cpu_backward_work *work);
/* Those of absent steps. */
void gru_cpu_zero_absent(const gru_cpu_backward_work *work);
/* Accumulates the chunk's weight gradients, in phases of their own. first: overwrites instead. */
void gru_cpu_weight_gradients(gru_cpu_backward_work *work, int first);
/* After the last chunk: adds the sums to the caller's arrays where they were not made there, for the current part. */
void gru_cpu_add_weight_gradients(const gru_cpu_backward_work *work);

#endif
