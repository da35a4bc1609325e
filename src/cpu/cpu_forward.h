/* cpu_forward.h: the forward pass of the engines that use the kernel table. */
#ifndef GRU_CPU_FORWARD_H
#define GRU_CPU_FORWARD_H

#include "core/engine.h"

/* gru_engine_pass.workspace and .run, of plans whose own is a gru_cpu_call_plan and whose engine's impl is a gru_cpu_isa. */
size_t gru_cpu_forward_workspace(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_forward(const gru_job *jobs, const gru_plan *plan);
/* Those of layers of f64 (cpu_real.h). */
size_t gru_cpu_forward_workspace_f64(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_cpu_forward_f64(const gru_job *jobs, const gru_plan *plan);

#endif
