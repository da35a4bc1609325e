/* cpu_backward.h: the backward pass of the engines that use the kernel table.
 *
 * Chunks of steps, from the last to the first. For each: the saved activations, from the reserve or recomputed; the backward
 * recurrence, step by step; dx of all rows together; and the sums of the weight gradients. */
#ifndef GRU_CPU_BACKWARD_H
#define GRU_CPU_BACKWARD_H

#include "core/engine.h"

/* gru_engine_pass.workspace and .run, of plans as gru_cpu_forward takes them. */
size_t gru_cpu_backward_workspace(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_backward(const gru_job *jobs, const gru_plan *plan);
/* Those of layers of f64 (cpu_real.h). */
size_t gru_cpu_backward_workspace_f64(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_backward_f64(const gru_job *jobs, const gru_plan *plan);

#endif
