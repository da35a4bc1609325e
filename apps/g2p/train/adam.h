/* adam.h: Adam (Kingma and Ba, 2015), after clipping by the global norm. */
#ifndef G2P_ADAM_H
#define G2P_ADAM_H

#include <stddef.h>

#include "worker_pool.h"

typedef struct adam {
    float *parameters, *gradients; /* [count] the caller's */
    float *mean, *square; /* [count] running means of the gradients and of their squares; zeros at first */
    size_t count;
} adam;

/* The gradients' Euclidean norm: infinite or NaN when one of them is, or too large. */
double adam_norm(worker_pool *pool, const adam *a);

/* One step; step counts from 1. Gradients longer than the clip are shortened to it. */
void adam_step(worker_pool *pool, const adam *a, int64_t step, double rate, double norm, double clip);

#endif
