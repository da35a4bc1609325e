/* cpu_backward_step.h: stage 4, backpropagation through time, step by step. */
#ifndef GRU_CPU_BACKWARD_STEP_H
#define GRU_CPU_BACKWARD_STEP_H

#include "cpu_backward_state.h"

/* Before the first chunk: dh from dhT, for the current part. */
void gru_cpu_load_dh(const gru_cpu_backward_work *work);
/* For each chunk: steps end - 1 .. begin; of the rows of the current part, or of all rows in phases whose parts have units. */
void gru_cpu_backward_steps_of_rows(gru_cpu_backward_work *work);
void gru_cpu_backward_steps_by_units(gru_cpu_backward_work *work);
/* After the last: dh0 and dh_restart, for the current part. */
void gru_cpu_store_dh(const gru_cpu_backward_work *work);

#endif
