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

static double pre_activation(const bench_problem *p, int64_t row, const float *x, const double *h) {
    const bench_shape s = p->shape;
    double sum = (double)p->bW[row] + (double)p->bR[row];
    for (int64_t i = 0; i < s.I; i++) sum += (double)p->W[row * s.I + i] * (double)x[i];
    for (int64_t k = 0; k < s.H; k++) sum += (double)p->R[row * s.H + k] * h[k];
    return sum;
}

static void step(const bench_problem *p, const float *x, const double *h, double *c, double *next) {
    const int64_t H = p->shape.H;
    for (int64_t j = 0; j < H; j++) {
        double gates[4];
        for (int64_t k = 0; k < 4; k++) gates[k] = pre_activation(p, k * H + j, x, h);
        c[j] = sigmoid(gates[1]) * c[j] + sigmoid(gates[0]) * tanh(gates[2]);
        next[j] = sigmoid(gates[3]) * tanh(c[j]);
    }
}

int bench_lstm_truth(bench_problem *p) {
    const bench_shape s = p->shape;
    const int64_t states = s.N * s.H;
    double *c = calloc((size_t)states, sizeof *c), *h0 = malloc((size_t)states * sizeof *h0);
    p->truth = malloc((size_t)(p->steps * states) * sizeof *p->truth);
    const int whole = c && h0 && p->truth;
    for (int64_t i = 0; whole && i < states; i++) h0[i] = (double)p->h0[i];
    for (int64_t t = 0; whole && t < p->steps; t++)
        for (int64_t n = 0; n < s.N; n++)
            step(p, p->x + (t * s.N + n) * s.I, (t ? p->truth + (t - 1) * states : h0) + n * s.H, c + n * s.H,
                 p->truth + t * states + n * s.H);
    free(c), free(h0);
    return whole;
}
