/* reference.c: runs the reference engine in double precision over the first steps of a problem.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "bench_gradients.h"
#include "lstm.h"

/* The reference engine works through some 10^9 operations a second. A run is causal, so the first steps of a long one
 * can be judged alone: as many as fit this budget, all rows, at least two steps so that one state was carried. */
static const double truth_flops = 1e8;

int64_t bench_truth_steps(const bench_problem *problem) {
    const int64_t T = problem->shape.T;
    const int64_t fits = (int64_t)(truth_flops / bench_problem_flops(problem) * (double)T);
    return fits >= T ? T : fits < 2 && T > 1 ? 2 : fits < 1 ? 1 : fits;
}

static double *widen(const float *from, int64_t count) {
    double *to = from ? malloc((size_t)count * sizeof *to) : NULL;
    for (int64_t i = 0; to && i < count; i++) to[i] = from[i];
    return to;
}

typedef struct inputs {
    double *W, *R, *bW, *bR, *x, *projected, *h0, *dy; /* what the problem has, in double precision */
} inputs;

static int widen_all(const bench_problem *p, inputs *in) {
    const bench_shape s = p->shape;
    const int64_t rows = p->steps * s.N;
    *in =
        (inputs){widen(p->W, 3 * s.H * s.I), widen(p->R, 3 * s.H * s.H), widen(p->bW, 3 * s.H),
                 widen(p->bR, 3 * s.H),      widen(p->x, rows * s.I),    widen(p->projected, rows * 3 * s.H),
                 widen(p->h0, s.N * s.H),    widen(p->dy, rows * s.H)};
    return in->W && in->R && in->bW && in->bR && in->x && in->h0 && !p->projected == !in->projected &&
           !p->dy == !in->dy;
}

static void release_inputs(inputs *in) {
    free(in->W), free(in->R), free(in->bW), free(in->bR), free(in->x), free(in->projected), free(in->h0);
    free(in->dy);
}

/* Zeroed: of dx only the judged steps are written. */
static int make_outputs(bench_problem *p) {
    p->truth = calloc((size_t)(p->steps * p->shape.N * p->shape.H), sizeof(double));
    int whole = p->truth != NULL;
    for (int i = 0; p->dy && i < BENCH_GRADIENTS; i++) {
        p->gradient_truth[i] = calloc((size_t)bench_gradient_count(&p->shape, i), sizeof(double));
        whole = whole && p->gradient_truth[i];
    }
    return whole;
}

static gru_status run_layer(const bench_problem *p, const inputs *in, gru_context *context,
                            const gru_layer *layer) {
    double *const *const g = p->gradient_truth;
    gru_memory memory = GRU_INIT;
    gru_run run = GRU_INIT;
    gru_gradients gradients = GRU_INIT;
    run.T = p->steps, run.N = p->shape.N, run.mode = p->dy ? GRU_TRAIN : GRU_INFERENCE;
    run.x.data = in->projected ? NULL : in->x, run.projected.data = in->projected, run.h0 = in->h0;
    run.y.data = p->truth;
    gradients.dy.data = in->dy, gradients.dx.data = g[BENCH_DX], gradients.dh0 = g[BENCH_DH0];
    gradients.dW = g[BENCH_DW], gradients.dR = g[BENCH_DR];
    gradients.dbW = g[BENCH_DBW], gradients.dbR = g[BENCH_DBR];
    gru_status status = gru_layer_memory(layer, run.T, run.N, &memory);
    run.workspace_size =
        memory.workspace > memory.backward_workspace ? memory.workspace : memory.backward_workspace;
    run.reserve_size = p->dy ? memory.reserve : 0;
    if (status == GRU_OK) status = gru_allocate(context, run.workspace_size, &run.workspace);
    if (status == GRU_OK && p->dy) status = gru_allocate(context, run.reserve_size, &run.reserve);
    if (status == GRU_OK) status = gru_forward(layer, &run);
    if (status == GRU_OK && p->dy) status = gru_backward(layer, &run, &gradients);
    gru_free(context, run.workspace), gru_free(context, run.reserve);
    return status;
}

static gru_status run_reference(const bench_problem *problem, const inputs *in) {
    gru_context_config machine = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    machine.backend = GRU_BACKEND_CPU, machine.engine = "cpu_reference", machine.threads = 1;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset = problem->reset;
    config.io_type = config.state_type = config.weight_type = weights.type = GRU_F64;
    weights.W = in->W, weights.R = in->R, weights.bW = in->bW, weights.bR = in->bR;
    gru_status status = gru_context_create(&machine, &context);
    if (status == GRU_OK) status = gru_layer_create(context, &config, &weights, &layer);
    if (status == GRU_OK) status = run_layer(problem, in, context, layer);
    gru_layer_release(layer);
    gru_context_release(context);
    return status;
}

int bench_truth_find(bench_problem *problem) {
    inputs in;
    if (problem->cell == BENCH_LSTM) return bench_lstm_truth(problem);
    const int whole = widen_all(problem, &in) && make_outputs(problem);
    const int done = whole && run_reference(problem, &in) == GRU_OK;
    if (!done)
        (void)fprintf(stderr, "gru_bench: no reference for %s: %s\n", problem->shape.name,
                      whole ? gru_last_error() : "out of memory");
    release_inputs(&in);
    return done;
}
