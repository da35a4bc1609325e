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
static void sort_window(epoch_order *order, int32_t first, int32_t count) {
    for (int32_t i = first; i < first + count; i++) {
        const word *w = &order->dictionary->entries[order->order[i]];
        order->keys[i] = (uint64_t)w->sounds << 56 | (uint64_t)w->length << 48 | (uint64_t)order->order[i];
    }
    qsort(order->keys + first, (size_t)count, sizeof *order->keys, ascending);
    for (int32_t i = first; i < first + count; i++) order->order[i] = (int32_t)(order->keys[i] & 0xFFFFFFFF);
}

static void order_epoch(epoch_order *order, int32_t epoch) {
    const uint64_t key = random_key(order->seed, (uint64_t)epoch);
    const int32_t window = WINDOW_BATCHES * order->batch;
    memcpy(order->order, order->train, sizeof *order->order * (size_t)order->words);
    shuffle(order->order, order->words, random_key(key, WORDS));
    for (int32_t first = 0; first < order->words; first += window)
        sort_window(order, first, order->words - first < window ? order->words - first : window);
    for (int32_t b = 0; b < order->batches; b++) order->sequence[b] = b;
    shuffle(order->sequence, order->batches, random_key(key, BATCHES));
    order->epoch = epoch;
}

int32_t epoch_order_words(epoch_order *order, int64_t step, const word *const **words) {
    if (step / order->batches != order->epoch) order_epoch(order, (int32_t)(step / order->batches));
    const int32_t first = order->sequence[step % order->batches] * order->batch;
    const int32_t count = order->words - first < order->batch ? order->words - first : order->batch;
    for (int32_t i = 0; i < count; i++)
        order->current[i] = &order->dictionary->entries[order->order[first + i]];
    *words = order->current;
    return count;
}

/* The entries that train, as many as wanted. */
static void choose(epoch_order *order, int32_t limit) {
    const dictionary *d = order->dictionary;
    for (int32_t i = 0; i < d->count; i++)
        if (dictionary_part(&d->entries[i]) == PART_TRAIN) order->train[order->words++] = i;
    shuffle(order->train, order->words, CHOICE);
    if (limit > 0 && limit < order->words) order->words = limit;
    for (int32_t i = 0; i < order->words; i++)
        if (d->entries[order->train[i]].length > order->letters)
            order->letters = d->entries[order->train[i]].length;
}

int epoch_order_open(epoch_order *order, const dictionary *d, int32_t limit, int32_t batch, uint64_t seed) {
    const size_t count = (size_t)d->count;
    memset(order, 0, sizeof *order);
    order->dictionary = d, order->seed = seed, order->batch = batch, order->epoch = -1;
    order->train = malloc(count * sizeof *order->train);
    order->order = malloc(count * sizeof *order->order);
    order->keys = malloc(count * sizeof *order->keys);
    order->sequence = malloc(count * sizeof *order->sequence);
    order->current = malloc((size_t)batch * sizeof *order->current);
    if (!order->train || !order->order || !order->keys || !order->sequence || !order->current)
        return fprintf(stderr, "g2p_train: no memory for %d words\n", d->count), 0;
    choose(order, limit);
    order->batches = (order->words + batch - 1) / batch;
    if (order->words > 0) return 1;
    fprintf(stderr, "g2p_train: none of the %d words of the dictionary is for training\n", d->count);
    return 0;
}

void epoch_order_close(epoch_order *order) {
    free(order->train), free(order->order), free(order->keys), free(order->sequence);
    free((void *)order->current);
    memset(order, 0, sizeof *order);
}
