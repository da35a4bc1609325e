/* bench_engines.c: runs a layer pinned to one engine, as a user of the public API would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench_engines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/stream.h>

#include "bench_gradients.h"
#include "bench_stream.h"

/* Tensors are in memory of the context; on a GPU this is not the problem's memory. */
typedef struct engine_state {
    const bench_problem *problem;
    gru_context *context;
    gru_layer *layer;
    gru_run run;
    gru_stream *steps; /* BENCH_STREAMING only: carries its own state */
    gru_sizes sizes;
    gru_gradients gradients;
    gru_weights weights; /* bench_type_wide; BENCH_BOTH only: where gru_layer_update finds them */
    void *x, *h0, *dy;   /* x or projected and dy in the problem's type; h0 and hT in bench_type_wide of it */
    void *graph;         /* NULL: runs are enqueued call by call */
} engine_state;

/* The pointer to a gradient. */
static void **gradient_of(engine_state *state, int which) {
    gru_gradients *g = &state->gradients;
    void **const pointers[BENCH_GRADIENTS] = {&g->dx.data, &g->dh0, &g->dW, &g->dR, &g->dbW, &g->dbR};
    return pointers[which];
}

static int gradient_type(const bench_problem *problem, int which) {
    return which == BENCH_DX ? problem->type : bench_type_wide(problem->type);
}

static void release(void *opaque) {
    engine_state *state = opaque;
    if (!state) return;
    bench_graph_release(state->graph);
    gru_stream_release(state->steps);
    gru_free(state->context, state->x), gru_free(state->context, state->h0);
    gru_free(state->context, state->run.y.data), gru_free(state->context, state->run.hT);
    gru_free(state->context, state->run.workspace), gru_free(state->context, state->run.reserve);
    for (int i = 0; i < BENCH_GRADIENTS; i++) gru_free(state->context, *gradient_of(state, i));
    gru_free(state->context, (void *)state->weights.W), gru_free(state->context, (void *)state->weights.R);
    gru_free(state->context, (void *)state->weights.bW), gru_free(state->context, (void *)state->weights.bR);
    gru_free(state->context, state->dy);
    gru_layer_release(state->layer);
    gru_context_release(state->context);
    bench_stream_release(state->run.stream);
    free(state);
}

/* ---- what the layer is ----------------------------------------------------------------------------------------- */

static const int32_t type_of[BENCH_TYPES] = {GRU_F32, GRU_F32, GRU_F16, GRU_BF16, GRU_F64};

static const int32_t weight_type_of[BENCH_WEIGHTS] = {GRU_F32, GRU_F16, GRU_BF16, GRU_BF16, GRU_INT8};

static gru_status make_layer(engine_state *state, const bench_candidate *self, const bench_problem *problem) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    context_config.engine = self->engine, context_config.threads = problem->threads;
    context_config.backend = self->device == BENCH_GPU ? GRU_BACKEND_CUDA : GRU_BACKEND_CPU;
    context_config.flags = problem->type == BENCH_TF32                    ? GRU_ALLOW_TF32
                           : self->weights == BENCH_WEIGHTS_BF16_PRODUCTS ? GRU_ALLOW_BF16
                                                                          : 0;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset_mode = problem->reset_mode;
    config.io_type = config.weight_type = type_of[problem->type];
    config.state_type = type_of[bench_type_wide(problem->type)];
    if (self->weights) config.weight_type = weight_type_of[self->weights];
    weights.W = problem->W, weights.R = problem->R, weights.bW = problem->bW, weights.bR = problem->bR;
    gru_status status = gru_context_create(&context_config, &state->context);
    if (status == GRU_OK) status = gru_layer_create(state->context, &config, &weights, &state->layer);
    if (status == GRU_OK)
        status = gru_layer_sizes(state->layer, problem->shape.T, problem->shape.N, &state->sizes);
    return status;
}

/* ---- numbers into the context's memory and back ---------------------------------------------------------------- */

/* numbers NULL: NaN, which in every type is all bits set. */
static gru_status put(const engine_state *state, const float *numbers, int64_t count, int type,
                      void *memory) {
    const size_t bytes = (size_t)count * bench_type_bytes(type);
    void *narrow = malloc(bytes);
    if (!narrow) return GRU_OUT_OF_MEMORY;
    if (numbers)
        bench_type_narrow(numbers, count, type, narrow);
    else
        memset(narrow, 0xff, bytes);
    gru_status status = gru_copy(state->context, memory, narrow, bytes, state->run.stream);
    if (status == GRU_OK) status = gru_wait(state->context, state->run.stream);
    free(narrow);
    return status;
}

static gru_status make(const engine_state *state, const float *numbers, int64_t count, int type,
                       void **memory) {
    const gru_status status = gru_allocate(state->context, (size_t)count * bench_type_bytes(type), memory);
    return status == GRU_OK ? put(state, numbers, count, type, *memory) : status;
}

/* After a failure the numbers are still NaN, which the check finds. */
static void get(const engine_state *state, const void *memory, int64_t count, int type, float *numbers) {
    const size_t bytes = (size_t)count * bench_type_bytes(type);
    void *narrow = malloc(bytes);
    if (narrow && gru_copy(state->context, narrow, memory, bytes, state->run.stream) == GRU_OK &&
        gru_wait(state->context, state->run.stream) == GRU_OK)
        bench_type_widen(narrow, count, type, numbers);
    free(narrow);
}

static gru_status make_stream(engine_state *state) {
    const gru_stream_config config = {.rows = state->problem->shape.N, .queue = state->run.stream};
    gru_status status = gru_stream_create(state->layer, &config, &state->steps);
    if (status == GRU_OK) status = gru_stream_write_state(state->steps, state->h0);
    return status;
}

/* A streaming step writes only the state, as streaming programs do. */
static gru_status make_run(engine_state *state) {
    const bench_problem *problem = state->problem;
    const int64_t rows = problem->shape.T * problem->shape.N, H = problem->shape.H;
    const int wide = bench_type_wide(problem->type);
    gru_run *run = &state->run;
    run->T = problem->shape.T, run->N = problem->shape.N;
    run->mode = problem->dy || problem->stage == BENCH_TRAIN ? GRU_TRAIN : GRU_INFERENCE;
    run->workspace_size = state->sizes.workspace;
    if (problem->dy && state->sizes.backward_workspace > run->workspace_size)
        run->workspace_size = state->sizes.backward_workspace;
    run->reserve_size = run->mode == GRU_TRAIN ? state->sizes.reserve : 0;
    gru_status status = problem->projected
                            ? make(state, problem->projected, rows * 3 * H, problem->type, &state->x)
                            : make(state, problem->x, rows * problem->shape.I, problem->type, &state->x);
    if (status == GRU_OK) status = make(state, problem->h0, problem->shape.N * H, wide, &state->h0);
    if (status == GRU_OK) status = make(state, NULL, problem->shape.N * H, wide, &run->hT);
    if (status == GRU_OK && problem->shape.T > 1)
        status = make(state, NULL, rows * H, problem->type, &run->y.data);
    if (status == GRU_OK) status = gru_allocate(state->context, run->workspace_size, &run->workspace);
    if (status == GRU_OK && run->reserve_size)
        status = gru_allocate(state->context, run->reserve_size, &run->reserve);
    if (problem->projected)
        run->projected.data = state->x;
    else
        run->x.data = state->x;
    run->h0 = state->h0;
    if (status == GRU_OK && problem->stage == BENCH_STREAMING) status = make_stream(state);
    return status;
}

static gru_status make_gradients(engine_state *state) {
    const bench_problem *problem = state->problem;
    const bench_shape *shape = &problem->shape;
    gru_status status = make(state, problem->dy, shape->T * shape->N * shape->H, problem->type, &state->dy);
    state->gradients.dy.data = state->dy, state->gradients.parts = GRU_GRAD_OVERWRITE;
    for (int i = 0; i < BENCH_GRADIENTS && status == GRU_OK; i++)
        status = make(state, NULL, bench_problem_gradient_count(shape, i), gradient_type(problem, i),
                      gradient_of(state, i));
    return status;
}

static gru_status make_weights(engine_state *state, int device) {
    const bench_problem *problem = state->problem;
    const int64_t H = problem->shape.H, I = problem->shape.I;
    const int wide = bench_type_wide(problem->type);
    void *tensors[4] = {NULL};
    gru_status status = make(state, problem->W, 3 * H * I, wide, &tensors[0]);
    if (status == GRU_OK) status = make(state, problem->R, 3 * H * H, wide, &tensors[1]);
    if (status == GRU_OK) status = make(state, problem->bW, 3 * H, wide, &tensors[2]);
    if (status == GRU_OK) status = make(state, problem->bR, 3 * H, wide, &tensors[3]);
    state->weights.type = type_of[wide];
    state->weights.W = tensors[0], state->weights.R = tensors[1], state->weights.bW = tensors[2],
    state->weights.bR = tensors[3];
    state->weights.on_device = device == BENCH_GPU;
    return status;
}

static void collect(void *opaque) {
    engine_state *state = opaque;
    const bench_problem *problem = state->problem;
    const int64_t row = problem->shape.N * problem->shape.H;
    for (int i = 0; problem->dy && i < BENCH_GRADIENTS; i++)
        get(state, *gradient_of(state, i), bench_problem_gradient_count(&problem->shape, i),
            gradient_type(problem, i), problem->gradients[i]);
    if (state->steps) (void)gru_stream_read_state(state->steps, state->run.hT);
    get(state, state->run.hT, row, bench_type_wide(problem->type), problem->hT);
    if (state->run.y.data) get(state, state->run.y.data, problem->shape.T * row, problem->type, problem->y);
}

/* Sets outputs to NaN, so that the check sees only what later runs write. */
static gru_status clear_outputs(engine_state *state) {
    const bench_problem *problem = state->problem;
    const int64_t row = problem->shape.N * problem->shape.H;
    gru_status status = put(state, NULL, row, bench_type_wide(problem->type), state->run.hT);
    if (status == GRU_OK && state->run.y.data)
        status = put(state, NULL, problem->shape.T * row, problem->type, state->run.y.data);
    for (int i = 0; problem->dy && i < BENCH_GRADIENTS && status == GRU_OK; i++)
        status = put(state, NULL, bench_problem_gradient_count(&problem->shape, i), gradient_type(problem, i),
                     *gradient_of(state, i));
    return status;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static gru_status call(const engine_state *state) {
    const int stage = state->problem->stage;
    gru_status status = GRU_OK;
    if (state->steps) return gru_stream_step(state->steps, state->x, NULL);
    if (stage == BENCH_BOTH) status = gru_layer_update(state->layer, &state->weights, state->run.stream);
    if (status == GRU_OK && stage != BENCH_BACKWARD) status = gru_layer_forward(state->layer, &state->run);
    return status == GRU_OK && state->problem->dy
               ? gru_layer_backward(state->layer, &state->run, &state->gradients)
               : status;
}

/* After a failure the outputs are still NaN, which the check finds. Later runs make the same call. */
static void run(void *opaque) {
    const engine_state *state = opaque;
    if (state->graph)
        bench_graph_replay(state->graph, state->run.stream);
    else
        (void)call(state);
}

/* Finds out on one row of one step whether the engine has a backward pass. */
static gru_status probe_backward(const engine_state *state) {
    gru_run probe = state->run;
    probe.T = probe.N = 1;
    const gru_status status = gru_layer_forward(state->layer, &probe);
    return status == GRU_OK ? gru_layer_backward(state->layer, &probe, &state->gradients) : status;
}

/* Runs what must precede the timed call: for BENCH_BACKWARD the forward pass. */
static gru_status run_before(engine_state *state, int device) {
    if (!state->problem->dy) return GRU_OK;
    gru_status status = make_gradients(state);
    if (status == GRU_OK && state->problem->stage == BENCH_BOTH) status = make_weights(state, device);
    if (status == GRU_OK) status = probe_backward(state);
    if (status == GRU_OK) status = clear_outputs(state);
    if (status == GRU_OK && state->problem->stage == BENCH_BACKWARD)
        status = gru_layer_forward(state->layer, &state->run);
    return status;
}

static void wait(void *opaque) {
    const engine_state *state = opaque;
    (void)gru_wait(state->context, state->run.stream);
}

static int record(engine_state *state, char *why) {
    state->graph = bench_graph_record(state->run.stream, run, state, why, BENCH_WHY);
    return state->graph && clear_outputs(state) == GRU_OK;
}

/* Without the CUDA toolkit the stream is NULL, which is CUDA's default stream. */
static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    if (problem->layer != BENCH_GRU || (problem->type == BENCH_TF32 && self->device == BENCH_CPU))
        return NULL;
    if (self->weights && (problem->type != BENCH_F32 || problem->dy || problem->stage == BENCH_TRAIN))
        return NULL;
    if (self->device == BENCH_GPU && !*bench_device()) return NULL; /* gru_bench says so once */
    engine_state *state = calloc(1, sizeof *state);
    if (!state) {
        (void)snprintf(why, BENCH_WHY, "out of memory");
        return NULL;
    }
    state->problem = problem;
    if (self->device == BENCH_GPU) state->run.stream = bench_stream_create(why, BENCH_WHY);
    gru_status status = make_layer(state, self, problem);
    if (status == GRU_OK) status = make_run(state);
    const int selected =
        status == GRU_OK && strcmp(gru_engine_name(state->layer, &state->run), self->engine) == 0;
    if (selected) status = run_before(state, self->device);
    const int ran = selected && status == GRU_OK;
    if (ran && (!self->recorded || record(state, why))) return state;
    if (!ran)
        (void)snprintf(why, BENCH_WHY, "%s",
                       status == GRU_OK ? gru_engine_reasons(state->layer, &state->run) : gru_last_error());
    release(state);
    return NULL;
}

size_t bench_engines_packed_bytes(const void *opaque) {
    const engine_state *state = opaque;
    return state->sizes.packed;
}

/* ---- which engines --------------------------------------------------------------------------------------------- */

static int named(const char *names, const char *engine) {
    const size_t length = strlen(engine);
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, engine, length) == 0 && (at[length] == ',' || !at[length])) return 1;
    return 0;
}

static int words(const char *names) {
    int count = 1;
    for (; *names; names++) count += *names == ',';
    return count;
}

static char row_names[BENCH_ENGINES][64]; /* [row] of those that are not called as their engine */

/* The row of an engine of the CPU again, with other weights. */
static void add_weights(const bench_candidate *same, int weights, bench_candidate *engines, int row) {
    (void)snprintf(row_names[row], sizeof *row_names, "%s %s", same->engine, bench_weights_names[weights]);
    engines[row] = *same;
    engines[row].name = row_names[row];
    engines[row].weights = weights;
}

/* An engine's name begins with its backend. A CUDA engine has two rows: call by call, and as a graph. */
static int add_rows(const char *engine, const int *weights, int weights_count, bench_candidate *engines,
                    int count) {
    bench_candidate *rows = engines + count;
    rows[0] = (bench_candidate){engine, prepare, run, release, .collect = collect, .engine = engine};
    if (strncmp(engine, "cuda_", 5) != 0) {
        for (int i = 0; i < weights_count; i++) add_weights(&rows[0], weights[i], engines, count + 1 + i);
        return 1 + weights_count;
    }
    rows[0].device = BENCH_GPU, rows[0].wait = wait;
    rows[1] = rows[0];
    rows[1].recorded = 1, rows[1].name = row_names[count];
    (void)snprintf(row_names[count], sizeof *row_names, "%s graph", engine);
    return 2;
}

int bench_engines_find(const char *names, const int *weights, int weights_count, bench_candidate *engines) {
    const char *name;
    int count = 0, found = 0;
    const int all = names && strcmp(names, "all") == 0;
    for (int32_t i = 0; (name = gru_engine_at(i)) != NULL && count + BENCH_WEIGHTS <= BENCH_ENGINES; i++)
        if (all || (names ? named(names, name) : strcmp(name, "cpu_reference") != 0)) {
            count += add_rows(name, weights, weights_count, engines, count);
            found++;
        }
    if (!all && names && found != words(names)) {
        (void)fprintf(stderr, "gru_bench: --engine %s names an engine that does not exist; there are", names);
        for (int32_t i = 0; (name = gru_engine_at(i)) != NULL; i++) (void)fprintf(stderr, " %s", name);
        (void)fprintf(stderr, "\n");
        return -1;
    }
    return count;
}
