/* run_memory.h: allocates the workspace and reserve of a run. */
#ifndef GRU_RUN_MEMORY_H
#define GRU_RUN_MEMORY_H

#include "gru/gru.h"

/* Of these sizes, for run->mode; sets the run's fields. */
gru_status gru_run_allocate(gru_context *context, const gru_sizes *sizes, gru_run *run);
/* GRU_BAD_ARGUMENT unless run is given and has no memory yet. */
gru_status gru_run_check_empty(const gru_run *run);

#endif
