/* model_search.c: beam search: continues the few likeliest beginnings of each word, and answers with the likeliest complete one.
 *
 * Beginnings that go on are rows of the decoder's run. Each reads the state of the beginning it continues, through slots,
 * from one pool and leaves its own in another; then the pools change places. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_internal.h"

/* A beginning, or with sound PHONEME_END an end, of one word. */
typedef struct beginning {
    word said;
    double likelihood; /* logarithm */
    int32_t of;        /* index of the word */
    int32_t slot;      /* of the state before its last sound */
} beginning;

typedef struct continuation {
    double likelihood;
    int32_t from, sound; /* from: a row */
} continuation;

typedef struct search {
    model *model;
    word *const *words;
    int32_t count, beam;
    int32_t running;             /* rows */
    beginning *rows, *next;      /* [count * beam] those of a word side by side */
    double *ended;               /* [count] likelihood of the likeliest end so far; its sounds are in words */
    continuation best[MAX_BEAM]; /* of one word, likeliest first */
} search;

/* Scores become logarithms of probabilities. */
static void normalize(float scores[PHONEMES]) {
    double total = 0;
    float largest = scores[0];
    for (int p = 1; p < PHONEMES; p++)
        if (scores[p] > largest) largest = scores[p];
    for (int p = 0; p < PHONEMES; p++) total += exp((double)(scores[p] - largest));
    for (int p = 0; p < PHONEMES; p++) scores[p] -= largest + (float)log(total);
}

/* Keeps the beam's best in order; of equals the first that came. Returns how many there are. */
static int32_t insert(search *s, int32_t found, continuation c) {
    int32_t place = found;
    while (place > 0 && s->best[place - 1].likelihood < c.likelihood) place--;
    if (place == s->beam) return found;
    const int32_t moved = (found < s->beam ? found : s->beam - 1) - place;
    memmove(&s->best[place + 1], &s->best[place], (size_t)moved * sizeof *s->best);
    s->best[place] = c;
    return found < s->beam ? found + 1 : found;
}

/* The best continuations of rows first to end - 1, all of one word. */
static int32_t find_best(search *s, int32_t first, int32_t end) {
    int32_t found = 0;
    for (int32_t row = first; row < end; row++) {
        float scores[PHONEMES];
        model_scores(s->model, (const float *)s->model->state.host + (size_t)row * (size_t)s->model->H,
                     scores);
        normalize(scores);
        for (int32_t p = 0; p < PHONEMES; p++)
            found = insert(s, found, (continuation){s->rows[row].likelihood + (double)scores[p], row, p});
    }
    return found;
}

/* Appends the beginnings that go on to next, from row `kept` on, and notes an end that beats the others. Those that are
 * already less likely than an end are left: they can only become less likely still. Returns the new count of rows. */
static int32_t continue_word(search *s, int32_t first, int32_t end, int32_t kept) {
    const int32_t of = s->rows[first].of, found = find_best(s, first, end);
    for (int32_t i = 0; i < found; i++) {
        const continuation *c = &s->best[i];
        const beginning *from = &s->rows[c->from];
        if (!(c->likelihood > s->ended[of])) break;
        if (c->sound == PHONEME_END || from->said.sounds == MAX_PHONEMES) {
            s->ended[of] = c->likelihood;
            memcpy(s->words[of]->phonemes, from->said.phonemes, sizeof from->said.phonemes);
            s->words[of]->sounds = from->said.sounds;
            continue;
        }
        beginning *to = &s->next[kept];
        *to = *from;
        to->said.phonemes[to->said.sounds++] = (uint8_t)c->sound;
        to->likelihood = c->likelihood;
        to->slot = c->from;
        kept++;
    }
    return kept;
}

static void continue_all(search *s) {
    int32_t kept = 0;
    for (int32_t first = 0, end; first < s->running; first = end) {
        end = first + 1;
        while (end < s->running && s->rows[end].of == s->rows[first].of) end++;
        kept = continue_word(s, first, end, kept);
    }
    beginning *const old = s->rows;
    s->rows = s->next, s->next = old;
    s->running = kept;
}

/* States after the last sounds of all rows, in model->state. */
static gru_status step(search *s) {
    model *m = s->model;
    gru_run run = model_decoder_run(m, m->batch);
    int32_t *slots = m->slots.host;
    for (int32_t row = 0; row < s->running; row++) {
        slots[row] = s->rows[row].slot;
        model_embed_sound(m, row, &s->rows[row].said);
    }
    run.N = s->running;
    run.hT = m->next.engine, run.hT_slots = NULL;
    gru_status status = shared_buffer_send(m->context, &m->slots, sizeof *slots * (size_t)s->running);
    if (status == GRU_OK)
        status = shared_buffer_send(m->context, &m->x, sizeof(float) * (size_t)s->running * (size_t)m->I);
    if (status == GRU_OK) status = gru_layer_forward(m->decoder, &run);
    const shared_buffer old = m->state;
    m->state = m->next, m->next = old;
    return status == GRU_OK ? shared_buffer_receive(m->context, &m->state,
                                                    sizeof(float) * (size_t)s->running * (size_t)m->H)
                            : status;
}

static gru_status run_search(search *s) {
    gru_status status = model_encode(s->model, s->words, s->count);
    s->running = s->count;
    for (int32_t i = 0; i < s->count; i++) {
        s->rows[i] = (beginning){.of = i, .slot = i};
        s->ended[i] = -INFINITY;
        s->words[i]->sounds = 0;
    }
    while (status == GRU_OK && s->running > 0) {
        status = step(s);
        if (status == GRU_OK) continue_all(s);
    }
    return status;
}

int model_search(model *m, word *const *words, int32_t count, int32_t beam) {
    search s = {.model = m, .words = words, .count = count, .beam = beam};
    const size_t rows = (size_t)count * (size_t)beam;
    s.rows = malloc(rows * sizeof *s.rows);
    s.next = malloc(rows * sizeof *s.next);
    s.ended = malloc((size_t)count * sizeof *s.ended);
    int ok = s.rows && s.next && s.ended;
    if (!ok) {
        fprintf(stderr, "g2p: no memory to search for %d words\n", count);
    } else if (run_search(&s) != GRU_OK) {
        fprintf(stderr, "g2p: run: %s\n", gru_last_error());
        ok = 0;
    }
    free(s.rows), free(s.next), free(s.ended);
    return ok;
}
