/* naive_gru.h: the equations of gru.h written a second time, as simply as possible. The reference engine is checked against them. */
#ifndef NAIVE_GRU_H
#define NAIVE_GRU_H

#include "problem.h"

enum { NAIVE_GRU_UNITS = 16 }; /* H at most */

/* Runs a dense problem of f64 numbers. The value is sum(dy * y) + sum(dhT * hT), whose derivatives backward must give.
 * y [T][N][H] and hT [N][H] are written unless NULL. *sides becomes a number that says on which side of each kink of
 * clip, relu and hard sigmoid every pre-activation lay. */
double naive_gru_run(const problem *p, double *y, double *hT, uint64_t *sides);

/* A function alone; alpha and beta as they are. */
double naive_activation(int32_t kind, double alpha, double beta, double v);

#endif
