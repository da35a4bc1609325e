/* candidate.c: runs a layer pinned to one engine, as a user of the public API would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

#include "bench_gradients.h"
#include "bench_stream.h"

/* Tensors live in the context's memory, which on a GPU is not the problem's. */
typedef struct state {
    const bench_problem *problem;
    gru_context *context;
    gru_layer *layer;
    gru_run run;
    gru_memory memory;
    gru_gradients gradients;
    gru_weights weights; /* f32; BENCH_BOTH only: where gru_layer_update finds them */
    void *x, *h0, *dy;   /* x or projected and dy in the problem's type; h0 and hT in f32 */
    void *graph;         /* NULL: runs are enqueued call by call */
} state;

/* A gradient's place; those that the run has in its type are dx, the others are f32. */
static void **place_of(state *s, int which) {
    gru_gradients *g = &s->gradients;
    void **const places[BENCH_GRADIENTS] = {&g->dx.data, &g->dh0, &g->dW, &g->dR, &g->dbW, &g->dbR};
    return places[which];
}

static int gradient_type(const bench_problem *problem, int which) {
    return which == BENCH_DX ? problem->type : BENCH_F32;
}

static void release(void *opaque) {
    state *s = opaque;
    if (!s) return;
    bench_graph_release(s->graph);
    gru_free(s->context, s->x), gru_free(s->context, s->h0);
    gru_free(s->context, s->run.y.data), gru_free(s->context, s->run.hT);
    gru_free(s->context, s->run.workspace), gru_free(s->context, s->run.reserve);
    for (int i = 0; i < BENCH_GRADIENTS; i++) gru_free(s->context, *place_of(s, i));
    gru_free(s->context, (void *)s->weights.W), gru_free(s->context, (void *)s->weights.R);
    gru_free(s->context, (void *)s->weights.bW), gru_free(s->context, (void *)s->weights.bR);
    gru_free(s->context, s->dy);
    gru_layer_release(s->layer);
    gru_context_release(s->context);
    bench_stream_release(s->run.stream);
    free(s);
}

/* ---- what the layer is ----------------------------------------------------------------------------------------- */

static const int32_t type_of[BENCH_TYPES] = {GRU_F32, GRU_F32, GRU_F16, GRU_BF16};

static gru_status make_layer(state *s, const peer *self, const bench_problem *problem) {
    gru_context_config machine = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    machine.engine = self->engine, machine.threads = problem->threads;
    machine.backend = self->device == BENCH_GPU ? GRU_BACKEND_CUDA : GRU_BACKEND_CPU;
    machine.flags = problem->type == BENCH_TF32 ? GRU_ALLOW_TF32 : 0;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset = problem->reset;
    config.io_type = config.weight_type = type_of[problem->type];
    weights.W = problem->W, weights.R = problem->R, weights.bW = problem->bW, weights.bR = problem->bR;
    gru_status status = gru_context_create(&machine, &s->context);
    if (status == GRU_OK) status = gru_layer_create(s->context, &config, &weights, &s->layer);
    if (status == GRU_OK) status = gru_layer_memory(s->layer, problem->shape.T, problem->shape.N, &s->memory);
    return status;
}

/* ---- numbers into the context's memory and back ---------------------------------------------------------------- */

/* numbers NULL: NaN, which in every type is all bits set. */
static gru_status put(const state *s, const float *numbers, int64_t count, int type, void *memory) {
    const size_t bytes = (size_t)count * bench_type_bytes(type);
    void *narrow = malloc(bytes);
    if (!narrow) return GRU_OUT_OF_MEMORY;
    if (numbers)
        bench_narrow(numbers, count, type, narrow);
    else
        memset(narrow, 0xff, bytes);
    gru_status status = gru_copy(s->context, memory, narrow, bytes, s->run.stream);
    if (status == GRU_OK) status = gru_wait(s->context, s->run.stream);
    free(narrow);
    return status;
}

static gru_status make(const state *s, const float *numbers, int64_t count, int type, void **memory) {
    const gru_status status = gru_allocate(s->context, (size_t)count * bench_type_bytes(type), memory);
    return status == GRU_OK ? put(s, numbers, count, type, *memory) : status;
}

/* A failure leaves the NaN of bench_problem_forget. */
static void get(const state *s, const void *memory, int64_t count, int type, float *numbers) {
    const size_t bytes = (size_t)count * bench_type_bytes(type);
    void *narrow = malloc(bytes);
    if (narrow && gru_copy(s->context, narrow, memory, bytes, s->run.stream) == GRU_OK &&
        gru_wait(s->context, s->run.stream) == GRU_OK)
        bench_widen(narrow, count, type, numbers);
    free(narrow);
}

/* A single step writes its state alone, as streaming programs do. */
static gru_status make_run(state *s) {
    const bench_problem *p = s->problem;
    const int64_t rows = p->shape.T * p->shape.N, H = p->shape.H;
    gru_run *run = &s->run;
    run->T = p->shape.T, run->N = p->shape.N;
    run->mode = p->dy || p->stage == BENCH_TRAIN ? GRU_TRAIN : GRU_INFERENCE;
    run->workspace_size = s->memory.workspace;
    if (p->dy && s->memory.backward_workspace > run->workspace_size)
        run->workspace_size = s->memory.backward_workspace;
    run->reserve_size = run->mode == GRU_TRAIN ? s->memory.reserve : 0;
    gru_status status = p->projected ? make(s, p->projected, rows * 3 * H, p->type, &s->x)
                                     : make(s, p->x, rows * p->shape.I, p->type, &s->x);
    if (status == GRU_OK) status = make(s, p->h0, p->shape.N * H, BENCH_F32, &s->h0);
    if (status == GRU_OK) status = make(s, NULL, p->shape.N * H, BENCH_F32, &run->hT);
    if (status == GRU_OK && p->shape.T > 1) status = make(s, NULL, rows * H, p->type, &run->y.data);
    if (status == GRU_OK) status = gru_allocate(s->context, run->workspace_size, &run->workspace);
    if (status == GRU_OK && run->reserve_size)
        status = gru_allocate(s->context, run->reserve_size, &run->reserve);
    if (p->projected)
        run->projected.data = s->x;
    else
        run->x.data = s->x;
    run->h0 = s->h0;
    return status;
}

static gru_status make_gradients(state *s) {
    const bench_problem *p = s->problem;
    const bench_shape *shape = &p->shape;
    gru_status status = make(s, p->dy, shape->T * shape->N * shape->H, p->type, &s->dy);
    s->gradients.dy.data = s->dy, s->gradients.parts = GRU_GRAD_OVERWRITE;
    for (int i = 0; i < BENCH_GRADIENTS && status == GRU_OK; i++)
        status = make(s, NULL, bench_gradient_count(shape, i), gradient_type(p, i), place_of(s, i));
    return status;
}

static gru_status make_weights(state *s, int device) {
    const bench_problem *p = s->problem;
    const int64_t H = p->shape.H, I = p->shape.I;
    void *parts[4] = {NULL};
    gru_status status = make(s, p->W, 3 * H * I, BENCH_F32, &parts[0]);
    if (status == GRU_OK) status = make(s, p->R, 3 * H * H, BENCH_F32, &parts[1]);
    if (status == GRU_OK) status = make(s, p->bW, 3 * H, BENCH_F32, &parts[2]);
    if (status == GRU_OK) status = make(s, p->bR, 3 * H, BENCH_F32, &parts[3]);
    s->weights.W = parts[0], s->weights.R = parts[1], s->weights.bW = parts[2], s->weights.bR = parts[3];
    s->weights.on_device = device == BENCH_GPU;
    return status;
}

static void collect(void *opaque) {
    state *s = opaque;
    const bench_problem *p = s->problem;
    const int64_t row = p->shape.N * p->shape.H;
    for (int i = 0; p->dy && i < BENCH_GRADIENTS; i++)
        get(s, *place_of(s, i), bench_gradient_count(&p->shape, i), gradient_type(p, i), p->gradients[i]);
    get(s, s->run.hT, row, BENCH_F32, p->hT);
    if (s->run.y.data) get(s, s->run.y.data, p->shape.T * row, p->type, p->y);
}

/* NaN again, so that the check sees what the row itself writes. */
static gru_status forget(state *s) {
    const bench_problem *p = s->problem;
    const int64_t row = p->shape.N * p->shape.H;
    gru_status status = put(s, NULL, row, BENCH_F32, s->run.hT);
    if (status == GRU_OK && s->run.y.data) status = put(s, NULL, p->shape.T * row, p->type, s->run.y.data);
    for (int i = 0; p->dy && i < BENCH_GRADIENTS && status == GRU_OK; i++)
        status = put(s, NULL, bench_gradient_count(&p->shape, i), gradient_type(p, i), *place_of(s, i));
    return status;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static gru_status call(const state *s) {
    const int stage = s->problem->stage;
    gru_status status = GRU_OK;
    if (stage == BENCH_BOTH) status = gru_layer_update(s->layer, &s->weights, s->run.stream);
    if (status == GRU_OK && stage != BENCH_BACKWARD) status = gru_forward(s->layer, &s->run);
    return status == GRU_OK && s->problem->dy ? gru_backward(s->layer, &s->run, &s->gradients) : status;
}

/* A failure leaves the NaN with which all outputs begin, which the check sees; later runs are the same call. */
static void run(void *opaque) {
    const state *s = opaque;
    if (s->graph)
        bench_graph_replay(s->graph, s->run.stream);
    else
        (void)call(s);
}

/* One row of one step tells whether the engine has a pass backward. */
static gru_status probe_backward(const state *s) {
    gru_run probe = s->run;
    probe.T = probe.N = 1;
    const gru_status status = gru_forward(s->layer, &probe);
    return status == GRU_OK ? gru_backward(s->layer, &probe, &s->gradients) : status;
}

/* A pass backward alone begins with what this leaves. */
static gru_status run_before(state *s, int device) {
    if (!s->problem->dy) return GRU_OK;
    gru_status status = make_gradients(s);
    if (status == GRU_OK && s->problem->stage == BENCH_BOTH) status = make_weights(s, device);
    if (status == GRU_OK) status = probe_backward(s);
    if (status == GRU_OK) status = forget(s);
    if (status == GRU_OK && s->problem->stage == BENCH_BACKWARD) status = gru_forward(s->layer, &s->run);
    return status;
}

static void wait(void *opaque) {
    const state *s = opaque;
    (void)gru_wait(s->context, s->run.stream);
}

static int record(state *s, char *why) {
    s->graph = bench_graph_record(s->run.stream, run, s, why, PEER_WHY);
    return s->graph && forget(s) == GRU_OK;
}

/* The stream NULL, CUDA's own, serves a benchmark that was built without the toolkit. */
static void *prepare(const peer *self, const bench_problem *problem, char *why) {
    if (problem->cell != BENCH_GRU || (problem->type == BENCH_TF32 && self->device == BENCH_CPU)) return NULL;
    if (self->device == BENCH_GPU && !*bench_device()) return NULL; /* said once, at the start */
    state *s = calloc(1, sizeof *s);
    if (!s) {
        (void)snprintf(why, PEER_WHY, "out of memory");
        return NULL;
    }
    s->problem = problem;
    if (self->device == BENCH_GPU) s->run.stream = bench_stream_create(why, PEER_WHY);
    gru_status status = make_layer(s, self, problem);
    if (status == GRU_OK) status = make_run(s);
    const int mine = status == GRU_OK && strcmp(gru_engine_name(s->layer, &s->run), self->engine) == 0;
    if (mine) status = run_before(s, self->device);
    const int ran = mine && status == GRU_OK;
    if (ran && (!self->recorded || record(s, why))) return s;
    if (!ran)
        (void)snprintf(why, PEER_WHY, "%s",
                       status == GRU_OK ? gru_engine_reasons(s->layer, &s->run) : gru_last_error());
    release(s);
    return NULL;
}

size_t bench_library_packed(const void *opaque) {
    const state *s = opaque;
    return s->memory.packed;
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

/* An engine's name begins with its machine's. One of a GPU has two rows: call by call, and as a graph. */
static int add_rows(const char *engine, peer *engines, int count) {
    static char names[BENCH_ENGINES][64]; /* [row] of graphs */
    peer *rows = engines + count;
    rows[0] = (peer){engine, prepare, run, release, .collect = collect, .engine = engine};
    if (strncmp(engine, "cuda_", 5) != 0) return 1;
    rows[0].device = BENCH_GPU, rows[0].wait = wait;
    rows[1] = rows[0];
    rows[1].recorded = 1, rows[1].name = names[count];
    (void)snprintf(names[count], sizeof *names, "%s graph", engine);
    return 2;
}

int bench_library_engines(const char *names, peer *engines) {
    const char *name;
    int count = 0, found = 0;
    const int all = names && strcmp(names, "all") == 0;
    for (int32_t i = 0; (name = gru_engine_at(i)) != NULL && count + 2 <= BENCH_ENGINES; i++)
        if (all || (names ? named(names, name) : strcmp(name, "cpu_reference") != 0)) {
            count += add_rows(name, engines, count);
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
