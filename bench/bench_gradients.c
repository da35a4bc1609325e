/* bench_gradients.c: compares gradients within bounds derived from the arithmetic.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_gradients.h"

#include <math.h>
#include <stdio.h>

static const char *const names[BENCH_GRADIENTS] = {"dx", "dh0", "dW", "dR", "dbW", "dbR"};

/* Relative to the root mean square of the gradient. Roundings are independent, so a sum has the relative error of its
 * terms. A term is a product of about six numbers with rounding errors of u / sqrt(3) each, u being the unit of the type:
 * 1.4 u. Pre-activations and dh of later steps contribute about the same. Twice the sum is allowed. In f32 the chains of
 * sums count more: I + H products forward, 3H backward and, for weights, all rows. */
static double tolerance(const bench_problem *problem, int which) {
    const bench_shape shape = problem->shape;
    const double rows = which >= BENCH_DW ? (double)(problem->steps * shape.N) : 0;
    return 4 * (16 + sqrt((double)(shape.I + 4 * shape.H) + rows)) * 0x1p-24 +
           4 * bench_type_unit(problem->type);
}

typedef struct comparison {
    double error, size;    /* root mean squares: of errors, of the reference's numbers */
    double worst, largest; /* NaN counts as worst */
} comparison;

/* known: numbers of the reference; it is zero after them. */
static comparison compare(const float *got, const double *reference, int64_t known, int64_t count) {
    comparison result = {0, 0, 0, 0};
    for (int64_t i = 0; i < count; i++) {
        const double right = i < known ? reference[i] : 0, error = fabs((double)got[i] - right);
        result.error += error * error, result.size += right * right;
        if (fabs(right) > result.largest) result.largest = fabs(right);
        if (!(error <= result.worst)) result.worst = error;
        if (isnan(error)) break;
    }
    result.error = sqrt(result.error / (double)count), result.size = sqrt(result.size / (double)count);
    return result;
}

/* The largest of millions of errors is about six standard deviations. */
static int agrees(const comparison *result, double allowed) {
    return result->error <= allowed * result->size && result->worst <= 6 * allowed * result->largest;
}

/* Gate by gate, since gradients of the reset gate are much smaller than those of the candidate. */
int bench_gradients_check(const bench_problem *problem, char *why, size_t size) {
    const bench_shape shape = problem->shape;
    for (int which = 0; which < BENCH_GRADIENTS; which++) {
        const int gates = which >= BENCH_DW ? 3 : 1;
        const int64_t count = bench_problem_gradient_count(&shape, which) / gates;
        const int64_t known = which == BENCH_DX ? problem->steps * shape.N * shape.I : count;
        const double allowed = tolerance(problem, which);
        for (int gate = 0; gate < gates; gate++) {
            const comparison result =
                compare(problem->gradients[which] + gate * count,
                        problem->gradient_reference[which] + gate * count, known, count);
            if (agrees(&result, allowed)) continue;
            (void)snprintf(why, size,
                           "%s%s%.1s differs from the reference by %.3g of its size (at worst %.3g of its "
                           "largest number), allowed are %.3g (%.3g)",
                           names[which], gates > 1 ? ", gate " : "", gates > 1 ? &"rzn"[gate] : "",
                           result.error / result.size, result.worst / result.largest, allowed, 6 * allowed);
            return 0;
        }
    }
    return 1;
}
