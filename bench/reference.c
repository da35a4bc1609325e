/* reference.c: runs the reference engine in double precision over the first steps of a problem.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "bench_gradients.h"
#include "lstm.h"

/* The reference engine computes about 10^9 operations a second. The first steps of a run do not depend on later ones, so
 * it computes as many steps as fit this budget, all rows. At least two, so that a state is passed on. */
static const double reference_flops = 1e8;

int64_t bench_reference_steps(const bench_problem *problem) {
    const int64_t T = problem->shape.T;
    const int64_t fits = (int64_t)(reference_flops / bench_problem_flops(problem) * (double)T);
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

static int widen_all(const bench_problem *problem, inputs *in) {
    const bench_shape shape = problem->shape;
    const int64_t rows = problem->steps * shape.N;
    *in = (inputs){widen(problem->W, 3 * shape.H * shape.I), widen(problem->R, 3 * shape.H * shape.H),
                   widen(problem->bW, 3 * shape.H),          widen(problem->bR, 3 * shape.H),
                   widen(problem->x, rows * shape.I),        widen(problem->projected, rows * 3 * shape.H),
                   widen(problem->h0, shape.N * shape.H),    widen(problem->dy, rows * shape.H)};
    return in->W && in->R && in->bW && in->bR && in->x && in->h0 && !problem->projected == !in->projected &&
           !problem->dy == !in->dy;
}

static void release_inputs(inputs *in) {
    free(in->W), free(in->R), free(in->bW), free(in->bR), free(in->x), free(in->projected), free(in->h0);
    free(in->dy);
}

/* Zeros, since only the first steps of dx are written. */
static int make_outputs(bench_problem *problem) {
    problem->reference =
        calloc((size_t)(problem->steps * problem->shape.N * problem->shape.H), sizeof(double));
    int whole = problem->reference != NULL;
    for (int i = 0; problem->dy && i < BENCH_GRADIENTS; i++) {
        problem->gradient_reference[i] =
            calloc((size_t)bench_problem_gradient_count(&problem->shape, i), sizeof(double));
        whole = whole && problem->gradient_reference[i];
    }
    return whole;
}

static gru_status run_layer(const bench_problem *problem, const inputs *in, gru_context *context,
                            const gru_layer *layer) {
    double *const *const g = problem->gradient_reference;
    gru_sizes sizes = GRU_INIT;
    gru_run run = GRU_INIT;
    gru_gradients gradients = GRU_INIT;
    run.T = problem->steps, run.N = problem->shape.N, run.mode = problem->dy ? GRU_TRAIN : GRU_INFERENCE;
    run.x.data = in->projected ? NULL : in->x, run.projected.data = in->projected, run.h0 = in->h0;
    run.y.data = problem->reference;
    gradients.dy.data = in->dy, gradients.dx.data = g[BENCH_DX], gradients.dh0 = g[BENCH_DH0];
    gradients.dW = g[BENCH_DW], gradients.dR = g[BENCH_DR];
    gradients.dbW = g[BENCH_DBW], gradients.dbR = g[BENCH_DBR];
    gru_status status = gru_layer_sizes(layer, run.T, run.N, &sizes);
    run.workspace_size =
        sizes.workspace > sizes.backward_workspace ? sizes.workspace : sizes.backward_workspace;
    run.reserve_size = problem->dy ? sizes.reserve : 0;
    if (status == GRU_OK) status = gru_allocate(context, run.workspace_size, &run.workspace);
    if (status == GRU_OK && problem->dy) status = gru_allocate(context, run.reserve_size, &run.reserve);
    if (status == GRU_OK) status = gru_layer_forward(layer, &run);
    if (status == GRU_OK && problem->dy) status = gru_layer_backward(layer, &run, &gradients);
    gru_free(context, run.workspace), gru_free(context, run.reserve);
    return status;
}

static gru_status run_reference(const bench_problem *problem, const inputs *in) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    context_config.backend = GRU_BACKEND_CPU, context_config.engine = "cpu_reference",
    context_config.threads = 1;
    config.inputs = (int32_t)problem->shape.I, config.hidden = (int32_t)problem->shape.H;
    config.reset_mode = problem->reset_mode;
    config.io_type = config.state_type = config.weight_type = weights.type = GRU_F64;
    weights.W = in->W, weights.R = in->R, weights.bW = in->bW, weights.bR = in->bR;
    gru_status status = gru_context_create(&context_config, &context);
    if (status == GRU_OK) status = gru_layer_create(context, &config, &weights, &layer);
    if (status == GRU_OK) status = run_layer(problem, in, context, layer);
    gru_layer_release(layer);
    gru_context_release(context);
    return status;
}

int bench_reference_compute(bench_problem *problem) {
    inputs in;
    if (problem->layer == BENCH_LSTM) return bench_lstm_reference(problem);
    const int whole = widen_all(problem, &in) && make_outputs(problem);
    const int done = whole && run_reference(problem, &in) == GRU_OK;
    if (!done)
        (void)fprintf(stderr, "gru_bench: no reference for %s: %s\n", problem->shape.name,
                      whole ? gru_last_error() : "out of memory");
    release_inputs(&in);
    return done;
}
