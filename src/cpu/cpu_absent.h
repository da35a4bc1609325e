/* cpu_absent.h: y at the steps that a row does not have. */
#ifndef GRU_CPU_ABSENT_H
#define GRU_CPU_ABSENT_H

#include "core/layer.h"
#include "cpu_slice.h"

/* Fills in y of the absent steps of row n, as run->absent_output says, after y of its steps is written. */
void gru_cpu_fill_absent(const gru_layer *layer, const gru_run *run, int64_t n, gru_cpu_range units);

#endif
