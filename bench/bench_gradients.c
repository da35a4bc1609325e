/* bench_gradients.c: bounds for sums of gradients over many steps.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_gradients.h"

#include <math.h>
#include <stdio.h>

static const char *const names[BENCH_GRADIENTS] = {"dx", "dh0", "dW", "dR", "dbW", "dbR"};

int64_t bench_gradient_count(const bench_shape *s, int which) {
    const int64_t counts[BENCH_GRADIENTS] = {
        [BENCH_DX] = s->T * s->N * s->I, [BENCH_DH0] = s->N * s->H, [BENCH_DW] = 3 * s->H * s->I,
        [BENCH_DR] = 3 * s->H * s->H,    [BENCH_DBW] = 3 * s->H,    [BENCH_DBR] = 3 * s->H};
    return counts[which];
}

/* Of the root mean square of the numbers themselves, as roundings are independent: a sum is off by as much as its terms.
 * A term is dh times slopes, gates and states, some six numbers of a type with unit u, and each rounding is u / sqrt(3)
 * in the mean: 1.4 u; pre-activations and what dh brings from later steps are about as much again, and twice that is
 * allowed. In f32 chains of sums count more: over I + H products forward, 3H backward and, for weights, all rows. */
static double tolerance(const bench_problem *problem, int which) {
    const bench_shape s = problem->shape;
    const double rows = which >= BENCH_DW ? (double)(problem->steps * s.N) : 0;
    return 4 * (16 + sqrt((double)(s.I + 4 * s.H) + rows)) * 0x1p-24 + 4 * bench_type_unit(problem->type);
}

typedef struct comparison {
    double error, size;    /* root mean squares: of errors, of the reference's numbers */
    double worst, largest; /* NaN is the worst */
} comparison;

/* Past truths numbers the reference has zeros. */
static comparison compare(const float *got, const double *truth, int64_t truths, int64_t count) {
    comparison c = {0, 0, 0, 0};
    for (int64_t i = 0; i < count; i++) {
        const double right = i < truths ? truth[i] : 0, error = fabs((double)got[i] - right);
        c.error += error * error, c.size += right * right;
        if (fabs(right) > c.largest) c.largest = fabs(right);
        if (!(error <= c.worst)) c.worst = error;
        if (isnan(error)) break;
    }
    c.error = sqrt(c.error / (double)count), c.size = sqrt(c.size / (double)count);
    return c;
}

/* The worst of millions is off by six standard deviations. */
static int agrees(const comparison *c, double allowed) {
    return c->error <= allowed * c->size && c->worst <= 6 * allowed * c->largest;
}

/* Gate by gate: the reset gate's gradients are small beside the candidate's. */
int bench_gradients_check(const bench_problem *problem, char *why, size_t size) {
    const bench_shape s = problem->shape;
    for (int which = 0; which < BENCH_GRADIENTS; which++) {
        const int parts = which >= BENCH_DW ? 3 : 1;
        const int64_t count = bench_gradient_count(&s, which) / parts;
        const int64_t truths = which == BENCH_DX ? problem->steps * s.N * s.I : count;
        const double allowed = tolerance(problem, which);
        for (int part = 0; part < parts; part++) {
            const comparison c = compare(problem->gradients[which] + part * count,
                                         problem->gradient_truth[which] + part * count, truths, count);
            if (agrees(&c, allowed)) continue;
            (void)snprintf(why, size,
                           "%s%s%.1s differs from the reference by %.3g of its size (at worst %.3g of its "
                           "largest number), allowed are %.3g (%.3g)",
                           names[which], parts > 1 ? ", gate " : "", parts > 1 ? &"rzn"[part] : "",
                           c.error / c.size, c.worst / c.largest, allowed, 6 * allowed);
            return 0;
        }
    }
    return 1;
}
