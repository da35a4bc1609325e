/* bench_problem.h: the numbers of one shape and the reference for them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROBLEM_H
#define BENCH_PROBLEM_H

#include "bench_type.h"
#include "bench_shapes.h"

/* What one call does.
 *   forward     a forward pass
 *   train       the same, and writes the reserve
 *   recurrence  recurrence and cell alone: the caller projects the input. With I = H the projection is the identity, so
 *               that libraries which can leave it out compute the same equation.
 *   streaming   a step (T = 1) of a stream, which carries its state from call to call
 *   backward    a backward pass with all gradients, after a forward pass that is not timed
 *   both        a training step of a layer: weights from plain arrays, forward, backward, gradients in plain arrays */
enum {
    BENCH_FORWARD,
    BENCH_TRAIN,
    BENCH_RECURRENCE,
    BENCH_STREAMING,
    BENCH_BACKWARD,
    BENCH_BOTH,
    BENCH_STAGES
};
extern const char *const bench_stage_names[BENCH_STAGES];
static inline int bench_stage_has_gradients(int stage) {
    return stage == BENCH_BACKWARD || stage == BENCH_BOTH;
}

enum { BENCH_DX, BENCH_DH0, BENCH_DW, BENCH_DR, BENCH_DBW, BENCH_DBR, BENCH_GRADIENTS };

enum { BENCH_GRU, BENCH_LSTM }; /* LSTM: gates i, f, g, o instead of r, z, n; forward only */

typedef struct bench_problem {
    bench_shape shape;
    int layer;      /* BENCH_GRU ... */
    int stage;      /* BENCH_FORWARD ... */
    int reset_mode; /* GRU_RESET_AFTER, _BEFORE or _ALL */
    int type; /* BENCH_F32 ...: all numbers below but reference are such that this type holds them exactly */
    int threads;
    double weights_unit;          /* of a candidate that rounds the weights: bench_weights_unit; 0: none */
    const float *W, *R, *bW, *bR; /* [3H][I] [3H][H] [3H] [3H], gates r, z, n */
    const float *x, *h0;          /* [T][N][I] [N][H] */
    const float *projected;       /* [T][N][3H]; NULL unless BENCH_RECURRENCE */
    const float *dy;              /* [T][N][H]; NULL unless the stage has gradients */
    float *y, *hT;                /* [T][N][H] [N][H] written by every candidate; with T = 1 y is optional */
    float *gradients
        [BENCH_GRADIENTS]; /* [T][N][I] [N][H] [3H][I] [3H][H] [3H] [3H] set likewise, NULL without dy */
    double *reference;     /* [steps][N][H] the first steps of y in double precision */
    double *gradient_reference
        [BENCH_GRADIENTS]; /* of these steps alone: of later ones dy is too small to be seen */
    int64_t steps;
} bench_problem;

void bench_problem_release(bench_problem *problem);

static inline int64_t bench_problem_gates(const bench_problem *problem) {
    return problem->layer == BENCH_LSTM ? 4 : 3;
}

int64_t bench_problem_gradient_count(const bench_shape *shape, int which); /* numbers of BENCH_DX ... */

/* Of one call, padding not counted. A backward pass has two products for each of forward: of data and of weights. */
double bench_problem_flops(const bench_problem *problem);

#endif
