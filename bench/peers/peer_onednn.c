/* peer_onednn.c: oneDNN 2's lbr_gru (reset after) and vanilla_gru (reset before), by its C API.
 *
 * Weights lie in the layout that the primitive asks for where a call does not begin with plain ones (BENCH_BOTH).
 * SPDX-License-Identifier: Apache-2.0 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

#include "../bench_gradients.h"
#include "onednn_pass.h"
#include "../candidate.h"

/* Gradients stand behind what they are gradients of. */
enum { X, H0, W, R, B, Y, HT, FORWARD, DX = FORWARD, DH0, DW, DR, DB, DY, DHT, TENSORS };

typedef struct onednn {
    const bench_problem *problem;
    onednn_tensor tensors[TENSORS];
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_t workspace; /* what training keeps for its backward pass */
    onednn_pass forward, backward;
} onednn;

static const int own_arrays[] = {W, R, B, DW, DR, DB, DHT};
enum { OWN_ARRAYS = sizeof own_arrays / sizeof *own_arrays };

static void release(void *opaque) {
    onednn *state = opaque;
    onednn_pass_release(&state->forward), onednn_pass_release(&state->backward);
    if (state->workspace) (void)dnnl_memory_destroy(state->workspace);
    if (state->stream) (void)dnnl_stream_destroy(state->stream);
    if (state->engine) (void)dnnl_engine_destroy(state->engine);
    for (int i = 0; i < OWN_ARRAYS; i++) free(state->tensors[own_arrays[i]].data);
    free(state);
}

/* ---- arrays ---------------------------------------------------------------------------------------------------- */

static const int gate_of[3] = {1, 0, 2}; /* of oneDNN's z, r, n */

/* Both biases where the cell adds them anyway; the candidate's recurrent one apart with reset after. */
static void put_bias(const bench_problem *p, float *bias) {
    const int64_t H = p->shape.H;
    for (int64_t j = 0; j < H; j++) {
        bias[j] = p->bW[H + j] + p->bR[H + j];
        bias[H + j] = p->bW[j] + p->bR[j];
        bias[2 * H + j] = p->bW[2 * H + j];
        if (p->reset_mode == GRU_RESET_BEFORE)
            bias[2 * H + j] += p->bR[2 * H + j];
        else
            bias[3 * H + j] = p->bR[2 * H + j];
    }
}

/* A bias that acts as a sum has its gradient in both parts. */
static void take_bias(const bench_problem *p, const float *from) {
    const int64_t H = p->shape.H;
    float *dbW = p->gradients[BENCH_DBW], *dbR = p->gradients[BENCH_DBR];
    for (int g = 0; g < 3; g++)
        for (int64_t j = 0; j < H; j++) dbW[gate_of[g] * H + j] = dbR[gate_of[g] * H + j] = from[g * H + j];
    if (p->reset_mode == GRU_RESET_AFTER) memcpy(dbR + 2 * H, from + 3 * H, (size_t)H * sizeof *dbR);
}

static void collect(void *opaque) {
    const onednn *state = opaque;
    const bench_problem *p = state->problem;
    if (!p->dy) return;
    onednn_take_gates(state->tensors[DW].data, gate_of, 3, p->shape.H, p->shape.I, p->gradients[BENCH_DW]);
    onednn_take_gates(state->tensors[DR].data, gate_of, 3, p->shape.H, p->shape.H, p->gradients[BENCH_DR]);
    take_bias(p, state->tensors[DB].data);
}

static int make_arrays(onednn *state) {
    const bench_problem *p = state->problem;
    onednn_tensor *t = state->tensors;
    for (int i = 0; i < OWN_ARRAYS; i++) {
        if (own_arrays[i] >= FORWARD && !p->dy) continue;
        if (!onednn_allocate(&t[own_arrays[i]])) return 0;
    }
    t[X].data = (float *)p->x, t[H0].data = (float *)p->h0, t[Y].data = p->y, t[HT].data = p->hT;
    t[DX].data = p->gradients[BENCH_DX], t[DH0].data = p->gradients[BENCH_DH0], t[DY].data = (float *)p->dy;
    onednn_put_gates(p->W, gate_of, 3, p->shape.H, p->shape.I, t[W].data);
    onednn_put_gates(p->R, gate_of, 3, p->shape.H, p->shape.H, t[R].data);
    put_bias(p, t[B].data);
    return 1;
}

static void name_tensors(onednn *state) {
    const bench_shape shape = state->problem->shape;
    const int64_t biases = state->problem->reset_mode == GRU_RESET_BEFORE ? 3 : 4;
    const onednn_tensor forward[FORWARD] = {
        [X] = {DNNL_ARG_SRC_LAYER, 3, {shape.T, shape.N, shape.I}, .tag = dnnl_tnc},
        [H0] = {DNNL_ARG_SRC_ITER, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc},
        [W] = {DNNL_ARG_WEIGHTS_LAYER, 5, {1, 1, shape.I, 3, shape.H}, .tag = dnnl_ldigo, .chooses = 1},
        [R] = {DNNL_ARG_WEIGHTS_ITER, 5, {1, 1, shape.H, 3, shape.H}, .tag = dnnl_ldigo, .chooses = 1},
        [B] = {DNNL_ARG_BIAS, 4, {1, 1, biases, shape.H}, .tag = dnnl_ldgo},
        [Y] = {DNNL_ARG_DST_LAYER, 3, {shape.T, shape.N, shape.H}, .tag = dnnl_tnc},
        [HT] = {DNNL_ARG_DST_ITER, 4, {1, 1, shape.N, shape.H}, .tag = dnnl_ldnc}};
    static const int gradients[FORWARD] = {DNNL_ARG_DIFF_SRC_LAYER,     DNNL_ARG_DIFF_SRC_ITER,
                                           DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER,
                                           DNNL_ARG_DIFF_BIAS,          DNNL_ARG_DIFF_DST_LAYER,
                                           DNNL_ARG_DIFF_DST_ITER};
    for (int i = 0; i < FORWARD; i++) {
        state->tensors[i] = state->tensors[FORWARD + i] = forward[i];
        state->tensors[FORWARD + i].argument = gradients[i];
        state->tensors[FORWARD + i].sums = i == W || i == R || i == B;
    }
}

/* ---- passes ---------------------------------------------------------------------------------------------------- */

static dnnl_status_t describe_forward(const onednn *state, dnnl_primitive_desc_t *descriptor) {
    const bench_problem *p = state->problem;
    const int training = p->dy || p->stage == BENCH_TRAIN;
    const dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_memory_desc_t d[FORWARD];
    dnnl_rnn_desc_t rnn;
    for (int i = 0; i < FORWARD; i++) ONEDNN_TRY(onednn_describe(&state->tensors[i], &d[i]));
    ONEDNN_TRY((p->reset_mode == GRU_RESET_BEFORE ? dnnl_gru_forward_desc_init
                                                  : dnnl_lbr_gru_forward_desc_init)(
        &rnn, kind, dnnl_unidirectional_left2right, &d[X], &d[H0], &d[W], &d[R], &d[B], &d[Y], &d[HT], 0));
    return dnnl_primitive_desc_create(descriptor, &rnn, NULL, state->engine, NULL);
}

static dnnl_status_t describe_backward(const onednn *state, const_dnnl_primitive_desc_t forward,
                                       dnnl_primitive_desc_t *descriptor) {
    dnnl_memory_desc_t d[TENSORS];
    dnnl_rnn_desc_t rnn;
    for (int i = 0; i < TENSORS; i++) ONEDNN_TRY(onednn_describe(&state->tensors[i], &d[i]));
    ONEDNN_TRY((state->problem->reset_mode == GRU_RESET_BEFORE ? dnnl_gru_backward_desc_init
                                                               : dnnl_lbr_gru_backward_desc_init)(
        &rnn, dnnl_backward, dnnl_unidirectional_left2right, &d[X], &d[H0], &d[W], &d[R], &d[B], &d[Y],
        &d[HT], &d[DX], &d[DH0], &d[DW], &d[DR], &d[DB], &d[DY], &d[DHT], 0));
    return dnnl_primitive_desc_create(descriptor, &rnn, NULL, state->engine, forward);
}

static dnnl_status_t make_backward(onednn *state, const_dnnl_primitive_desc_t forward) {
    dnnl_primitive_desc_t descriptor;
    ONEDNN_TRY(describe_backward(state, forward, &descriptor));
    const dnnl_status_t status =
        onednn_pass_create(&state->backward, descriptor, state->tensors, TENSORS, state->workspace);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static dnnl_status_t make_passes(onednn *state, const_dnnl_primitive_desc_t descriptor) {
    const dnnl_memory_desc_t *kept = dnnl_primitive_desc_query_md(descriptor, dnnl_query_workspace_md, 0);
    if (kept && dnnl_memory_desc_get_size(kept))
        ONEDNN_TRY(dnnl_memory_create(&state->workspace, kept, state->engine, DNNL_MEMORY_ALLOCATE));
    ONEDNN_TRY(onednn_pass_create(&state->forward, descriptor, state->tensors, FORWARD, state->workspace));
    return state->problem->dy ? make_backward(state, descriptor) : dnnl_success;
}

static dnnl_status_t create(onednn *state) {
    dnnl_primitive_desc_t descriptor;
    ONEDNN_TRY(dnnl_engine_create(&state->engine, dnnl_cpu, 0));
    ONEDNN_TRY(dnnl_stream_create(&state->stream, state->engine, dnnl_stream_default_flags));
    state->forward.engine = state->backward.engine = state->engine;
    state->forward.stream = state->backward.stream = state->stream;
    ONEDNN_TRY(describe_forward(state, &descriptor));
    const dnnl_status_t status = make_passes(state, descriptor);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    (void)self;
    if (problem->layer != BENCH_GRU || problem->type != BENCH_F32 || problem->reset_mode == GRU_RESET_ALL ||
        problem->stage == BENCH_RECURRENCE)
        return NULL;
    onednn *state = calloc(1, sizeof *state);
    dnnl_status_t status = dnnl_out_of_memory;
    omp_set_num_threads(problem->threads);
    if (state) {
        state->problem = problem;
        name_tensors(state);
        if (make_arrays(state)) status = create(state);
    }
    if (status != dnnl_success) {
        (void)snprintf(why, BENCH_WHY, "dnnl status %d", (int)status);
        if (state) release(state);
        return NULL;
    }
    onednn_pass_bring(&state->forward);
    if (problem->stage == BENCH_BACKWARD) onednn_pass_run(&state->forward);
    return state;
}

/* Backward asks for the weights in a layout of its own, so that a training step moves them twice. */
static void run(void *opaque) {
    const onednn *state = opaque;
    const int stage = state->problem->stage;
    if (stage == BENCH_BOTH) onednn_pass_bring(&state->forward);
    if (stage != BENCH_BACKWARD) onednn_pass_run(&state->forward);
    if (!state->problem->dy) return;
    onednn_pass_bring(&state->backward);
    onednn_pass_run(&state->backward);
    onednn_pass_fetch(&state->backward);
}

const bench_candidate bench_peer_onednn = {
    .name = "oneDNN", .prepare = prepare, .run = run, .release = release, .collect = collect, .has_lstm = 1};
