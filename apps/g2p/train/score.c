/* score.c: edit distances to the nearest pronunciation, with the digits of stress and without. */
#include "score.h"

#include <stdlib.h>
#include <string.h>

/* What a sound counts as: a vowel with the stress that is compared, without any as if it had none. */
static uint8_t classify(uint8_t sound, int kind) {
    static uint8_t classes[KINDS][PHONEMES];
    static int filled;
    for (int32_t id = 0; !filled && id < PHONEMES; id++) {
        const char *name = phoneme_name(id);
        const int stem = (int)strcspn(name, "012"), vowel = strchr("AEIOU", *name) != NULL;
        const int stressed = name[stem] == '1' || name[stem] == '2';
        char plain[8];
        (void)snprintf(plain, sizeof plain, "%.*s%s", stem, name, vowel ? "0" : "");
        classes[WITHOUT_STRESS][id] = (uint8_t)phoneme_id(plain);
        (void)snprintf(plain, sizeof plain, "%.*s%s", stem, name, !vowel ? "" : stressed ? "1" : "0");
        classes[WITH_STRESS][id] = (uint8_t)phoneme_id(plain);
    }
    filled = 1;
    return classes[kind][sound];
}

static int32_t smallest(int32_t a, int32_t b, int32_t c) {
    const int32_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's: a row of the table at a time. */
static int32_t distance(const word *a, const word *b, int kind) {
    int32_t row[MAX_PHONEMES + 1];
    for (int32_t j = 0; j <= b->sounds; j++) row[j] = j;
    for (int32_t i = 0; i < a->sounds; i++) {
        int32_t diagonal = row[0]++;
        for (int32_t j = 0; j < b->sounds; j++) {
            const int differ = classify(a->phonemes[i], kind) != classify(b->phonemes[j], kind);
            const int32_t above = row[j + 1];
            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + differ);
            diagonal = above;
        }
    }
    return row[b->sounds];
}

void score_word(score *s, const word *answer, const word *entries, int32_t count) {
    s->words++;
    for (int kind = 0; kind < KINDS; kind++) {
        int32_t nearest = MAX_PHONEMES + 1, length = 0;
        for (int32_t i = 0; i < count; i++) {
            const int32_t found = distance(answer, &entries[i], kind);
            if (found > nearest || (found == nearest && entries[i].sounds >= length)) continue;
            nearest = found, length = entries[i].sounds;
        }
        s->wrong_words[kind] += nearest > 0;
        s->wrong_phonemes[kind] += nearest;
        s->phonemes[kind] += length;
    }
}

/* ---- a part of the dictionary --------------------------------------------------------------------------- */

typedef struct question {
    int32_t entry; /* the first of its spelling */
    word answer;
} question;

static int by_length(const void *a, const void *b) {
    const question *x = a, *y = b;
    if (x->answer.length != y->answer.length) return x->answer.length < y->answer.length ? -1 : 1;
    return (x->entry > y->entry) - (x->entry < y->entry);
}

static int32_t collect(const dictionary *d, int part, question *questions) {
    int32_t count = 0;
    for (int32_t i = 0; i < d->count; i = dictionary_next(d, i)) {
        if (dictionary_part(&d->entries[i]) != part) continue;
        questions[count++] = (question){.entry = i, .answer = d->entries[i]};
    }
    qsort(questions, (size_t)count, sizeof *questions, by_length);
    return count;
}

int score_part(score *s, const dictionary *d, int part, model *m, int32_t batch, int32_t beam) {
    const int32_t at_once = batch / beam;
    question *questions = malloc((size_t)d->count * sizeof *questions);
    word **words = malloc((size_t)at_once * sizeof *words);
    int ok = questions && words;
    memset(s, 0, sizeof *s);
    if (!ok) fprintf(stderr, "g2p: no memory for %d words\n", d->count);
    const int32_t count = ok ? collect(d, part, questions) : 0;
    for (int32_t first = 0; ok && first < count; first += at_once) {
        const int32_t size = count - first < at_once ? count - first : at_once;
        for (int32_t i = 0; i < size; i++) words[i] = &questions[first + i].answer;
        ok = beam == 1 ? model_pronounce(m, words, size) : model_search(m, words, size, beam);
    }
    for (int32_t i = 0; ok && i < count; i++) {
        const int32_t entry = questions[i].entry;
        score_word(s, &questions[i].answer, &d->entries[entry], dictionary_next(d, entry) - entry);
    }
    free(questions), free(words);
    return ok;
}

double score_phonemes(const score *s, int kind) {
    return s->phonemes[kind] ? 100.0 * (double)s->wrong_phonemes[kind] / (double)s->phonemes[kind] : 0;
}

double score_words(const score *s, int kind) {
    return s->words ? 100.0 * s->wrong_words[kind] / s->words : 0;
}
