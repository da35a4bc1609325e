/* cpu_recompute.h: the activations that a reserve does not hold, computed again. */
#ifndef GRU_CPU_RECOMPUTE_H
#define GRU_CPU_RECOMPUTE_H

#include "cpu_backward_state.h"

/* Computes the activations of the chunk that the forward pass would have saved, for the current part. */
void gru_cpu_recompute(gru_cpu_backward_work *work);
/* BEFORE, after that has run for all parts: those of the candidate, whose product reads all of r h. Others: nothing. */
void gru_cpu_recompute_candidate(gru_cpu_backward_work *work);

#endif
