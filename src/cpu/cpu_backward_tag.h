/* cpu_backward_tag.h: lets a call for the gradients of weights check that the workspace holds the data part of the same
 * run. */
#ifndef GRU_CPU_BACKWARD_TAG_H
#define GRU_CPU_BACKWARD_TAG_H

#include "core/error.h"

/* At the start of the workspace. */
enum { GRU_CPU_TAG_BYTES = 64 };

/* Who wrote the data part: cpu_reference, or the other engines in f32 or in f64. 0: nobody. */
enum { GRU_CPU_TAG_REFERENCE = 1, GRU_CPU_TAG_F32 = 2, GRU_CPU_TAG_F64 = 3 };

/* GRU_GRAD_DATA, GRU_GRAD_WEIGHTS or both. */
uint32_t gru_cpu_wanted_parts(const gru_gradients *gradients);
void gru_cpu_backward_tag_write(const gru_run *run, int32_t owner);
/* GRU_BAD_ARGUMENT unless this owner wrote the tag for this run. */
gru_status gru_cpu_backward_tag_check(const gru_run *run, int32_t owner);

#endif
