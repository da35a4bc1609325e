/* cpu_backward_tag.h: lets the weight part of a backward pass tell whether the workspace holds the data part of the same run. */
#ifndef GRU_CPU_BACKWARD_TAG_H
#define GRU_CPU_BACKWARD_TAG_H

#include "core/error.h"

/* Of the workspace, from its start. */
enum { GRU_CPU_TAG_BYTES = 64 };

/* Whose data part it is: cpu_reference's, or that of the engines of one body. 0: nobody's. */
enum { GRU_CPU_TAG_F64 = 1, GRU_CPU_TAG_F32 = 2 };

/* GRU_GRAD_DATA, GRU_GRAD_WEIGHTS or both. */
uint32_t gru_cpu_wanted_parts(const gru_gradients *gradients);
void gru_cpu_backward_tag_write(const gru_run *run, int32_t owner);
/* GRU_BAD_ARGUMENT if the workspace is not signed by this owner for this run. */
gru_status gru_cpu_backward_tag_check(const gru_run *run, int32_t owner);

#endif
