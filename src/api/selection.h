/* selection.h: which engines can run a layer, and which of them runs a call. It refuses what no
 * engine of the backend has, such as int8 packed weights on CUDA. */
#ifndef GRU_SELECTION_H
#define GRU_SELECTION_H

#include "core/engine.h"

/* Fills layer->engines with those of its backend that accept the configuration, best first, down to one that runs every
 * size of each pass. GRU_UNSUPPORTED with the reasons if there is none. */
gru_status gru_layer_choose_engines(gru_layer *layer);

/* The most that any of the layer's engines needs for a pass, in bytes; SIZE_MAX: too large. T and N are 0 or more. */
size_t gru_layer_workspace(const gru_layer *layer, int64_t T, int64_t N, gru_pass pass);

/* Plans a pass of these checked jobs with the first engine of their layer that runs them: gru_plan_run takes the plan.
 * GRU_UNSUPPORTED with the reasons if none does. */
gru_status gru_plan_jobs(gru_pass pass, const gru_job *jobs, int32_t count, gru_plan *plan);
/* Whether it would find one for this run. At once where an engine of the layer runs every size. */
gru_status gru_check_plan(gru_pass pass, const gru_layer *layer, const gru_run *run);

#endif
