/* check_steps.h: checks what says which steps each sequence has: lengths, a mask, offsets or batch sizes. */
#ifndef GRU_CHECK_STEPS_H
#define GRU_CHECK_STEPS_H

#include "gru/gru.h"

/* Which of the fields are given, and the numbers beside them. Follows no pointer. */
gru_status gru_check_steps_fields(const gru_run *run);

/* What lengths, offsets, batch_sizes and batch_order hold, in host memory. */
gru_status gru_check_steps(const gru_run *run);

#endif
