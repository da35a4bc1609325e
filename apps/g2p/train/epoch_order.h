/* epoch_order.h: which words make up which batch: a function of the seed and the number of the step alone. */
#ifndef G2P_EPOCH_ORDER_H
#define G2P_EPOCH_ORDER_H

#include "dictionary.h"

typedef struct epoch_order {
    const dictionary *dictionary;
    uint64_t seed;
    int32_t batch;        /* words in one, but for one of each epoch, which has the rest */
    int32_t batches;      /* in an epoch */
    int32_t words;        /* in an epoch: entries of the training part */
    int32_t letters;      /* of the longest */
    int32_t epoch;        /* the one in order */
    int32_t *train;       /* [words] entries */
    int32_t *order;       /* [words] entries, batch by batch */
    uint64_t *keys;       /* [words] */
    int32_t *sequence;    /* [batches] the order of the batches */
    const word **current; /* [batch] */
} epoch_order;

/* limit: train on so many entries, chosen by hash; 0: on all. The dictionary must live as long. 0 on failure, after a
 * message on stderr. */
int epoch_order_open(epoch_order *order, const dictionary *d, int32_t limit, int32_t batch, uint64_t seed);
void epoch_order_close(epoch_order *order);

/* The words of a step, which counts from 0; they are valid until the next call. Returns how many. */
int32_t epoch_order_words(epoch_order *order, int64_t step, const word *const **words);

#endif
