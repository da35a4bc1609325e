/* bench_problem.h: the numbers of one shape and the reference engine's answer to them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROBLEM_H
#define BENCH_PROBLEM_H

#include "format_number.h"
#include "bench_shapes.h"

/* What one call does: a whole forward pass; the same with a reserve for training; stages 2 and 3 alone (the input comes
 * projected; where I = H by identities, so that other libraries' input without a product is the same equation); one
 * streaming step; the backward pass of a forward pass that was made before, all gradients; or what a training step
 * needs of a layer: it takes over the weights from plain arrays, runs forward and backward and leaves the gradients in
 * plain arrays. */
enum { BENCH_FORWARD, BENCH_TRAIN, BENCH_RECURRENCE, BENCH_STEP, BENCH_BACKWARD, BENCH_BOTH, BENCH_STAGES };
extern const char *const bench_stage_names[BENCH_STAGES];
static inline int bench_has_gradients(int stage) {
    return stage == BENCH_BACKWARD || stage == BENCH_BOTH;
}

enum { BENCH_DX, BENCH_DH0, BENCH_DW, BENCH_DR, BENCH_DBW, BENCH_DBR, BENCH_GRADIENTS };

enum { BENCH_GRU, BENCH_LSTM }; /* LSTM: gates i, f, g, o instead of r, z, n; forward only */

typedef struct bench_problem {
    bench_shape shape;
    int cell;  /* BENCH_GRU ... */
    int stage; /* BENCH_FORWARD ... */
    int reset; /* GRU_RESET_AFTER, _BEFORE or _ALL */
    int type;  /* BENCH_F32 ...: all numbers below but truth are such that this type holds them exactly */
    int threads;
    const float *W, *R, *bW, *bR; /* [3H][I] [3H][H] [3H] [3H], gates r, z, n */
    const float *x, *h0;          /* [T][N][I] [N][H] */
    const float *projected;       /* [T][N][3H]; NULL unless BENCH_RECURRENCE */
    const float *dy;              /* [T][N][H]; NULL unless the stage has gradients */
    float *y, *hT;                /* [T][N][H] [N][H] written by every contestant; with T = 1 y is optional */
    float *gradients
        [BENCH_GRADIENTS]; /* [T][N][I] [N][H] [3H][I] [3H][H] [3H] [3H] set likewise, NULL without dy */
    double *truth;         /* [steps][N][H] the first steps of y in double precision */
    double
        *gradient_truth[BENCH_GRADIENTS]; /* of these steps alone: of later ones dy is too small to be seen */
    int64_t steps;
} bench_problem;

/* NULL, with a sentence on standard error, if memory or the reference engine fail. BENCH_STEP sets T to 1. */
bench_problem *bench_problem_create(const bench_shape *shape, int stage, int reset, int type);
/* An LSTM of this size, forward; the state c begins with zeros. */
bench_problem *bench_problem_create_lstm(const bench_shape *shape, int type);
void bench_problem_release(bench_problem *problem);

static inline int64_t bench_gates(const bench_problem *problem) {
    return problem->cell == BENCH_LSTM ? 4 : 3;
}

/* Fills y, hT (but for BENCH_BACKWARD, which reads them) and gradients with NaN, so that the next check sees only what
 * was written after this. */
void bench_problem_forget(const bench_problem *problem);
/* Compares y and hT (but for BENCH_BACKWARD) and gradients with the reference: 1 if they agree, else 0 and a sentence
 * in why[size]. y holds what the type can hold, hT that or its unrounded f32. */
int bench_problem_check(const bench_problem *problem, char *why, size_t size);

/* Of one call, padding not counted. A backward pass has two products for each of forward: of data and of weights. */
double bench_problem_flops(const bench_problem *problem);

#endif
