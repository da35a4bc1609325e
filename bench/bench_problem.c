/* bench_problem.c: makes a contracting layer of random weights, and judges what a contestant says of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench_problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_gradients.h"
#include "reference.h"

const char *const bench_stage_names[BENCH_STAGES] = {"forward", "train",    "recurrence",
                                                     "step",    "backward", "both"};

static float *random_numbers(int64_t count, double scale, uint64_t seed, int type) {
    float *numbers = malloc((size_t)count * sizeof *numbers);
    uint64_t state = seed;
    for (int64_t i = 0; numbers && i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        numbers[i] = (float)(((double)(state >> 40) / (double)(1 << 23) - 1) * scale);
    }
    if (numbers) bench_round(numbers, count, type);
    return numbers;
}

/* One number of a = W x + bW in double precision; with I = H and identities for W of each gate, x + bW. */
static double projected_number(const bench_problem *problem, const float *x, int64_t g) {
    const bench_shape s = problem->shape;
    double sum = problem->bW[g];
    if (s.I == s.H) return sum + (double)x[g % s.H];
    for (int64_t i = 0; i < s.I; i++) sum += (double)problem->W[g * s.I + i] * (double)x[i];
    return sum;
}

/* The caller's projection of BENCH_RECURRENCE. */
static float *project(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    const int64_t rows = s.T * s.N;
    float *a = malloc((size_t)(rows * 3 * s.H) * sizeof *a);
    for (int64_t row = 0; a && row < rows; row++)
        for (int64_t g = 0; g < 3 * s.H; g++)
            a[row * 3 * s.H + g] = (float)projected_number(problem, problem->x + row * s.I, g);
    if (a) bench_round(a, rows * 3 * s.H, problem->type);
    return a;
}

/* Gradients are linear in dy, so that the first steps can be judged alone here too, if dy of the others is too small to
 * be seen: u 2^-6 of the first ones, u the type's unit, is some u / 4 of a weight's gradient after 16^2 times as many
 * steps. They are ordinary numbers, as nobody may be timed with zeros; the factor 2^6 keeps f16 from losing them. */
static float *make_dy(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    const int64_t judged = problem->steps * s.N * s.H, all = s.T * s.N * s.H;
    float *dy = random_numbers(all, 64, 9, problem->type);
    const float small = (float)(bench_type_unit(problem->type) / 64);
    for (int64_t i = judged; dy && i < all; i++) dy[i] *= small;
    if (dy) bench_round(dy, all, problem->type);
    return dy;
}

static int make_gradients(bench_problem *problem) {
    problem->dy = make_dy(problem);
    int whole = problem->dy != NULL;
    for (int i = 0; i < BENCH_GRADIENTS; i++) {
        problem->gradients[i] = calloc((size_t)bench_gradient_count(&problem->shape, i), sizeof(float));
        whole = whole && problem->gradients[i];
    }
    return whole;
}

/* Weights as layers are initialised: gates stay away from saturation. */
static int make_numbers(bench_problem *problem) {
    const bench_shape s = problem->shape;
    const int type = problem->type;
    const int64_t rows = bench_gates(problem) * s.H;
    const double scale = 1 / sqrt((double)s.H);
    problem->W = random_numbers(rows * s.I, scale, 1, type);
    problem->R = random_numbers(rows * s.H, scale, 2, type);
    problem->bW = random_numbers(rows, scale, 3, type);
    problem->bR = random_numbers(rows, scale, 4, type);
    problem->x = random_numbers(s.T * s.N * s.I, 1, 5, type);
    problem->h0 = random_numbers(s.N * s.H, 0.5, 6, type);
    problem->y = random_numbers(s.T * s.N * s.H, 0, 7, type);
    problem->hT = random_numbers(s.N * s.H, 0, 8, type);
    problem->steps = bench_truth_steps(problem);
    int whole = problem->W && problem->R && problem->bW && problem->bR && problem->x && problem->h0 &&
                problem->y && problem->hT;
    if (whole && problem->stage == BENCH_RECURRENCE) whole = (problem->projected = project(problem)) != NULL;
    if (whole && bench_has_gradients(problem->stage)) whole = make_gradients(problem);
    return whole;
}

static bench_problem *create(const bench_problem *wanted) {
    bench_problem *problem = malloc(sizeof *problem);
    if (!problem) return NULL;
    *problem = *wanted;
    const int whole = make_numbers(problem);
    if (!whole) (void)fprintf(stderr, "gru_bench: no memory for %s\n", wanted->shape.name);
    if (whole && bench_truth_find(problem)) return problem;
    bench_problem_release(problem);
    return NULL;
}

bench_problem *bench_problem_create(const bench_shape *shape, int stage, int reset, int type) {
    bench_problem wanted = {.shape = *shape, .stage = stage, .reset = reset, .type = type, .threads = 1};
    if (stage == BENCH_STEP) wanted.shape.T = wanted.shape.whole_T = 1;
    return create(&wanted);
}

bench_problem *bench_problem_create_lstm(const bench_shape *shape, int type) {
    const bench_problem wanted = {.shape = *shape, .cell = BENCH_LSTM, .type = type, .threads = 1};
    return create(&wanted);
}

void bench_problem_release(bench_problem *problem) {
    if (!problem) return;
    free((void *)problem->W), free((void *)problem->R), free((void *)problem->bW), free((void *)problem->bR);
    free((void *)problem->x), free((void *)problem->h0), free((void *)problem->projected);
    free(problem->y), free(problem->hT), free(problem->truth), free((void *)problem->dy);
    for (int i = 0; i < BENCH_GRADIENTS; i++) free(problem->gradients[i]), free(problem->gradient_truth[i]);
    free(problem);
}

static void fill(float *numbers, int64_t count, float number) {
    for (int64_t i = 0; i < count; i++) numbers[i] = number;
}

void bench_problem_forget(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    if (problem->stage != BENCH_BACKWARD) {
        fill(problem->y, s.T * s.N * s.H, NAN);
        fill(problem->hT, s.N * s.H, NAN);
    }
    for (int which = 0; problem->dy && which < BENCH_GRADIENTS; which++)
        fill(problem->gradients[which], bench_gradient_count(&s, which), NAN);
}

/* The error of a chain of K rounded products grows as its square root; four times that, and as much again for the
 * cell. Approximate sigmoids (1e-4) fail it, every honest f32 order passes.
 *
 * A shorter type rounds more. With weights of 1/sqrt(H), |x| and |h| below 1 and u its unit, operands that are
 * rounded move a pre-activation by u sqrt((I + H) / H) / 8 (standard deviation; six of them in the worst of millions)
 * and sums that are kept in the type by u/2 each; the cell halves both, and the state is rounded by u/2: about u in a
 * step. The layer contracts, so independent errors of all steps stay below two of that; as much again for approximate
 * functions. */
static double tolerance(const bench_problem *problem) {
    const double H = (double)problem->shape.H, terms = (double)problem->shape.I + H;
    const double f32 = 4 * (16 + sqrt(terms)) * 0x1p-24;
    if (problem->type == BENCH_F32) return f32;
    return f32 + 4 * fmax(1, sqrt(terms / (2 * H))) * bench_type_unit(problem->type);
}

static double worst_of(const float *got, const double *truth, int64_t count) {
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs((double)got[i] - truth[i]);
        if (!(error <= worst)) worst = error; /* NaN too */
        if (isnan(error)) break;
    }
    return worst;
}

/* A state may be kept in more digits than y. */
static int is_last_step(const float *hT, const float *y, int64_t count, int type) {
    int same = 1;
    for (int64_t i = 0; same && i < count; i++) {
        float state = hT[i];
        bench_round(&state, 1, type);
        same = memcmp(&state, y + i, sizeof state) == 0;
    }
    return same;
}

static int check_states(const bench_problem *problem, char *why, size_t size) {
    const bench_shape s = problem->shape;
    const int64_t row = s.N * s.H;
    const double *last = problem->truth + (problem->steps - 1) * row;
    const float *y_last = problem->y + (s.T - 1) * row;
    double worst = s.T > 1 ? worst_of(problem->y, problem->truth, problem->steps * row) : 0;
    if (problem->steps == s.T && !isnan(worst)) worst = fmax(worst, worst_of(problem->hT, last, row));
    if (!(worst <= tolerance(problem))) {
        (void)snprintf(why, size, "differs from the reference by %.3g, allowed are %.3g", worst,
                       tolerance(problem));
        return 0;
    }
    if (s.T > 1 && !is_last_step(problem->hT, y_last, row, problem->type)) {
        (void)snprintf(why, size, "hT is not the last step of y");
        return 0;
    }
    for (int64_t i = 0; s.T > 1 && i < s.T * row; i++)
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

double bench_problem_flops(const bench_problem *problem) {
    const int passes = problem->stage == BENCH_BACKWARD ? 2 : problem->stage == BENCH_BOTH ? 3 : 1;
    const bench_shape s = problem->shape;
    const double terms = (double)(problem->stage == BENCH_RECURRENCE ? s.H : s.I + s.H);
    return passes * 2 * (double)(bench_gates(problem) * s.H) * terms * (double)s.N * (double)s.T;
}
