/* cuda_absent_steps.h: launches for runs in which rows lack steps: the table of times of a mask or a ragged batch, and repeated
 * outputs. */
#ifndef GRU_CUDA_ABSENT_STEPS_H
#define GRU_CUDA_ABSENT_STEPS_H

#include "core/engine.h"
#include "cuda/kernels/cuda_kernels.h"

/* Whether the run needs the table: its steps are not told by lengths alone. */
int gru_cuda_has_timeline(const gru_run *run);
/* offsets, batch_sizes and batch_order; all NULL: the batch is not ragged, or run is NULL. */
gru_cuda_ragged gru_cuda_ragged_of(const gru_run *run);

/* Points seq, which has the run's fields, to the table in this part of the workspace, if the run needs it. */
void gru_cuda_use_timeline(const gru_run *run, void *memory, gru_cuda_sequence *seq);
/* Makes the table that seq uses, if any. Before all launches that read it. */
gru_status gru_cuda_make_timeline(const gru_job *job, const gru_cuda_sequence *seq);
/* After all steps: y at absent steps, if the run wants the latest output there. */
gru_status gru_cuda_repeat_outputs(const gru_job *job, const gru_cuda_sequence *seq);

#endif
