/* stack_run.h: runs a stack's call whose arguments are known to be right. */
#ifndef GRU_STACK_RUN_H
#define GRU_STACK_RUN_H

#include "stack_layout.h"

gru_status gru_stack_run_forward(gru_stack_call *call);

/* Copies the learned initial state of direction d to N dense rows; where there is none, leaves them as they are. */
gru_status gru_stack_repeat_initial_state(const gru_stacked_layer *layer, int32_t d, int64_t N, void *rows,
                                          void *stream);

#endif
