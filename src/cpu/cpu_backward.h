/* cpu_backward.h: the backward pass of the engines that slice the kernel table, and what its stages know of a call.
 *
 * Chunks of steps, from the last to the first. Of each: what the cells saved (from the reserve, or computed again), the sweep
 * from step to step, dx of all its rows together, and the sums of the weights' gradients. */
#ifndef GRU_CPU_BACKWARD_H
#define GRU_CPU_BACKWARD_H

#include "core/engine.h"
#include "cpu_kernels.h"

size_t gru_cpu_backward_workspace(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_backward(const gru_cpu_kernels *kernels, const gru_job *jobs, int32_t count);

#endif
