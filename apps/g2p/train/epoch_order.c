/* epoch_order.c: shuffles an epoch's words, sorts windows of them by length so that batches are even, and shuffles the batches. */
#include "epoch_order.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { WINDOW_BATCHES = 100 };
enum { CHOICE, WORDS, BATCHES }; /* purposes of random numbers */

static void shuffle(int32_t *numbers, int32_t count, uint64_t key) {
    for (int32_t i = count - 1; i > 0; i--) {
        const int32_t j = (int32_t)random_below(key, (uint64_t)i, (uint32_t)i + 1);
        const int32_t kept = numbers[i];
        numbers[i] = numbers[j], numbers[j] = kept;
    }
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* By sounds, then letters, then as they were: the entry itself is the end of the key. */
static void sort_window(plan *p, int32_t first, int32_t count) {
    for (int32_t i = first; i < first + count; i++) {
        const word *w = &p->dictionary->entries[p->order[i]];
        p->keys[i] = (uint64_t)w->sounds << 56 | (uint64_t)w->length << 48 | (uint64_t)p->order[i];
    }
    qsort(p->keys + first, (size_t)count, sizeof *p->keys, ascending);
    for (int32_t i = first; i < first + count; i++) p->order[i] = (int32_t)(p->keys[i] & 0xFFFFFFFF);
}

static void plan_epoch(plan *p, int32_t epoch) {
    const uint64_t key = random_key(p->seed, (uint64_t)epoch);
    const int32_t window = WINDOW_BATCHES * p->batch;
    memcpy(p->order, p->train, sizeof *p->order * (size_t)p->words);
    shuffle(p->order, p->words, random_key(key, WORDS));
    for (int32_t first = 0; first < p->words; first += window)
        sort_window(p, first, p->words - first < window ? p->words - first : window);
    for (int32_t b = 0; b < p->batches; b++) p->sequence[b] = b;
    shuffle(p->sequence, p->batches, random_key(key, BATCHES));
    p->epoch = epoch;
}

int32_t plan_words(plan *p, int64_t step, const word *const **words) {
    if (step / p->batches != p->epoch) plan_epoch(p, (int32_t)(step / p->batches));
    const int32_t first = p->sequence[step % p->batches] * p->batch;
    const int32_t count = p->words - first < p->batch ? p->words - first : p->batch;
    for (int32_t i = 0; i < count; i++) p->current[i] = &p->dictionary->entries[p->order[first + i]];
    *words = p->current;
    return count;
}

/* The entries that train, as many as wanted. */
static void choose(plan *p, int32_t limit) {
    const dictionary *d = p->dictionary;
    for (int32_t i = 0; i < d->count; i++)
        if (dictionary_part(&d->entries[i]) == PART_TRAIN) p->train[p->words++] = i;
    shuffle(p->train, p->words, CHOICE);
    if (limit > 0 && limit < p->words) p->words = limit;
    for (int32_t i = 0; i < p->words; i++)
        if (d->entries[p->train[i]].length > p->letters) p->letters = d->entries[p->train[i]].length;
}

int plan_open(plan *p, const dictionary *d, int32_t limit, int32_t batch, uint64_t seed) {
    const size_t count = (size_t)d->count;
    memset(p, 0, sizeof *p);
    p->dictionary = d, p->seed = seed, p->batch = batch, p->epoch = -1;
    p->train = malloc(count * sizeof *p->train);
    p->order = malloc(count * sizeof *p->order);
    p->keys = malloc(count * sizeof *p->keys);
    p->sequence = malloc(count * sizeof *p->sequence);
    p->current = malloc((size_t)batch * sizeof *p->current);
    if (!p->train || !p->order || !p->keys || !p->sequence || !p->current)
        return fprintf(stderr, "g2p_train: no memory for %d words\n", d->count), 0;
    choose(p, limit);
    p->batches = (p->words + batch - 1) / batch;
    if (p->words > 0) return 1;
    fprintf(stderr, "g2p_train: none of the %d words of the dictionary is for training\n", d->count);
    return 0;
}

void plan_close(plan *p) {
    free(p->train), free(p->order), free(p->keys), free(p->sequence);
    free((void *)p->current);
    memset(p, 0, sizeof *p);
}
