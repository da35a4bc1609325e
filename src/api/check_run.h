/* check_run.h: checks the arguments of a run before anything is written. */
#ifndef GRU_CHECK_RUN_H
#define GRU_CHECK_RUN_H

#include "core/layer.h"

/* Every check of a forward run. checked: a copy for the engine, with all strides filled in. */
gru_status gru_check_forward(const gru_layer *layer, const gru_run *run, gru_run *checked);

/* The same for a backward run. The copy has no h0, y, hT and slots, which backward does not read. */
gru_status gru_check_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients,
                              gru_run *checked, gru_gradients *checked_gradients);

/* T, N, mode and the reserved words of a run. */
gru_status gru_check_run_fields(const gru_run *run);

#endif
