/* problem.c: makes a contracting layer of random weights, and judges what a contestant says of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

const char *const bench_stage_names[BENCH_STAGES] = {"forward", "train", "recurrence", "step"};

/* The reference engine works through some 10^9 operations a second. A run is causal, so the first steps of a long one
 * can be judged alone: as many as fit this budget, all rows, at least two steps so that one state was carried. */
static const double truth_flops = 1e8;

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

static double *widen(const float *from, int64_t count) {
    double *to = from ? malloc((size_t)count * sizeof *to) : NULL;
    for (int64_t i = 0; to && i < count; i++) to[i] = from[i];
    return to;
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

/* The reference engine's part of it, with every pointer already widened. */
static gru_status run_reference(const bench_problem *problem, gru_weights *weights, gru_run *run) {
    gru_context_config machine = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_memory memory = GRU_INIT;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    machine.engine = "cpu_reference", machine.threads = 1;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset = problem->reset;
    config.io_type = config.state_type = config.weight_type = weights->type = GRU_F64;
    run->T = problem->steps, run->N = problem->shape.N;
    gru_status status = gru_context_create(&machine, &context);
    if (status == GRU_OK) status = gru_layer_create(context, &config, weights, &layer);
    if (status == GRU_OK) status = gru_layer_memory(layer, run->T, run->N, &memory);
    if (status == GRU_OK) status = gru_allocate(context, memory.workspace, &run->workspace);
    run->workspace_size = memory.workspace;
    if (status == GRU_OK) status = gru_forward(layer, run);
    gru_free(context, run->workspace);
    gru_layer_release(layer);
    gru_context_release(context);
    return status;
}

static int find_truth(bench_problem *problem) {
    const bench_shape s = problem->shape;
    const double one = bench_problem_flops(problem) / (double)s.T;
    const int64_t fits = (int64_t)(truth_flops / one);
    problem->steps = fits < 2 ? 2 : fits;
    if (problem->steps > s.T) problem->steps = s.T;

    double *W = widen(problem->W, 3 * s.H * s.I), *R = widen(problem->R, 3 * s.H * s.H);
    double *bW = widen(problem->bW, 3 * s.H), *bR = widen(problem->bR, 3 * s.H);
    double *x = widen(problem->x, problem->steps * s.N * s.I), *h0 = widen(problem->h0, s.N * s.H);
    double *projected = widen(problem->projected, problem->steps * s.N * 3 * s.H);
    double *truth = malloc((size_t)(problem->steps * s.N * s.H) * sizeof *truth);
    gru_weights weights = GRU_INIT;
    gru_run run = GRU_INIT;
    weights.W = W, weights.R = R, weights.bW = bW, weights.bR = bR;
    run.x.data = projected ? NULL : x, run.projected.data = projected, run.h0 = h0, run.y.data = truth;
    const int whole = W && R && bW && bR && x && h0 && truth && !problem->projected == !projected;
    const int done = whole && run_reference(problem, &weights, &run) == GRU_OK;
    if (!done)
        (void)fprintf(stderr, "gru_bench: no reference for %s: %s\n", s.name,
                      whole ? gru_last_error() : "out of memory");
    problem->truth = truth;
    free(W), free(R), free(bW), free(bR), free(x), free(h0), free(projected);
    return done;
}

bench_problem *bench_problem_create(const bench_shape *shape, int stage, int reset, int type) {
    bench_problem *problem = calloc(1, sizeof *problem);
    if (!problem) return NULL;
    problem->shape = *shape;
    if (stage == BENCH_STEP) problem->shape.T = problem->shape.whole_T = 1;
    problem->stage = stage, problem->reset = reset, problem->type = type, problem->threads = 1;
    const bench_shape s = problem->shape;
    const double scale =
        1 / sqrt((double)s.H); /* as layers are initialised: gates stay away from saturation */
    problem->W = random_numbers(3 * s.H * s.I, scale, 1, type);
    problem->R = random_numbers(3 * s.H * s.H, scale, 2, type);
    problem->bW = random_numbers(3 * s.H, scale, 3, type);
    problem->bR = random_numbers(3 * s.H, scale, 4, type);
    problem->x = random_numbers(s.T * s.N * s.I, 1, 5, type);
    problem->h0 = random_numbers(s.N * s.H, 0.5, 6, type);
    problem->y = random_numbers(s.T * s.N * s.H, 0, 7, type);
    problem->hT = random_numbers(s.N * s.H, 0, 8, type);
    const int whole = problem->W && problem->R && problem->bW && problem->bR && problem->x && problem->h0 &&
                      problem->y && problem->hT;
    if (!whole) (void)fprintf(stderr, "gru_bench: no memory for %s\n", s.name);
    if (whole && stage == BENCH_RECURRENCE) problem->projected = project(problem);
    if (whole && find_truth(problem)) return problem;
    bench_problem_release(problem);
    return NULL;
}

void bench_problem_release(bench_problem *problem) {
    if (!problem) return;
    free((void *)problem->W), free((void *)problem->R), free((void *)problem->bW), free((void *)problem->bR);
    free((void *)problem->x), free((void *)problem->h0), free((void *)problem->projected);
    free(problem->y), free(problem->hT), free((void *)problem->truth);
    free(problem);
}

void bench_problem_forget(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    for (int64_t i = 0; i < s.T * s.N * s.H; i++) problem->y[i] = NAN;
    for (int64_t i = 0; i < s.N * s.H; i++) problem->hT[i] = NAN;
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

int bench_problem_check(const bench_problem *problem, char *why, size_t size) {
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

double bench_problem_flops(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    const double terms = (double)(problem->stage == BENCH_RECURRENCE ? s.H : s.I + s.H);
    return 6.0 * (double)s.H * terms * (double)s.N * (double)s.T;
}
