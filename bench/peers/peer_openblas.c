/* peer_openblas.c: what a program with a BLAS would do: one product for the input, one per step, then the cell in
 * vector loops of the compiler.  SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#undef I /* cblas.h brings complex.h, and I are the inputs here */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

#include "../candidate.h"

typedef struct blas {
    const bench_problem *problem;
    float *a, *c; /* [T][N][3H] [N][3H] */
} blas;

static void release(void *opaque) {
    blas *state = opaque;
    if (!state) return;
    free(state->a), free(state->c);
    free(state);
}

static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    (void)self;
    const bench_shape shape = problem->shape;
    if (problem->type != BENCH_F32 || problem->reset_mode != GRU_RESET_AFTER ||
        (problem->stage != BENCH_FORWARD && problem->stage != BENCH_STREAMING))
        return NULL;
    blas *state = calloc(1, sizeof *state);
    if (state) {
        state->problem = problem;
        state->a = malloc((size_t)(shape.T * shape.N * 3 * shape.H) * sizeof(float));
        state->c = malloc((size_t)(shape.N * 3 * shape.H) * sizeof(float));
    }
    if (!state || !state->a || !state->c) {
        (void)snprintf(why, BENCH_WHY, "out of memory");
        release(state);
        return NULL;
    }
    openblas_set_num_threads(problem->threads);
    return state;
}

/* result[rows][3H] += input[rows][K] matrix[3H][K]^T, result holding the bias before. */
static void add_product(const float *input, const float *matrix, int64_t rows, int64_t K, int64_t outputs,
                        float *result) {
    const blasint m = (blasint)rows, k = (blasint)K, n = (blasint)outputs;
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, matrix, k, input, 1, 1, result, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, input, k, matrix, k, 1, result, n);
}

static void repeat(const float *bias, int64_t rows, int64_t outputs, float *result) {
    for (int64_t row = 0; row < rows; row++)
        memcpy(result + row * outputs, bias, (size_t)outputs * sizeof *bias);
}

/* tanh as 2 sigmoid(2v) - 1, so that both vectorise over the same exponential. */
static void cell(const float *restrict a, const float *restrict c, const float *restrict h, int64_t H,
                 float *restrict next) {
    for (int64_t j = 0; j < H; j++) {
        const float r = 1 / (1 + expf(-(a[j] + c[j])));
        const float z = 1 / (1 + expf(-(a[H + j] + c[H + j])));
        const float n = 2 / (1 + expf(-2 * (a[2 * H + j] + r * c[2 * H + j]))) - 1;
        next[j] = n + z * (h[j] - n);
    }
}

static void run(void *opaque) {
    const blas *state = opaque;
    const bench_problem *p = state->problem;
    const bench_shape shape = p->shape;
    repeat(p->bW, shape.T * shape.N, 3 * shape.H, state->a);
    add_product(p->x, p->W, shape.T * shape.N, shape.I, 3 * shape.H, state->a);
    const float *h = p->h0;
    for (int64_t t = 0; t < shape.T; t++) {
        float *next = p->y + t * shape.N * shape.H;
        repeat(p->bR, shape.N, 3 * shape.H, state->c);
        add_product(h, p->R, shape.N, shape.H, 3 * shape.H, state->c);
        for (int64_t n = 0; n < shape.N; n++)
            cell(state->a + (t * shape.N + n) * 3 * shape.H, state->c + n * 3 * shape.H, h + n * shape.H,
                 shape.H, next + n * shape.H);
        h = next;
    }
    memcpy(p->hT, h, (size_t)(shape.N * shape.H) * sizeof *h);
}

const bench_candidate bench_peer_openblas = {
    .name = "OpenBLAS loop", .prepare = prepare, .run = run, .release = release};
