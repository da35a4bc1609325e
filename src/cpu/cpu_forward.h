/* cpu_forward.h: the forward pass of the engines that slice the kernel table. */
#ifndef GRU_CPU_FORWARD_H
#define GRU_CPU_FORWARD_H

#include "core/engine.h"
#include "cpu_kernels.h"

size_t gru_cpu_forward_workspace(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_forward(const gru_cpu_kernels *kernels, const gru_job *jobs, int32_t count);

#endif
