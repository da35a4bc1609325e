/* compare_ragged.c: a batch of sequences of 1 to T steps, in each form that a run takes.  SPDX-License-Identifier: Apache-2.0 */
#include "compare_ragged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

#include "measure.h"

enum { WHOLE, LENGTHS, OFFSETS, SIZES, MASK, FORMS };
static const char *const names[FORMS] = {"whole", "lengths", "offsets", "batch_sizes", "mask"};

enum { ROOMS = 4 + 11 * FORMS }; /* blocks of the batch, and of a call in training */

/* One form of the batch: x and y of `rows` rows. */
typedef struct ragged_call {
    const struct ragged_batch *batch;
    gru_run run;
    gru_gradients gradients;
    int64_t *place; /* [T][N] row of each step; -1: absent */
} ragged_call;

typedef struct ragged_batch {
    const bench_problem *problem;
    gru_context *context;
    gru_layer *layer;
    int64_t rows; /* of all lengths */
    int32_t *lengths;
    int64_t *offsets, *sizes;
    uint8_t *mask;
    ragged_call calls[FORMS];
    void *memory[ROOMS];
    int count, failed;
} ragged_batch;

static void *room(ragged_batch *batch, size_t bytes) {
    void *memory = batch->count < ROOMS ? aligned_alloc(64, (bytes + 127) / 64 * 64) : NULL;
    if (!memory) {
        batch->failed = 1;
        return NULL;
    }
    memset(memory, 0, bytes);
    return batch->memory[batch->count++] = memory;
}

static void *floats(ragged_batch *batch, int64_t count) {
    return room(batch, (size_t)count * sizeof(float));
}

/* Lengths descend from T to 1, as evenly as whole numbers can. */
static void make_steps(ragged_batch *batch) {
    const int64_t T = batch->problem->shape.T, N = batch->problem->shape.N;
    batch->lengths = room(batch, (size_t)N * sizeof *batch->lengths);
    batch->offsets = room(batch, (size_t)(N + 1) * sizeof *batch->offsets);
    batch->sizes = room(batch, (size_t)T * sizeof *batch->sizes);
    batch->mask = room(batch, (size_t)(T * N));
    for (int64_t n = 0; n < N && !batch->failed; n++) {
        const int64_t length = N > 1 ? T - n * (T - 1) / (N - 1) : T;
        batch->lengths[n] = (int32_t)length;
        batch->offsets[n + 1] = batch->offsets[n] + length;
        for (int64_t t = 0; t < length; t++) batch->sizes[t]++, batch->mask[t * N + n] = 1;
    }
    if (!batch->failed) batch->rows = batch->offsets[N];
}

static void place_steps(const ragged_batch *batch, int form, int64_t *place) {
    const int64_t T = batch->problem->shape.T, N = batch->problem->shape.N;
    int64_t begin = 0;
    for (int64_t t = 0; t < T; begin += batch->sizes[t], t++)
        for (int64_t n = 0; n < N; n++) {
            int64_t *at = &place[t * N + n];
            *at = form == OFFSETS ? batch->offsets[n] + t : form == SIZES ? begin + n : t * N + n;
            if (form != WHOLE && t >= batch->lengths[n]) *at = -1;
        }
}

/* Rows of [T][N] at their places; in a form with absent steps all of them, as a padded batch has. */
static float *spread(ragged_batch *batch, const ragged_call *call, int form, const float *rows, int64_t row) {
    const int64_t all = batch->problem->shape.T * batch->problem->shape.N;
    float *to = floats(batch, all * row);
    for (int64_t i = 0; i < all && !batch->failed; i++) {
        const int64_t at = form == OFFSETS || form == SIZES ? call->place[i] : i;
        if (at >= 0) memcpy(to + at * row, rows + i * row, (size_t)row * sizeof *to);
    }
    return to;
}

static void make_backward(ragged_batch *batch, ragged_call *call, int form) {
    const bench_problem *problem = batch->problem;
    const int64_t all = problem->shape.T * problem->shape.N, I = problem->shape.I, H = problem->shape.H;
    gru_gradients *g = &call->gradients;
    call->run.mode = GRU_TRAIN;
    g->parts = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;
    g->dy.data = spread(batch, call, form, problem->dy, H);
    g->dx.data = floats(batch, all * I);
    g->dh0 = floats(batch, problem->shape.N * H);
    g->dW = floats(batch, 3 * H * I), g->dR = floats(batch, 3 * H * H);
    g->dbW = floats(batch, 3 * H), g->dbR = floats(batch, 3 * H);
}

static void make_call(ragged_batch *batch, int form) {
    const bench_problem *problem = batch->problem;
    const int64_t T = problem->shape.T, N = problem->shape.N;
    ragged_call *call = &batch->calls[form];
    call->batch = batch;
    call->place = room(batch, (size_t)(T * N) * sizeof *call->place);
    if (batch->failed) return;
    place_steps(batch, form, call->place);
    call->run = (gru_run){.T = T, .N = N, .h0 = problem->h0};
    call->run.x.data = spread(batch, call, form, problem->x, problem->shape.I);
    call->run.y.data = floats(batch, T * N * problem->shape.H);
    call->run.hT = floats(batch, N * problem->shape.H);
    if (problem->dy) make_backward(batch, call, form);
    if (form == LENGTHS) call->run.lengths = batch->lengths;
    if (form == OFFSETS) call->run.offsets = batch->offsets;
    if (form == SIZES) call->run.batch_sizes = batch->sizes;
    if (form == OFFSETS || form == SIZES) call->run.ragged_rows = batch->rows;
    if (form == MASK) call->run.mask.data = batch->mask;
    if (gru_layer_allocate(batch->layer, &call->run) != GRU_OK) batch->failed = 1;
}

static void run_call(void *state) {
    const ragged_call *call = state;
    (void)gru_layer_forward(call->batch->layer, &call->run);
    if (call->batch->problem->dy) (void)gru_layer_backward(call->batch->layer, &call->run, &call->gradients);
}

static int open_layer(ragged_batch *batch) {
    const bench_problem *problem = batch->problem;
    const gru_context_config context = {.backend = GRU_BACKEND_CPU, .threads = problem->threads};
    const gru_layer_config config = {.inputs = (int32_t)problem->shape.I,
                                     .hidden = (int32_t)problem->shape.H,
                                     .reset_mode = problem->reset_mode};
    const gru_weights weights = {.W = problem->W, .R = problem->R, .bW = problem->bW, .bR = problem->bR};
    return gru_context_create(&context, &batch->context) == GRU_OK &&
           gru_layer_create(batch->context, &config, &weights, &batch->layer) == GRU_OK;
}

/* Whether y, hT and the gradients of weights are those of the batch with lengths, bit by bit. */
static int agrees(const ragged_batch *batch, int form) {
    const bench_problem *problem = batch->problem;
    const ragged_call *one = &batch->calls[LENGTHS], *other = &batch->calls[form];
    const int64_t H = problem->shape.H, all = problem->shape.T * problem->shape.N;
    const float *y = one->run.y.data, *other_y = other->run.y.data;
    int same = memcmp(one->run.hT, other->run.hT, (size_t)(problem->shape.N * H) * sizeof *y) == 0;
    for (int64_t i = 0; i < all; i++)
        if (other->place[i] >= 0)
            same &= memcmp(y + i * H, other_y + other->place[i] * H, (size_t)H * sizeof *y) == 0;
    return same && (!problem->dy ||
                    memcmp(one->gradients.dR, other->gradients.dR, (size_t)(3 * H * H) * sizeof *y) == 0);
}

void bench_compare_ragged_legend(void) {
    (void)printf("A batch of T steps, and lengths from T down to 1, on the best CPU engine, f32: medians of "
                 "interleaved samples.\n"
                 "%-28s %7s %9s %10s",
                 "T, N, I, H", "threads", "pass", "whole, us");
    for (int form = LENGTHS; form < FORMS; form++) (void)printf(" %11s", names[form]);
    (void)printf("\n");
}

static int report(const ragged_batch *batch, double seconds) {
    const bench_problem *problem = batch->problem;
    bench_timing timings[FORMS];
    char shape[64];
    int wrong = 0;
    memset(timings, 0, sizeof timings);
    for (int form = 0; form < FORMS; form++) {
        run_call((void *)&batch->calls[form]);
        timings[form] = (bench_timing){.name = names[form], .run = run_call, .threads = problem->threads};
        timings[form].state = (void *)&batch->calls[form];
        timings[form].once = 1e-3;
    }
    for (int form = OFFSETS; form < FORMS; form++) wrong += !agrees(batch, form);
    if (wrong) (void)fprintf(stderr, "gru_bench: %d forms of %s differ\n", wrong, problem->shape.name);
    if (!bench_measure(timings, FORMS, seconds, 0)) return -1;
    (void)snprintf(shape, sizeof shape, "%lld, %lld, %lld, %lld", (long long)problem->shape.T,
                   (long long)problem->shape.N, (long long)problem->shape.I, (long long)problem->shape.H);
    (void)printf("%-28s %7d %9s %10.4g", shape, problem->threads, problem->dy ? "training" : "forward",
                 timings[WHOLE].median * 1e6);
    for (int form = LENGTHS; form < FORMS; form++)
        (void)printf(" %10.2fx", timings[form].median / timings[WHOLE].median);
    (void)printf("\n");
    return wrong;
}

int bench_compare_ragged(const bench_problem *problem, double seconds) {
    ragged_batch *batch = calloc(1, sizeof *batch);
    int result = -1;
    if (!batch) return -1;
    batch->problem = problem;
    if (open_layer(batch)) {
        make_steps(batch);
        for (int form = 0; form < FORMS && !batch->failed; form++) make_call(batch, form);
        if (!batch->failed) result = report(batch, seconds);
    }
    for (int form = 0; form < FORMS; form++) gru_run_free(batch->context, &batch->calls[form].run);
    for (int i = 0; i < batch->count; i++) free(batch->memory[i]);
    gru_layer_release(batch->layer);
    gru_context_release(batch->context);
    free(batch);
    return result;
}
