/* check_run.h: decides whether the arguments of a run make sense, before anything is written. */
#ifndef GRU_CHECK_RUN_H
#define GRU_CHECK_RUN_H

#include "core/layer.h"

/* Every check of a forward run. resolved: a copy with strides filled in, for the engine. */
gru_status gru_check_forward(const gru_layer *layer, const gru_run *run, gru_run *resolved);

/* The same for a backward run. What backward does not look at (h0, y, hT, slots) is cleared in the copy. */
gru_status gru_check_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients,
                              gru_run *resolved, gru_gradients *resolved_gradients);

/* T, N, mode and the reserved words of a run. */
gru_status gru_check_sizes(const gru_run *run);

#endif
