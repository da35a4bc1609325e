/* cpu_backward_step.h: stage 4, backpropagation through time, step by step. */
#ifndef GRU_CPU_BACKWARD_STEP_H
#define GRU_CPU_BACKWARD_STEP_H

#include "cpu_backward_state.h"

/* Before the first chunk: dh from dhT. For each chunk: steps end - 1 .. begin. After the last: dh0 and dh_restart. */
void gru_cpu_load_dh(const gru_cpu_backward_work *work);
void gru_cpu_backward_steps(gru_cpu_backward_work *work);
void gru_cpu_store_dh(const gru_cpu_backward_work *work);

#endif
