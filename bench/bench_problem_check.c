/* bench_problem_check.c: derives error bounds from the arithmetic, and compares states with them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench_problem_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_gradients.h"

static void fill(float *numbers, int64_t count, float number) {
    for (int64_t i = 0; i < count; i++) numbers[i] = number;
}

void bench_problem_clear_outputs(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    if (problem->stage != BENCH_BACKWARD) {
        fill(problem->y, shape.T * shape.N * shape.H, NAN);
        fill(problem->hT, shape.N * shape.H, NAN);
    }
    for (int which = 0; problem->dy && which < BENCH_GRADIENTS; which++)
        fill(problem->gradients[which], bench_problem_gradient_count(&shape, which), NAN);
}

/* f32: the error of a chain of K rounded products grows with sqrt(K). Four times that is allowed, and 64 roundings for the
 * cell. Every order of f32 sums passes; sigmoids with errors of 1e-4 fail.
 *
 * 16-bit types, u being the unit of the type, weights 1/sqrt(H), |x| and |h| below 1: rounded operands move a
 * pre-activation by u sqrt((I + H) / H) / 8 (standard deviation; six times that in the worst of millions), sums stored in
 * the type by u/2 each. The cell halves both, and the state is rounded by u/2, which makes about u per step. The layer
 * contracts, so the errors of all steps add up to less than 2 u. Twice that is allowed, for approximate functions.
 *
 * Weights of fewer bits alone: the same with their unit. */
static double tolerance(const bench_problem *problem) {
    const double H = (double)problem->shape.H, terms = (double)problem->shape.I + H;
    const double f32 = 4 * (16 + sqrt(terms)) * 0x1p-24;
    const double type_unit = problem->type == BENCH_F32 ? 0 : bench_type_unit(problem->type);
    return f32 + 4 * fmax(1, sqrt(terms / (2 * H))) * fmax(type_unit, problem->weights_unit);
}

static double worst_of(const float *got, const double *reference, int64_t count) {
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs((double)got[i] - reference[i]);
        if (!(error <= worst)) worst = error; /* NaN too */
        if (isnan(error)) break;
    }
    return worst;
}

/* hT may have more digits than y. */
static int is_last_step(const float *hT, const float *y, int64_t count, int type) {
    int same = 1;
    for (int64_t i = 0; same && i < count; i++) {
        float state = hT[i];
        bench_type_round(&state, 1, type);
        same = memcmp(&state, y + i, sizeof state) == 0;
    }
    return same;
}

static int check_states(const bench_problem *problem, char *why, size_t size) {
    const bench_shape shape = problem->shape;
    const int64_t row = shape.N * shape.H;
    const double *last = problem->reference + (problem->steps - 1) * row;
    const float *y_last = problem->y + (shape.T - 1) * row;
    double worst = shape.T > 1 ? worst_of(problem->y, problem->reference, problem->steps * row) : 0;
    if (problem->steps == shape.T && !isnan(worst)) worst = fmax(worst, worst_of(problem->hT, last, row));
    if (!(worst <= tolerance(problem))) {
        (void)snprintf(why, size, "differs from the reference by %.3g, allowed are %.3g", worst,
                       tolerance(problem));
        return 0;
    }
    if (shape.T > 1 && !is_last_step(problem->hT, y_last, row, problem->type)) {
        (void)snprintf(why, size, "hT is not the last step of y");
        return 0;
    }
    for (int64_t i = 0; shape.T > 1 && i < shape.T * row; i++)
        if (!isfinite(problem->y[i])) {
            (void)snprintf(why, size, "y[%lld] is not finite", (long long)i);
            return 0;
        }
    return 1;
}

int bench_problem_check(const bench_problem *problem, char *why, size_t size) {
    if (problem->stage != BENCH_BACKWARD && !check_states(problem, why, size)) return 0;
    return !problem->dy || bench_gradients_check(problem, why, size);
}
