/* cpu_between_layers.h: what a stack does between its layers. */
#ifndef GRU_CPU_BETWEEN_LAYERS_H
#define GRU_CPU_BETWEEN_LAYERS_H

#include "core/engine.h"

/* The functions of the same names in gru_backend. */
gru_status gru_cpu_combine(gru_context *context, const gru_combination *combination, void *stream);
gru_status gru_cpu_apply_dropout(gru_context *context, const gru_dropout *dropout, void *stream);

#endif
