/* model_run.c: reads a batch of spellings with the encoder and says their sounds with the decoder, the best at each step. */
#include <string.h>

#include "model_internal.h"

/* Embedded letters of all words, time-major: x is [T][count][I]. What lies past a length is never used. */
static void embed_letters(model *m, word *const *words, int32_t count) {
    const size_t row = (size_t)m->I;
    float *x = m->x.host;
    for (int32_t n = 0; n < count; n++)
        for (int32_t t = 0; t <= words[n]->length; t++) {
            const int32_t letter = words[n]->letters[t];
            const size_t id = letter ? (size_t)(letter - 'a' + GRAPHEME_A) : GRAPHEME_END;
            memcpy(x + ((size_t)t * (size_t)count + (size_t)n) * row, m->enc_emb + id * row, row * sizeof *x);
        }
}

gru_status model_encode(model *m, word *const *words, int32_t count) {
    const int32_t directions = gru_stack_sublayers(m->encoder);
    int32_t *lengths = m->lengths.host;
    float *state = m->state.engine;
    void *const hT[] = {state, state + m->H / directions}; /* each direction has its columns of the rows */
    const int64_t strides[] = {m->H, m->H};
    gru_stack_run run = GRU_INIT;
    for (int32_t n = 0; n < count; n++) {
        lengths[n] = words[n]->length + 1; /* with the end sign */
        if (lengths[n] > run.data.T) run.data.T = lengths[n];
    }
    embed_letters(m, words, count);
    run.data.N = count;
    run.data.x.data = m->x.engine;
    run.hT = hT, run.h_strides = strides;
    run.data.lengths = m->lengths.engine;
    run.data.workspace = m->workspace, run.data.workspace_size = m->workspace_size;
    gru_status status = shared_buffer_send(m->context, &m->lengths, sizeof *lengths * (size_t)count);
    const size_t bytes = sizeof(float) * (size_t)run.data.T * (size_t)count * (size_t)m->I;
    if (status == GRU_OK) status = shared_buffer_send(m->context, &m->x, bytes);
    return status == GRU_OK ? gru_stack_forward(m->encoder, &run) : status;
}

gru_run model_decoder_run(const model *m, int32_t slot_count) {
    gru_run run = GRU_INIT;
    run.T = 1;
    run.x.data = m->x.engine;
    run.h0 = run.hT = m->state.engine;
    run.h0_slots = run.hT_slots = m->slots.engine;
    run.slot_count = slot_count;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    return run;
}

void model_embed_sound(model *m, int32_t k, const word *w) {
    const size_t row = (size_t)m->I, id = w->sounds ? w->phonemes[w->sounds - 1] : PHONEME_START;
    memcpy((float *)m->x.host + (size_t)k * row, m->dec_emb + id * row, row * sizeof(float));
}

void model_scores(const model *m, const float *h, float scores[PHONEMES]) {
    memcpy(scores, m->fc_b, sizeof *scores * PHONEMES);
    for (int32_t k = 0; k < m->H; k++)
        for (int32_t p = 0; p < PHONEMES; p++) scores[p] += h[k] * m->fc_w[k * PHONEMES + p];
}

/* ---- the best sound at each step ------------------------------------------------------------------------ */

/* The sound with the highest score, the first of equals. */
static int32_t best_sound(const model *m, const float *h) {
    float scores[PHONEMES];
    int32_t best = 0;
    model_scores(m, h, scores);
    for (int32_t p = 1; p < PHONEMES; p++)
        if (scores[p] > scores[best]) best = p;
    return best;
}

/* Adds each running word's best sound; those that reached their end leave the slots. Returns the rest. */
static int32_t add_sounds(model *m, word *const *words, int32_t running) {
    int32_t left = 0, *slots = m->slots.host;
    for (int32_t k = 0; k < running; k++) {
        const int32_t slot = slots[k];
        const int32_t sound = best_sound(m, (const float *)m->state.host + (size_t)slot * (size_t)m->H);
        if (sound == PHONEME_END) continue;
        words[slot]->phonemes[words[slot]->sounds++] = (uint8_t)sound;
        slots[left++] = slot;
    }
    return left;
}

/* The next sounds of the running words: run's slots name their states, which stay in place. */
static gru_status decode_step(model *m, gru_run *run, word *const *words, int32_t running) {
    const size_t states = sizeof(float) * (size_t)run->slot_count * (size_t)m->H;
    const int32_t *slots = m->slots.host;
    run->N = running;
    for (int32_t k = 0; k < running; k++) model_embed_sound(m, k, words[slots[k]]);
    gru_status status = shared_buffer_send(m->context, &m->slots, sizeof(int32_t) * (size_t)running);
    if (status == GRU_OK)
        status = shared_buffer_send(m->context, &m->x, sizeof(float) * (size_t)running * (size_t)m->I);
    if (status == GRU_OK) status = gru_layer_forward(m->decoder, run);
    return status == GRU_OK ? shared_buffer_receive(m->context, &m->state, states) : status;
}

/* One step per sound over the words that have not ended. */
static gru_status decode(model *m, word *const *words, int32_t count) {
    gru_run run = model_decoder_run(m, count);
    int32_t running = count, *slots = m->slots.host;
    for (int32_t n = 0; n < count; n++) slots[n] = n, words[n]->sounds = 0;
    for (int step = 0; step < MAX_PHONEMES && running > 0; step++) {
        const gru_status status = decode_step(m, &run, words, running);
        if (status != GRU_OK) return status;
        running = add_sounds(m, words, running);
    }
    return GRU_OK;
}

int model_pronounce(model *m, word *const *words, int32_t count) {
    if (model_encode(m, words, count) == GRU_OK && decode(m, words, count) == GRU_OK) return 1;
    fprintf(stderr, "g2p: run: %s\n", gru_last_error());
    return 0;
}
