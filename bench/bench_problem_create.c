/* bench_problem_create.c: makes a contracting layer of random weights and its input.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_problem_create.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reference.h"

static float *random_numbers(int64_t count, double scale, uint64_t seed, int type) {
    float *numbers = malloc((size_t)count * sizeof *numbers);
    uint64_t state = seed;
    for (int64_t i = 0; numbers && i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        numbers[i] = (float)(((double)(state >> 40) / (double)(1 << 23) - 1) * scale);
    }
    if (numbers) bench_type_round(numbers, count, type);
    return numbers;
}

/* One number of a = W x + bW in double precision; with I = H and identities for W of each gate, x + bW. */
static double projected_number(const bench_problem *problem, const float *x, int64_t g) {
    const bench_shape shape = problem->shape;
    double sum = problem->bW[g];
    if (shape.I == shape.H) return sum + (double)x[g % shape.H];
    for (int64_t i = 0; i < shape.I; i++) sum += (double)problem->W[g * shape.I + i] * (double)x[i];
    return sum;
}

/* The caller's projection of BENCH_RECURRENCE. */
static float *project(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    const int64_t rows = shape.T * shape.N;
    float *a = malloc((size_t)(rows * 3 * shape.H) * sizeof *a);
    for (int64_t row = 0; a && row < rows; row++)
        for (int64_t g = 0; g < 3 * shape.H; g++)
            a[row * 3 * shape.H + g] = (float)projected_number(problem, problem->x + row * shape.I, g);
    if (a) bench_type_round(a, rows * 3 * shape.H, problem->type);
    return a;
}

/* The reference computes only the first steps. Gradients are linear in dy, so dy of the later steps is made too small to
 * matter: u 2^-6 of the first ones, u being the unit of the type. Over 16^2 times as many steps this is about u / 4 of a
 * weight's gradient. dy is not zero there, because zeros may be faster. The factor 64 keeps it in the range of f16. */
static float *make_dy(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    const int64_t judged = problem->steps * shape.N * shape.H, all = shape.T * shape.N * shape.H;
    float *dy = random_numbers(all, 64, 9, problem->type);
    const float small = (float)(bench_type_unit(problem->type) / 64);
    for (int64_t i = judged; dy && i < all; i++) dy[i] *= small;
    if (dy) bench_type_round(dy, all, problem->type);
    return dy;
}

static int make_gradients(bench_problem *problem) {
    problem->dy = make_dy(problem);
    int whole = problem->dy != NULL;
    for (int i = 0; i < BENCH_GRADIENTS; i++) {
        problem->gradients[i] =
            calloc((size_t)bench_problem_gradient_count(&problem->shape, i), sizeof(float));
        whole = whole && problem->gradients[i];
    }
    return whole;
}

/* Weights of the size of an initialised layer, which keeps the gates away from saturation. */
static int make_numbers(bench_problem *problem) {
    const bench_shape shape = problem->shape;
    const int type = problem->type;
    const int64_t rows = bench_problem_gates(problem) * shape.H;
    const double scale = 1 / sqrt((double)shape.H);
    problem->W = random_numbers(rows * shape.I, scale, 1, type);
    problem->R = random_numbers(rows * shape.H, scale, 2, type);
    problem->bW = random_numbers(rows, scale, 3, type);
    problem->bR = random_numbers(rows, scale, 4, type);
    problem->x = random_numbers(shape.T * shape.N * shape.I, 1, 5, type);
    problem->h0 = random_numbers(shape.N * shape.H, 0.5, 6, type);
    problem->y = random_numbers(shape.T * shape.N * shape.H, 0, 7, type);
    problem->hT = random_numbers(shape.N * shape.H, 0, 8, type);
    problem->steps = bench_reference_steps(problem);
    int whole = problem->W && problem->R && problem->bW && problem->bR && problem->x && problem->h0 &&
                problem->y && problem->hT;
    if (whole && problem->stage == BENCH_RECURRENCE) whole = (problem->projected = project(problem)) != NULL;
    if (whole && bench_stage_has_gradients(problem->stage)) whole = make_gradients(problem);
    return whole;
}

static bench_problem *create(const bench_problem *wanted) {
    bench_problem *problem = malloc(sizeof *problem);
    if (!problem) return NULL;
    *problem = *wanted;
    const int whole = make_numbers(problem);
    if (!whole) (void)fprintf(stderr, "gru_bench: no memory for %s\n", wanted->shape.name);
    if (whole && bench_reference_compute(problem)) return problem;
    bench_problem_release(problem);
    return NULL;
}

bench_problem *bench_problem_create(const bench_shape *shape, int stage, int reset, int type) {
    bench_problem wanted = {.shape = *shape, .stage = stage, .reset_mode = reset, .type = type, .threads = 1};
    if (stage == BENCH_STREAMING) wanted.shape.T = wanted.shape.whole_T = 1;
    return create(&wanted);
}

bench_problem *bench_problem_create_lstm(const bench_shape *shape, int type) {
    const bench_problem wanted = {.shape = *shape, .layer = BENCH_LSTM, .type = type, .threads = 1};
    return create(&wanted);
}
