/* peer_onednn_lstm.c: oneDNN 2's LSTM, forward, for the comparison with its GRU and ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "onednn_pass.h"
#include "../candidate.h"

enum { X, H0, C0, W, R, B, Y, HT, CT, TENSORS };

typedef struct lstm {
    const bench_problem *problem;
    onednn_tensor tensors[TENSORS];
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    onednn_pass pass;
} lstm;

static const int own_arrays[] = {C0, W, R, B, CT};
enum { OWN_ARRAYS = sizeof own_arrays / sizeof *own_arrays };

static void release(void *opaque) {
    lstm *state = opaque;
    onednn_pass_release(&state->pass);
    if (state->stream) (void)dnnl_stream_destroy(state->stream);
    if (state->engine) (void)dnnl_engine_destroy(state->engine);
    for (int i = 0; i < OWN_ARRAYS; i++) free(state->tensors[own_arrays[i]].data);
    free(state);
}

static void name_tensors(lstm *state) {
    const bench_shape shape = state->problem->shape;
    const onednn_tensor tensors[TENSORS] = {
        [X] = {DNNL_ARG_SRC_LAYER, 3, {shape.T, shape.N, shape.I}, .tag = dnnl_tnc},
        [H0] = {DNNL_ARG_SRC_ITER, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc},
        [C0] = {DNNL_ARG_SRC_ITER_C, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc},
        [W] = {DNNL_ARG_WEIGHTS_LAYER, 5, {1, 1, shape.I, 4, shape.H}, .tag = dnnl_ldigo, .chooses = 1},
        [R] = {DNNL_ARG_WEIGHTS_ITER, 5, {1, 1, shape.H, 4, shape.H}, .tag = dnnl_ldigo, .chooses = 1},
        [B] = {DNNL_ARG_BIAS, 4, {1, 1, 4, shape.H}, .tag = dnnl_ldgo},
        [Y] = {DNNL_ARG_DST_LAYER, 3, {shape.T, shape.N, shape.H}, .tag = dnnl_tnc},
        [HT] = {DNNL_ARG_DST_ITER, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc},
        [CT] = {DNNL_ARG_DST_ITER_C, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc}};
    for (int i = 0; i < TENSORS; i++) state->tensors[i] = tensors[i];
}

static int make_arrays(lstm *state) {
    static const int gate_of[4] = {0, 1, 2, 3}; /* i, f, g, o here and there */
    const bench_problem *p = state->problem;
    const int64_t H = p->shape.H;
    onednn_tensor *t = state->tensors;
    for (int i = 0; i < OWN_ARRAYS; i++)
        if (!onednn_allocate(&t[own_arrays[i]])) return 0;
    t[X].data = (float *)p->x, t[H0].data = (float *)p->h0, t[Y].data = p->y, t[HT].data = p->hT;
    onednn_put_gates(p->W, gate_of, 4, H, p->shape.I, t[W].data);
    onednn_put_gates(p->R, gate_of, 4, H, H, t[R].data);
    for (int64_t i = 0; i < 4 * H; i++) t[B].data[i] = p->bW[i] + p->bR[i];
    return 1;
}

static dnnl_status_t create(lstm *state) {
    dnnl_primitive_desc_t descriptor;
    dnnl_memory_desc_t d[TENSORS];
    dnnl_rnn_desc_t rnn;
    for (int i = 0; i < TENSORS; i++) ONEDNN_TRY(onednn_describe(&state->tensors[i], &d[i]));
    ONEDNN_TRY(dnnl_lstm_forward_desc_init(&rnn, dnnl_forward_inference, dnnl_unidirectional_left2right,
                                           &d[X], &d[H0], &d[C0], &d[W], &d[R], &d[B], &d[Y], &d[HT], &d[CT],
                                           0));
    ONEDNN_TRY(dnnl_engine_create(&state->engine, dnnl_cpu, 0));
    ONEDNN_TRY(dnnl_stream_create(&state->stream, state->engine, dnnl_stream_default_flags));
    state->pass.engine = state->engine, state->pass.stream = state->stream;
    ONEDNN_TRY(dnnl_primitive_desc_create(&descriptor, &rnn, NULL, state->engine, NULL));
    const dnnl_status_t status = onednn_pass_create(&state->pass, descriptor, state->tensors, TENSORS, NULL);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    (void)self;
    if (problem->layer != BENCH_LSTM || problem->type != BENCH_F32) return NULL;
    lstm *state = calloc(1, sizeof *state);
    dnnl_status_t status = dnnl_out_of_memory;
    omp_set_num_threads(problem->threads);
    if (state) {
        state->problem = problem;
        name_tensors(state);
        if (make_arrays(state)) status = create(state);
    }
    if (status == dnnl_success) {
        onednn_pass_bring(&state->pass);
        return state;
    }
    (void)snprintf(why, BENCH_WHY, "dnnl status %d", (int)status);
    if (state) release(state);
    return NULL;
}

static void run(void *opaque) {
    const lstm *state = opaque;
    onednn_pass_run(&state->pass);
}

const bench_candidate bench_peer_onednn_lstm = {
    .name = "oneDNN", .prepare = prepare, .run = run, .release = release, .has_lstm = 1};
