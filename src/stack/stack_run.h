/* stack_run.h: runs a stack's call whose arguments are known to be right. */
#ifndef GRU_STACK_RUN_H
#define GRU_STACK_RUN_H

#include "stack_layout.h"

gru_status gru_stack_run_forward(gru_stack_call *call);

#endif
