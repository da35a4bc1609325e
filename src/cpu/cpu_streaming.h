/* cpu_streaming.h: the streaming step: one step of one row. */
#ifndef GRU_CPU_STREAMING_H
#define GRU_CPU_STREAMING_H

#include "core/engine.h"
#include "cpu_kernels.h"

/* Whether gru_cpu_streaming_step can run it; any other run goes through the loops of cpu_forward.c. */
int gru_cpu_streaming_fits(const gru_layer *layer, const gru_run *run);
/* gru_engine.prepare_step of the engines whose impl is a gru_cpu_isa. */
int gru_cpu_prepare_step(const gru_engine *self, const gru_layer *layer, gru_step *step);
void gru_cpu_streaming_step(const gru_engine *engine, const gru_layer *layer, const gru_run *run);

#endif
