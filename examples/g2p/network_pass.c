/* network_pass.c: a batch forward through embeddings, encoder, decoder and softmax, and its gradients all the way back.
 *
 * The rows of a table are dealt to the threads, and no sum crosses rows but those that one thread takes in order: so the
 * number of threads cannot be seen in the bits. */
#include <math.h>
#include <string.h>

#include "network_inner.h"
#include "random.h"

enum { LETTERS, SOUNDS, OUTPUTS }; /* what dropout acts on */

/* ---- rows ---------------------------------------------------------------------------------------------- */

typedef void (*row_task)(const network *n, int32_t first, int32_t end);
typedef struct rows {
    const network *network;
    row_task task;
    int32_t count;
} rows;

static void take_rows(void *argument, int32_t index) {
    const rows *r = argument;
    const crew *c = r->network->inner->crew;
    r->task(r->network, crew_first(c, index, r->count), crew_first(c, index + 1, r->count));
}

static void over_rows(const network *n, int32_t count, row_task task) {
    rows r = {.network = n, .task = task, .count = count};
    crew_run(n->inner->crew, crew_size(n->inner->crew), take_rows, &r);
}

/* Numbers to zero with the configured probability, the others larger by as much; the same ones whenever key and row are the
 * same. count: a multiple of 4. */
static void drop(const network_inner *m, int what, int32_t row, float *numbers, int32_t count) {
    const float dropout = m->config.dropout, grown = 1 / (1 - dropout);
    const uint32_t bound = (uint32_t)(dropout * 65536);
    const uint64_t key = random_key(m->key, (uint64_t)what);
    if (bound == 0) return;
    for (int32_t i = 0; i < count; i += 4) {
        const uint64_t bits = random_at(key, ((uint64_t)row * (uint64_t)count + (uint64_t)i) / 4);
        for (int32_t j = 0; j < 4; j++)
            numbers[i + j] = (uint32_t)(bits >> (16 * j) & 0xFFFF) < bound ? 0 : numbers[i + j] * grown;
    }
}

/* ---- what is where ------------------------------------------------------------------------------------- */

/* The letter of word w at step t, which is at most its length: the end sign. */
static size_t letter_at(const word *w, int32_t t) {
    return t < w->length ? (size_t)(w->letters[t] - 'a' + GRAPHEME_A) : GRAPHEME_END;
}

/* What the decoder is to say at step u. */
static size_t sound_at(const word *w, int32_t u) {
    return u < w->sounds ? w->phonemes[u] : PHONEME_END;
}

/* What it hears there: what it should have said before. */
static size_t heard_at(const word *w, int32_t u) {
    return u == 0 ? PHONEME_START : w->phonemes[u - 1];
}

static float *row_of(const shared *table, int32_t row, int32_t columns) {
    return (float *)table->host + (int64_t)row * columns;
}

/* ---- forward ------------------------------------------------------------------------------------------- */

static void embed_letters(const network *n, int32_t first, int32_t end) {
    network_inner *m = n->inner;
    const int32_t E = m->config.embedding;
    for (int32_t row = first; row < end; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->length) continue;
        float *x = row_of(&m->letters, row, E);
        memcpy(x, network_parameter(n, ENC_EMB) + letter_at(w, row / m->N) * (size_t)E,
               sizeof *x * (size_t)E);
        drop(m, LETTERS, row, x, E);
    }
}

static void embed_sounds(const network *n, int32_t first, int32_t end) {
    network_inner *m = n->inner;
    const int32_t E = m->config.embedding;
    for (int32_t row = first; row < end; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->sounds) continue;
        float *x = row_of(&m->sounds, row, E);
        memcpy(x, network_parameter(n, DEC_EMB) + heard_at(w, row / m->N) * (size_t)E, sizeof *x * (size_t)E);
        drop(m, SOUNDS, row, x, E);
    }
}

static void begin_batch(network_inner *m, const word *const *words, int32_t count, uint64_t key) {
    int32_t *letters = m->letter_counts.host, *sounds = m->sound_counts.host, total = 0;
    m->words = words, m->N = count, m->key = key;
    m->T = m->U = 0;
    for (int32_t i = 0; i < count; i++) {
        letters[i] = words[i]->length + 1, sounds[i] = words[i]->sounds + 1;
        if (letters[i] > m->T) m->T = letters[i];
        if (sounds[i] > m->U) m->U = sounds[i];
        total += sounds[i];
    }
    m->share = 1 / (float)total;
}

static gru_run decoder_run(const network_inner *m) {
    gru_run run = GRU_INIT;
    run.mode = GRU_TRAIN;
    run.T = m->U, run.N = m->N;
    run.x.data = m->sounds.engine;
    run.h0 = m->state.engine;
    run.y.data = m->outputs.engine;
    run.lengths = m->sound_counts.engine;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    run.reserve = m->decoder_reserve, run.reserve_size = m->decoder_reserve_size;
    return run;
}

static gru_run encoder_run(const network_inner *m) {
    gru_run run = GRU_INIT;
    run.mode = GRU_TRAIN;
    run.T = m->T, run.N = m->N;
    run.x.data = m->letters.engine;
    run.lengths = m->letter_counts.engine;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    run.reserve = m->encoder_reserve, run.reserve_size = m->encoder_reserve_size;
    return run;
}

/* Bytes of N rows of so many 4-byte numbers. */
static size_t bytes(const network_inner *m, int32_t steps, int32_t columns) {
    return 4 * (size_t)steps * (size_t)m->N * (size_t)columns;
}

/* Both directions write their last state into their half of the decoder's first. */
static gru_status encode(const network *n) {
    network_inner *m = n->inner;
    const int32_t H = m->config.hidden, E = m->config.embedding;
    float *state = m->state.engine;
    void *const hT[] = {state, state + H};
    const int64_t strides[] = {2 * H, 2 * H};
    gru_stack_run run = GRU_INIT;
    run.data = encoder_run(m);
    run.hT = hT, run.h_strides = strides;
    over_rows(n, m->T * m->N, embed_letters);
    gru_status status = hand_over(m->context, &m->letter_counts, bytes(m, 1, 1));
    if (status == GRU_OK) status = hand_over(m->context, &m->letters, bytes(m, m->T, E));
    return status == GRU_OK ? gru_stack_forward(m->encoder, &run) : status;
}

static gru_status decode(const network *n) {
    network_inner *m = n->inner;
    const gru_run run = decoder_run(m);
    over_rows(n, m->U * m->N, embed_sounds);
    gru_status status = hand_over(m->context, &m->sound_counts, bytes(m, 1, 1));
    if (status == GRU_OK) status = hand_over(m->context, &m->sounds, bytes(m, m->U, m->config.embedding));
    if (status == GRU_OK) status = gru_forward(m->decoder, &run);
    return status == GRU_OK ? take_back(m->context, &m->outputs, bytes(m, m->U, 2 * m->config.hidden))
                            : status;
}

/* ---- scores -------------------------------------------------------------------------------------------- */

static void begin_scores(const network *n, int32_t first, int32_t end) {
    network_inner *m = n->inner;
    const int32_t D = 2 * m->config.hidden;
    for (int32_t row = first; row < end; row++) {
        float *kept = m->dropped + (int64_t)row * D, *scores = m->scores + (int64_t)row * SCORES;
        memcpy(kept, row_of(&m->outputs, row, D), sizeof *kept * (size_t)D);
        drop(m, OUTPUTS, row, kept, D);
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
    network_inner *m = n->inner;
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
    network_inner *m = n->inner;
    const int32_t D = 2 * m->config.hidden, count = m->U * m->N;
    const float *fc_w = network_parameter(n, FC_W);
    double loss = 0;
    for (int32_t k = 0; k < D; k++)
        for (int32_t p = 0; p < PHONEMES; p++) m->fc_w[k * SCORES + p] = fc_w[p * D + k];
    over_rows(n, count, begin_scores);
    multiply(m->crew, &(product){.rows = count,
                                 .columns = SCORES,
                                 .depth = D,
                                 .a = m->dropped,
                                 .a_row = D,
                                 .a_column = 1,
                                 .b = m->fc_w,
                                 .b_row = SCORES,
                                 .c = m->scores,
                                 .c_row = SCORES});
    over_rows(n, count, end_scores);
    for (int32_t row = 0; row < count; row++) loss += m->losses[row];
    return loss * (double)m->share;
}

/* ---- backward ------------------------------------------------------------------------------------------ */

static void begin_outputs(const network *n, int32_t first, int32_t end) {
    const int32_t D = 2 * n->inner->config.hidden;
    memset(row_of(&n->inner->d_outputs, first, D), 0, sizeof(float) * (size_t)(end - first) * (size_t)D);
}

static void drop_outputs(const network *n, int32_t first, int32_t end) {
    network_inner *m = n->inner;
    const int32_t D = 2 * m->config.hidden;
    for (int32_t row = first; row < end; row++) drop(m, OUTPUTS, row, row_of(&m->d_outputs, row, D), D);
}

static void score_backward(const network *n) {
    network_inner *m = n->inner;
    const int32_t D = 2 * m->config.hidden, count = m->U * m->N;
    float *d_fc_w = network_gradient(n, FC_W), *d_fc_b = network_gradient(n, FC_B);
    memset(d_fc_w, 0, sizeof *d_fc_w * PHONEMES * (size_t)D);
    multiply(m->crew, &(product){.rows = PHONEMES,
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
    over_rows(n, count, begin_outputs);
    multiply(m->crew, &(product){.rows = count,
                                 .columns = D,
                                 .depth = PHONEMES,
                                 .a = m->scores,
                                 .a_row = SCORES,
                                 .a_column = 1,
                                 .b = network_parameter(n, FC_W),
                                 .b_row = D,
                                 .c = m->d_outputs.host,
                                 .c_row = D});
    over_rows(n, count, drop_outputs);
}

/* Where the engine writes gradients of this tensor of a GRU. */
static float *engine_gradient(const network *n, int tensor) {
    return (float *)n->inner->gradients.engine + n->tensors[tensor].offset;
}

static const uint32_t all_set = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;

static gru_status decode_backward(const network *n) {
    network_inner *m = n->inner;
    const gru_run run = decoder_run(m);
    gru_gradients wanted = GRU_INIT;
    wanted.parts = all_set;
    wanted.dy.data = m->d_outputs.engine;
    wanted.dx.data = m->d_sounds.engine;
    wanted.dh0 = m->d_state.engine;
    wanted.dW = engine_gradient(n, DECODER + W), wanted.dR = engine_gradient(n, DECODER + R);
    wanted.dbW = engine_gradient(n, DECODER + BW), wanted.dbR = engine_gradient(n, DECODER + BR);
    gru_status status = hand_over(m->context, &m->d_outputs, bytes(m, m->U, 2 * m->config.hidden));
    if (status == GRU_OK) status = gru_backward(m->decoder, &run, &wanted);
    if (status == GRU_OK) status = take_back(m->context, &m->d_sounds, bytes(m, m->U, m->config.embedding));
    return status == GRU_OK ? take_back(m->context, &m->d_state, bytes(m, 1, 2 * m->config.hidden)) : status;
}

static gru_status encode_backward(const network *n) {
    network_inner *m = n->inner;
    const int32_t H = m->config.hidden;
    gru_stack_run run = GRU_INIT;
    gru_stack_gradients wanted = GRU_INIT;
    const void *const dhT[] = {m->d_last[0].engine, m->d_last[1].engine};
    void *const dW[] = {engine_gradient(n, ENCODER + W), engine_gradient(n, REVERSE + W)};
    void *const dR[] = {engine_gradient(n, ENCODER + R), engine_gradient(n, REVERSE + R)};
    void *const dbW[] = {engine_gradient(n, ENCODER + BW), engine_gradient(n, REVERSE + BW)};
    void *const dbR[] = {engine_gradient(n, ENCODER + BR), engine_gradient(n, REVERSE + BR)};
    run.data = encoder_run(m);
    wanted.data.parts = all_set;
    wanted.data.dx.data = m->d_letters.engine;
    wanted.dhT = dhT, wanted.dW = dW, wanted.dR = dR, wanted.dbW = dbW, wanted.dbR = dbR;
    gru_status status = GRU_OK;
    for (int d = 0; d < 2 && status == GRU_OK; d++) {
        for (int32_t row = 0; row < m->N; row++)
            memcpy(row_of(&m->d_last[d], row, H), row_of(&m->d_state, row, 2 * H) + d * H,
                   bytes(m, 1, H) / (size_t)m->N);
        status = hand_over(m->context, &m->d_last[d], bytes(m, 1, H));
    }
    if (status == GRU_OK) status = gru_stack_backward(m->encoder, &run, &wanted);
    return status == GRU_OK ? take_back(m->context, &m->d_letters, bytes(m, m->T, m->config.embedding))
                            : status;
}

static void add_row(float *sum, const float *row, int32_t count) {
    for (int32_t i = 0; i < count; i++) sum[i] += row[i];
}

/* Rows of letters and sounds that occur more than once add up, in order. */
static void embed_backward(const network *n) {
    network_inner *m = n->inner;
    const int32_t E = m->config.embedding;
    float *d_letters = network_gradient(n, ENC_EMB), *d_sounds = network_gradient(n, DEC_EMB);
    memset(d_letters, 0, sizeof *d_letters * GRAPHEMES * (size_t)E);
    memset(d_sounds, 0, sizeof *d_sounds * PHONEMES * (size_t)E);
    for (int32_t row = 0; row < m->T * m->N; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->length) continue;
        float *dx = row_of(&m->d_letters, row, E);
        drop(m, LETTERS, row, dx, E);
        add_row(d_letters + letter_at(w, row / m->N) * (size_t)E, dx, E);
    }
    for (int32_t row = 0; row < m->U * m->N; row++) {
        const word *w = m->words[row % m->N];
        if (row / m->N > w->sounds) continue;
        float *dx = row_of(&m->d_sounds, row, E);
        drop(m, SOUNDS, row, dx, E);
        add_row(d_sounds + heard_at(w, row / m->N) * (size_t)E, dx, E);
    }
}

int network_gradients(network *n, const word *const *words, int32_t count, uint64_t key, double *loss) {
    network_inner *m = n->inner;
    const size_t of_grus = sizeof(float) * n->tensors[GRU_TENSORS].offset;
    begin_batch(m, words, count, key);
    gru_status status = encode(n);
    if (status == GRU_OK) status = decode(n);
    if (status == GRU_OK) {
        *loss = score(n);
        score_backward(n);
        status = decode_backward(n);
    }
    if (status == GRU_OK) status = encode_backward(n);
    if (status == GRU_OK) status = take_back(m->context, &m->gradients, of_grus);
    if (status != GRU_OK) {
        fprintf(stderr, "g2p_train: run: %s\n", gru_last_error());
        return 0;
    }
    memcpy(n->gradients, m->gradients.host, of_grus);
    embed_backward(n);
    return 1;
}
