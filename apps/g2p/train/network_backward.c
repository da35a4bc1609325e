/* network_backward.c: from the gradients of the scores back to those of every tensor. */
#include <string.h>

#include "network_internal.h"

/* ---- scores -------------------------------------------------------------------------------------------- */

static void begin_outputs(const network *n, int32_t first, int32_t end) {
    const int32_t D = 2 * n->internal->config.hidden;
    memset(row_of(&n->internal->d_outputs, first, D), 0, sizeof(float) * (size_t)(end - first) * (size_t)D);
}

static void drop_outputs(const network *n, int32_t first, int32_t end) {
    network_internal *m = n->internal;
    const int32_t D = 2 * m->config.hidden;
    for (int32_t row = first; row < end; row++)
        network_drop(m, OUTPUTS, row, row_of(&m->d_outputs, row, D), D);
}

static void score_backward(const network *n) {
    network_internal *m = n->internal;
    const int32_t D = 2 * m->config.hidden, count = m->U * m->N;
    float *d_fc_w = network_gradient(n, FC_W), *d_fc_b = network_gradient(n, FC_B);
    memset(d_fc_w, 0, sizeof *d_fc_w * PHONEMES * (size_t)D);
    multiply(m->pool, &(product){.rows = PHONEMES,
                                 .columns = D,
                                 .depth = count,
                                 .a = m->scores,
                                 .a_row = 1,
                                 .a_column = SCORES,
                                 .b = m->dropped,
                                 .b_row = D,
                                 .c = d_fc_w,
                                 .c_row = D});
    memset(d_fc_b, 0, sizeof *d_fc_b * PHONEMES);
    for (int32_t row = 0; row < count; row++)
        for (int p = 0; p < PHONEMES; p++) d_fc_b[p] += m->scores[(int64_t)row * SCORES + p];
    network_over_rows(n, count, begin_outputs);
    multiply(m->pool, &(product){.rows = count,
                                 .columns = D,
                                 .depth = PHONEMES,
                                 .a = m->scores,
                                 .a_row = SCORES,
                                 .a_column = 1,
                                 .b = network_parameter(n, FC_W),
                                 .b_row = D,
                                 .c = m->d_outputs.host,
                                 .c_row = D});
    network_over_rows(n, count, drop_outputs);
}

/* ---- decoder and encoder ------------------------------------------------------------------------------- */

/* Where the engine writes gradients of this tensor of a GRU. */
static float *engine_gradient(const network *n, int tensor) {
    return (float *)n->internal->gradients.engine + n->tensors[tensor].offset;
}

static const uint32_t all_set = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;

static gru_status decode_backward(const network *n) {
    network_internal *m = n->internal;
    const gru_run run = network_decoder_run(m);
    gru_gradients wanted = GRU_INIT;
    wanted.parts = all_set;
    wanted.dy.data = m->d_outputs.engine;
    wanted.dx.data = m->d_sounds.engine;
    wanted.dh0 = m->d_state.engine;
    wanted.dW = engine_gradient(n, DECODER + W), wanted.dR = engine_gradient(n, DECODER + R);
    wanted.dbW = engine_gradient(n, DECODER + BW), wanted.dbR = engine_gradient(n, DECODER + BR);
    gru_status status =
        shared_buffer_send(m->context, &m->d_outputs, network_bytes(m, m->U, 2 * m->config.hidden));
    if (status == GRU_OK) status = gru_layer_backward(m->decoder, &run, &wanted);
    if (status == GRU_OK)
        status = shared_buffer_receive(m->context, &m->d_sounds, network_bytes(m, m->U, m->config.embedding));
    return status == GRU_OK
               ? shared_buffer_receive(m->context, &m->d_state, network_bytes(m, 1, 2 * m->config.hidden))
               : status;
}

static gru_status encode_backward(const network *n) {
    network_internal *m = n->internal;
    const int32_t H = m->config.hidden;
    gru_stack_run run = GRU_INIT;
    gru_stack_gradients wanted = GRU_INIT;
    const void *const dhT[] = {m->d_last[0].engine, m->d_last[1].engine};
    void *const dW[] = {engine_gradient(n, ENCODER + W), engine_gradient(n, REVERSE + W)};
    void *const dR[] = {engine_gradient(n, ENCODER + R), engine_gradient(n, REVERSE + R)};
    void *const dbW[] = {engine_gradient(n, ENCODER + BW), engine_gradient(n, REVERSE + BW)};
    void *const dbR[] = {engine_gradient(n, ENCODER + BR), engine_gradient(n, REVERSE + BR)};
    run.data = network_encoder_run(m);
    wanted.data.parts = all_set;
    wanted.data.dx.data = m->d_letters.engine;
    wanted.dhT = dhT, wanted.dW = dW, wanted.dR = dR, wanted.dbW = dbW, wanted.dbR = dbR;
    gru_status status = GRU_OK;
    for (int d = 0; d < 2 && status == GRU_OK; d++) {
        for (int32_t row = 0; row < m->N; row++)
            memcpy(row_of(&m->d_last[d], row, H), row_of(&m->d_state, row, 2 * H) + d * H,
                   network_bytes(m, 1, H) / (size_t)m->N);
        status = shared_buffer_send(m->context, &m->d_last[d], network_bytes(m, 1, H));
    }
    if (status == GRU_OK) status = gru_stack_backward(m->encoder, &run, &wanted);
    return status == GRU_OK
               ? shared_buffer_receive(m->context, &m->d_letters, network_bytes(m, m->T, m->config.embedding))
               : status;
}

/* ---- embeddings ---------------------------------------------------------------------------------------- */

static void add_row(float *sum, const float *row, int32_t count) {
    for (int32_t i = 0; i < count; i++) sum[i] += row[i];
}

/* Rows of letters and sounds that occur more than once add up, in order. */
static void embed_backward(const network *n) {
    network_internal *m = n->internal;
    const int32_t E = m->config.embedding;
    float *d_letters = network_gradient(n, ENC_EMB), *d_sounds = network_gradient(n, DEC_EMB);
    memset(d_letters, 0, sizeof *d_letters * GRAPHEMES * (size_t)E);
    memset(d_sounds, 0, sizeof *d_sounds * PHONEMES * (size_t)E);
    for (int32_t row = 0; row < m->T * m->N; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->length) continue;
        float *dx = row_of(&m->d_letters, row, E);
        network_drop(m, LETTERS, row, dx, E);
        add_row(d_letters + letter_at(w, row / m->N) * (size_t)E, dx, E);
    }
    for (int32_t row = 0; row < m->U * m->N; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->sounds) continue;
        float *dx = row_of(&m->d_sounds, row, E);
        network_drop(m, SOUNDS, row, dx, E);
        add_row(d_sounds + heard_at(w, row / m->N) * (size_t)E, dx, E);
    }
}

gru_status network_backward(const network *n) {
    const network_internal *m = n->internal;
    const size_t of_grus = sizeof(float) * n->tensors[GRU_TENSORS].offset;
    score_backward(n);
    gru_status status = decode_backward(n);
    if (status == GRU_OK) status = encode_backward(n);
    if (status == GRU_OK) status = shared_buffer_receive(m->context, &m->gradients, of_grus);
    if (status != GRU_OK) return status;
    memcpy(n->gradients, m->gradients.host, of_grus);
    embed_backward(n);
    return GRU_OK;
}
