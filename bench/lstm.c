/* lstm.c: the equations of an LSTM in double precision, as plainly as they are written.
 *
 * i, f, o = sigmoid(W x + bW + R h + bR), g = tanh(the same), c' = f c + i g, h' = o tanh(c').
 * SPDX-License-Identifier: Apache-2.0 */
#include "lstm.h"

#include <math.h>
#include <stdlib.h>

static double sigmoid(double v) {
    return 1 / (1 + exp(-v));
}

static double pre_activation(const bench_problem *problem, int64_t row, const float *x, const double *h) {
    const bench_shape shape = problem->shape;
    double sum = (double)problem->bW[row] + (double)problem->bR[row];
    for (int64_t i = 0; i < shape.I; i++) sum += (double)problem->W[row * shape.I + i] * (double)x[i];
    for (int64_t k = 0; k < shape.H; k++) sum += (double)problem->R[row * shape.H + k] * h[k];
    return sum;
}

static void step(const bench_problem *problem, const float *x, const double *h, double *c, double *next) {
    const int64_t H = problem->shape.H;
    for (int64_t j = 0; j < H; j++) {
        double gates[4];
        for (int64_t k = 0; k < 4; k++) gates[k] = pre_activation(problem, k * H + j, x, h);
        c[j] = sigmoid(gates[1]) * c[j] + sigmoid(gates[0]) * tanh(gates[2]);
        next[j] = sigmoid(gates[3]) * tanh(c[j]);
    }
}

int bench_lstm_reference(bench_problem *problem) {
    const bench_shape shape = problem->shape;
    const int64_t states = shape.N * shape.H;
    double *c = calloc((size_t)states, sizeof *c), *h0 = malloc((size_t)states * sizeof *h0);
    problem->reference = malloc((size_t)(problem->steps * states) * sizeof *problem->reference);
    const int whole = c && h0 && problem->reference;
    for (int64_t i = 0; whole && i < states; i++) h0[i] = (double)problem->h0[i];
    for (int64_t t = 0; whole && t < problem->steps; t++)
        for (int64_t n = 0; n < shape.N; n++)
            step(problem, problem->x + (t * shape.N + n) * shape.I,
                 (t ? problem->reference + (t - 1) * states : h0) + n * shape.H, c + n * shape.H,
                 problem->reference + t * states + n * shape.H);
    free(c), free(h0);
    return whole;
}
