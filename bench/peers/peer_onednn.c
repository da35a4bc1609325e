/* peer_onednn.c: oneDNN 2's lbr_gru (reset after) and vanilla_gru (reset before), by its C API, with the weights in the
 * layout that the primitive asks for.  SPDX-License-Identifier: Apache-2.0 */
#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

#include "peer.h"

enum { X, H0, W, R, B, Y, HT, WORKSPACE, TENSORS };

static const int argument_of[TENSORS] = {DNNL_ARG_SRC_LAYER,    DNNL_ARG_SRC_ITER, DNNL_ARG_WEIGHTS_LAYER,
                                         DNNL_ARG_WEIGHTS_ITER, DNNL_ARG_BIAS,     DNNL_ARG_DST_LAYER,
                                         DNNL_ARG_DST_ITER,     DNNL_ARG_WORKSPACE};
static const dnnl_query_t query_of[TENSORS] = {
    dnnl_query_src_md,     dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_weights_md,
    dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_dst_md,     dnnl_query_workspace_md};
static const int index_of[TENSORS] = {0, 1, 0, 1, 2, 0, 1, 0};

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t descriptor;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[TENSORS];
    dnnl_exec_arg_t arguments[TENSORS];
    int count;
} onednn;

#define TRY(call)                                          \
    do {                                                   \
        const dnnl_status_t try_status = (call);           \
        if (try_status != dnnl_success) return try_status; \
    } while (0)

static void release(void *opaque) {
    onednn *state = opaque;
    for (int i = 0; i < TENSORS; i++)
        if (state->memory[i]) (void)dnnl_memory_destroy(state->memory[i]);
    if (state->primitive) (void)dnnl_primitive_destroy(state->primitive);
    if (state->descriptor) (void)dnnl_primitive_desc_destroy(state->descriptor);
    if (state->stream) (void)dnnl_stream_destroy(state->stream);
    if (state->engine) (void)dnnl_engine_destroy(state->engine);
    free(state);
}

static dnnl_status_t describe(dnnl_memory_desc_t *desc, int rank, const dnnl_dims_t dims,
                              dnnl_format_tag_t tag) {
    return dnnl_memory_desc_init_by_tag(desc, rank, dims, dnnl_f32, tag);
}

static dnnl_status_t create(onednn *state, const bench_problem *p) {
    const bench_shape s = p->shape;
    const int before = p->reset == GRU_RESET_BEFORE;
    const dnnl_prop_kind_t kind = p->stage == BENCH_TRAIN ? dnnl_forward_training : dnnl_forward_inference;
    const dnnl_dims_t x = {s.T, s.N, s.I}, y = {s.T, s.N, s.H}, h = {1, 1, s.N, s.H};
    const dnnl_dims_t w = {1, 1, s.I, 3, s.H}, r = {1, 1, s.H, 3, s.H}, b = {1, 1, before ? 3 : 4, s.H};
    dnnl_memory_desc_t d[TENSORS];
    dnnl_rnn_desc_t rnn;
    TRY(describe(&d[X], 3, x, dnnl_tnc));
    TRY(describe(&d[Y], 3, y, dnnl_tnc));
    TRY(describe(&d[H0], 4, h, dnnl_ldnc));
    TRY(describe(&d[HT], 4, h, dnnl_ldnc));
    TRY(describe(&d[W], 5, w, dnnl_format_tag_any));
    TRY(describe(&d[R], 5, r, dnnl_format_tag_any));
    TRY(describe(&d[B], 4, b, dnnl_ldgo));
    if (before)
        TRY(dnnl_gru_forward_desc_init(&rnn, kind, dnnl_unidirectional_left2right, &d[X], &d[H0], &d[W],
                                       &d[R], &d[B], &d[Y], &d[HT], 0));
    else
        TRY(dnnl_lbr_gru_forward_desc_init(&rnn, kind, dnnl_unidirectional_left2right, &d[X], &d[H0], &d[W],
                                           &d[R], &d[B], &d[Y], &d[HT], 0));
    TRY(dnnl_engine_create(&state->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&state->stream, state->engine, dnnl_stream_default_flags));
    TRY(dnnl_primitive_desc_create(&state->descriptor, &rnn, NULL, state->engine, NULL));
    return dnnl_primitive_create(&state->primitive, state->descriptor);
}

/* matrix [3H][K], gates r, z, n -> [K][3][H], gates z, r, n */
static void to_ldigo(const float *matrix, int64_t H, int64_t K, float *to) {
    static const int gate_of[3] = {1, 0, 2};
    for (int64_t k = 0; k < K; k++)
        for (int g = 0; g < 3; g++)
            for (int64_t j = 0; j < H; j++) to[(k * 3 + g) * H + j] = matrix[(gate_of[g] * H + j) * K + k];
}

static dnnl_status_t put_weights(onednn *state, int tensor, const float *matrix, int64_t H, int64_t K) {
    const dnnl_dims_t dims = {1, 1, K, 3, H};
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t reorder = NULL;
    float *numbers = malloc((size_t)(3 * H * K) * sizeof *numbers);
    if (!numbers) return dnnl_out_of_memory;
    to_ldigo(matrix, H, K, numbers);
    const dnnl_memory_desc_t *packed =
        dnnl_primitive_desc_query_md(state->descriptor, query_of[tensor], index_of[tensor]);
    dnnl_status_t status = describe(&plain, 5, dims, dnnl_ldigo);
    if (status == dnnl_success) status = dnnl_memory_create(&from, &plain, state->engine, numbers);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&descriptor, &plain, state->engine, packed, state->engine,
                                                    NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&reorder, descriptor);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, state->memory[tensor]}};
        status = dnnl_primitive_execute(reorder, state->stream, 2, arguments);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(state->stream);
    if (reorder) (void)dnnl_primitive_destroy(reorder);
    if (descriptor) (void)dnnl_primitive_desc_destroy(descriptor);
    if (from) (void)dnnl_memory_destroy(from);
    free(numbers);
    return status;
}

/* Gates z, r, n: both biases where the cell adds them anyway; the candidate's recurrent one apart with reset after. */
static dnnl_status_t put_bias(onednn *state, const bench_problem *p) {
    const int64_t H = p->shape.H;
    void *numbers;
    TRY(dnnl_memory_get_data_handle(state->memory[B], &numbers));
    float *bias = numbers;
    for (int64_t j = 0; j < H; j++) {
        bias[j] = p->bW[H + j] + p->bR[H + j];
        bias[H + j] = p->bW[j] + p->bR[j];
        bias[2 * H + j] = p->bW[2 * H + j];
        if (p->reset == GRU_RESET_BEFORE)
            bias[2 * H + j] += p->bR[2 * H + j];
        else
            bias[3 * H + j] = p->bR[2 * H + j];
    }
    return dnnl_success;
}

static dnnl_status_t fill(onednn *state, const bench_problem *p) {
    void *outside[TENSORS] = {NULL}; /* the rest is oneDNN's own memory */
    outside[X] = (void *)p->x, outside[H0] = (void *)p->h0, outside[Y] = p->y, outside[HT] = p->hT;
    for (int i = 0; i < TENSORS; i++) {
        const dnnl_memory_desc_t *desc =
            dnnl_primitive_desc_query_md(state->descriptor, query_of[i], index_of[i]);
        if (!desc || dnnl_memory_desc_get_size(desc) == 0) continue;
        TRY(dnnl_memory_create(&state->memory[i], desc, state->engine,
                               outside[i] ? outside[i] : DNNL_MEMORY_ALLOCATE));
        state->arguments[state->count++] = (dnnl_exec_arg_t){argument_of[i], state->memory[i]};
    }
    TRY(put_weights(state, W, p->W, p->shape.H, p->shape.I));
    TRY(put_weights(state, R, p->R, p->shape.H, p->shape.H));
    return put_bias(state, p);
}

static void *prepare(const peer *self, const bench_problem *problem, char *why) {
    (void)self;
    if (problem->type != BENCH_F32 || problem->reset == GRU_RESET_ALL || problem->stage == BENCH_RECURRENCE)
        return NULL;
    onednn *state = calloc(1, sizeof *state);
    omp_set_num_threads(problem->threads);
    dnnl_status_t status = state ? create(state, problem) : dnnl_out_of_memory;
    if (status == dnnl_success) status = fill(state, problem);
    if (status == dnnl_success) return state;
    (void)snprintf(why, PEER_WHY, "dnnl status %d", (int)status);
    if (state) release(state);
    return NULL;
}

static void run(void *opaque) {
    onednn *state = opaque;
    (void)dnnl_primitive_execute(state->primitive, state->stream, state->count, state->arguments);
    (void)dnnl_stream_wait(state->stream);
}

const peer bench_peer_onednn = {.name = "oneDNN", .prepare = prepare, .run = run, .release = release};
