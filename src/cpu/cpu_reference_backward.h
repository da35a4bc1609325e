/* cpu_reference_backward.h: the backward pass of the reference engine. */
#ifndef GRU_CPU_REFERENCE_BACKWARD_H
#define GRU_CPU_REFERENCE_BACKWARD_H

#include "core/engine.h"

size_t gru_reference_backward_workspace(const gru_layer *layer, int64_t T, int64_t N);
gru_status gru_reference_backward(const gru_job *jobs, const gru_plan *plan);

#endif
