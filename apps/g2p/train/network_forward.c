/* network_forward.c: a batch from its spellings to scores for every sound, and the loss. */
#include <math.h>
#include <string.h>

#include "network_internal.h"

/* ---- encoder and decoder ------------------------------------------------------------------------------- */

static void embed_letters(const network *n, int32_t first, int32_t end) {
    network_internal *m = n->internal;
    const int32_t E = m->config.embedding;
    for (int32_t row = first; row < end; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->length) continue;
        float *x = row_of(&m->letters, row, E);
        memcpy(x, network_parameter(n, ENC_EMB) + letter_at(w, row / m->N) * (size_t)E,
               sizeof *x * (size_t)E);
        network_drop(m, LETTERS, row, x, E);
    }
}

static void embed_sounds(const network *n, int32_t first, int32_t end) {
    network_internal *m = n->internal;
    const int32_t E = m->config.embedding;
    for (int32_t row = first; row < end; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->sounds) continue;
        float *x = row_of(&m->sounds, row, E);
        memcpy(x, network_parameter(n, DEC_EMB) + heard_at(w, row / m->N) * (size_t)E, sizeof *x * (size_t)E);
        network_drop(m, SOUNDS, row, x, E);
    }
}

/* Both directions write their last state into their half of the decoder's first. */
static gru_status encode(const network *n) {
    network_internal *m = n->internal;
    const int32_t H = m->config.hidden, E = m->config.embedding;
    float *state = m->state.engine;
    void *const hT[] = {state, state + H};
    const int64_t strides[] = {2 * H, 2 * H};
    gru_stack_run run = GRU_INIT;
    run.data = network_encoder_run(m);
    run.hT = hT, run.h_strides = strides;
    network_over_rows(n, m->T * m->N, embed_letters);
    gru_status status = shared_buffer_send(m->context, &m->letter_counts, network_bytes(m, 1, 1));
    if (status == GRU_OK) status = shared_buffer_send(m->context, &m->letters, network_bytes(m, m->T, E));
    return status == GRU_OK ? gru_stack_forward(m->encoder, &run) : status;
}

static gru_status decode(const network *n) {
    network_internal *m = n->internal;
    const gru_run run = network_decoder_run(m);
    network_over_rows(n, m->U * m->N, embed_sounds);
    gru_status status = shared_buffer_send(m->context, &m->sound_counts, network_bytes(m, 1, 1));
    if (status == GRU_OK)
        status = shared_buffer_send(m->context, &m->sounds, network_bytes(m, m->U, m->config.embedding));
    if (status == GRU_OK) status = gru_layer_forward(m->decoder, &run);
    return status == GRU_OK
               ? shared_buffer_receive(m->context, &m->outputs, network_bytes(m, m->U, 2 * m->config.hidden))
               : status;
}

/* ---- scores -------------------------------------------------------------------------------------------- */

static void begin_scores(const network *n, int32_t first, int32_t end) {
    network_internal *m = n->internal;
    const int32_t D = 2 * m->config.hidden;
    for (int32_t row = first; row < end; row++) {
        float *kept = m->dropped + (int64_t)row * D, *scores = m->scores + (int64_t)row * SCORES;
        memcpy(kept, row_of(&m->outputs, row, D), sizeof *kept * (size_t)D);
        network_drop(m, OUTPUTS, row, kept, D);
        memset(scores, 0, sizeof *scores * SCORES);
        memcpy(scores, network_parameter(n, FC_B), sizeof *scores * PHONEMES);
    }
}

/* Scores become the gradients of the loss; returns the loss of this row, before it is shared among all. */
static double cross_entropy(float *scores, size_t wanted, float share) {
    float largest = scores[0], total = 0;
    const float score = scores[wanted];
    for (int p = 1; p < PHONEMES; p++)
        if (scores[p] > largest) largest = scores[p];
    for (int p = 0; p < PHONEMES; p++) total += scores[p] = expf(scores[p] - largest);
    for (int p = 0; p < PHONEMES; p++) scores[p] = scores[p] / total * share;
    scores[wanted] -= share;
    return log((double)total) - (double)(score - largest);
}

static void end_scores(const network *n, int32_t first, int32_t end) {
    network_internal *m = n->internal;
    for (int32_t row = first; row < end; row++) {
        float *scores = m->scores + (int64_t)row * SCORES;
        const word *w = m->words[row % m->N];
        m->losses[row] = 0;
        if (row / m->N <= w->sounds)
            m->losses[row] = cross_entropy(scores, sound_at(w, row / m->N), m->share);
        else
            memset(scores, 0, sizeof *scores * SCORES);
    }
}

static double score(const network *n) {
    network_internal *m = n->internal;
    const int32_t D = 2 * m->config.hidden, count = m->U * m->N;
    const float *fc_w = network_parameter(n, FC_W);
    double loss = 0;
    for (int32_t k = 0; k < D; k++)
        for (int32_t p = 0; p < PHONEMES; p++) m->fc_w[k * SCORES + p] = fc_w[p * D + k];
    network_over_rows(n, count, begin_scores);
    multiply(m->pool, &(product){.rows = count,
                                 .columns = SCORES,
                                 .depth = D,
                                 .a = m->dropped,
                                 .a_row = D,
                                 .a_column = 1,
                                 .b = m->fc_w,
                                 .b_row = SCORES,
                                 .c = m->scores,
                                 .c_row = SCORES});
    network_over_rows(n, count, end_scores);
    for (int32_t row = 0; row < count; row++) loss += m->losses[row];
    return loss * (double)m->share;
}

gru_status network_forward(const network *n, double *loss) {
    gru_status status = encode(n);
    if (status == GRU_OK) status = decode(n);
    if (status == GRU_OK) *loss = score(n);
    return status;
}
