/* library.c: runs a layer pinned to one engine, as a user of the public API would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

typedef struct state {
    gru_context *context;
    gru_layer *layer;
    gru_run run;
    gru_memory memory;
} state;

static void release(void *opaque) {
    state *s = opaque;
    if (!s) return;
    gru_free(s->context, s->run.workspace);
    gru_free(s->context, s->run.reserve);
    gru_layer_release(s->layer);
    gru_context_release(s->context);
    free(s);
}

static gru_status make_layer(state *s, const char *engine, const bench_problem *problem) {
    gru_context_config machine = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    machine.engine = engine, machine.threads = problem->threads;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset = problem->reset;
    weights.W = problem->W, weights.R = problem->R, weights.bW = problem->bW, weights.bR = problem->bR;
    gru_status status = gru_context_create(&machine, &s->context);
    if (status == GRU_OK) status = gru_layer_create(s->context, &config, &weights, &s->layer);
    if (status == GRU_OK) status = gru_layer_memory(s->layer, problem->shape.T, problem->shape.N, &s->memory);
    if (status == GRU_OK) status = gru_allocate(s->context, s->memory.workspace, &s->run.workspace);
    if (status == GRU_OK && problem->stage == BENCH_TRAIN)
        status = gru_allocate(s->context, s->memory.reserve, &s->run.reserve);
    return status;
}

/* A single step writes its state alone, as streaming programs do. */
static void make_run(state *s, const bench_problem *problem) {
    gru_run *run = &s->run;
    run->T = problem->shape.T, run->N = problem->shape.N;
    run->mode = problem->stage == BENCH_TRAIN ? GRU_TRAIN : GRU_INFERENCE;
    if (problem->projected)
        run->projected.data = problem->projected;
    else
        run->x.data = problem->x;
    run->y.data = problem->shape.T > 1 ? problem->y : NULL;
    run->h0 = problem->h0, run->hT = problem->hT;
    run->workspace_size = s->memory.workspace;
    run->reserve_size = run->reserve ? s->memory.reserve : 0;
}

static void *prepare(const peer *self, const bench_problem *problem, char *why) {
    state *s = calloc(1, sizeof *s);
    if (!s) {
        (void)snprintf(why, PEER_WHY, "out of memory");
        return NULL;
    }
    gru_status status = make_layer(s, self->name, problem);
    if (status == GRU_OK) make_run(s, problem);
    if (status == GRU_OK && strcmp(gru_engine_name(s->layer, &s->run), self->name) == 0) return s;
    (void)snprintf(why, PEER_WHY, "%s",
                   status == GRU_OK ? gru_engine_reasons(s->layer, &s->run) : gru_last_error());
    release(s);
    return NULL;
}

/* A failure would leave the NaN of bench_problem_forget, which the check sees; later runs are the same call. */
static void run(void *opaque) {
    const state *s = opaque;
    (void)gru_forward(s->layer, &s->run);
}

size_t bench_library_packed(const void *opaque) {
    const state *s = opaque;
    return s->memory.packed;
}

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

int bench_library_engines(const char *names, peer *engines) {
    const char *name;
    int count = 0;
    const int all = names && strcmp(names, "all") == 0;
    for (int32_t i = 0; (name = gru_engine_at(i)) != NULL && count < BENCH_ENGINES; i++)
        if (all || (names ? named(names, name) : strcmp(name, "cpu_reference") != 0))
            engines[count++] = (peer){name, prepare, run, release};
    if (!all && names && count != words(names)) {
        (void)fprintf(stderr, "gru_bench: --engine %s names an engine that does not exist; there are", names);
        for (int32_t i = 0; (name = gru_engine_at(i)) != NULL; i++) (void)fprintf(stderr, " %s", name);
        (void)fprintf(stderr, "\n");
        return -1;
    }
    return count;
}
