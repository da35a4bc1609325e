/* peer_plain.c: the three loops that anybody writes first, as the compiler makes them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "../candidate.h"

typedef struct plain {
    const bench_problem *problem;
    float *gates; /* [2][3H]: a = W x + bW, c = R h + bR */
} plain;

static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    (void)self;
    if (problem->type != BENCH_F32 || problem->reset_mode != GRU_RESET_AFTER || problem->threads != 1 ||
        (problem->stage != BENCH_FORWARD && problem->stage != BENCH_STREAMING))
        return NULL;
    plain *state = malloc(sizeof *state);
    float *gates = malloc((size_t)(6 * problem->shape.H) * sizeof *gates);
    if (!state || !gates) {
        (void)snprintf(why, BENCH_WHY, "out of memory");
        free(state), free(gates);
        return NULL;
    }
    state->problem = problem, state->gates = gates;
    return state;
}

static void product(const float *matrix, const float *bias, const float *vector, int64_t rows,
                    int64_t columns, float *result) {
    for (int64_t g = 0; g < rows; g++) {
        float sum = bias[g];
        for (int64_t i = 0; i < columns; i++) sum += matrix[g * columns + i] * vector[i];
        result[g] = sum;
    }
}

static float sigmoid(float v) {
    return 1 / (1 + expf(-v));
}

static void step(const plain *state, const float *x, const float *h, float *next) {
    const bench_problem *p = state->problem;
    const int64_t H = p->shape.H;
    float *a = state->gates, *c = a + 3 * H;
    product(p->W, p->bW, x, 3 * H, p->shape.I, a);
    product(p->R, p->bR, h, 3 * H, H, c);
    for (int64_t j = 0; j < H; j++) {
        const float r = sigmoid(a[j] + c[j]), z = sigmoid(a[H + j] + c[H + j]);
        const float n = tanhf(a[2 * H + j] + r * c[2 * H + j]);
        next[j] = (1 - z) * n + z * h[j];
    }
}

static void run(void *opaque) {
    const plain *state = opaque;
    const bench_problem *p = state->problem;
    const bench_shape shape = p->shape;
    for (int64_t t = 0; t < shape.T; t++)
        for (int64_t n = 0; n < shape.N; n++) {
            const float *h = t ? p->y + ((t - 1) * shape.N + n) * shape.H : p->h0 + n * shape.H;
            step(state, p->x + (t * shape.N + n) * shape.I, h, p->y + (t * shape.N + n) * shape.H);
        }
    for (int64_t i = 0; i < shape.N * shape.H; i++) p->hT[i] = p->y[(shape.T - 1) * shape.N * shape.H + i];
}

static void release(void *opaque) {
    plain *state = opaque;
    free(state->gates);
    free(state);
}

const bench_candidate bench_peer_plain = {
    .name = "plain C", .prepare = prepare, .run = run, .release = release};
