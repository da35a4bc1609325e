/* dropout.h: which numbers between two layers a training run drops: a pure function of their position, so that no mask is
 * stored.
 *
 * A counter-based generator, Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * 2011), turns 128 bits of position and 64 bits of seed into four words. With integers only, so all devices draw the same. */
#ifndef GRU_DROPOUT_H
#define GRU_DROPOUT_H

#include "number.h"

typedef struct gru_philox_words {
    uint32_t word[4];
} gru_philox_words;

/* One of ten rounds: both products in full, their halves crossed. */
GRU_EVERYWHERE gru_philox_words gru_philox_round(gru_philox_words c, uint32_t key0, uint32_t key1) {
    const uint64_t first = (uint64_t)0xd2511f53u * c.word[0], second = (uint64_t)0xcd9e8d57u * c.word[2];
    const gru_philox_words mixed = {{(uint32_t)(second >> 32) ^ c.word[1] ^ key0, (uint32_t)second,
                                     (uint32_t)(first >> 32) ^ c.word[3] ^ key1, (uint32_t)first}};
    return mixed;
}

GRU_EVERYWHERE gru_philox_words gru_philox(gru_philox_words counter, uint64_t key) {
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        counter = gru_philox_round(counter, key0, key1);
        key0 += 0x9e3779b9u; /* the golden ratio and sqrt 3 - 1, as the generator's authors chose */
        key1 += 0xbb67ae85u;
    }
    return counter;
}

/* The numbers of elements 4 quad .. 4 quad + 3 of row n at time t of a layer's output. The row counts from the offset of the
 * run, so that a batch can be split; the counters of two layers are 2^26 quads apart, more than a row has. What does not fit
 * into the counter, of layers from 64 and of times from 2^32 on, changes the key: by an odd factor, so that no two are one,
 * and not by the generator's own, which would give another key's rounds. */
GRU_EVERYWHERE gru_philox_words gru_dropout_numbers(const uint64_t *seed, int32_t layer, int64_t t, int64_t n,
                                                    int64_t quad) {
    const uint64_t row = seed[1] + (uint64_t)n;
    const gru_philox_words position = {
        {((uint32_t)layer << 26) + (uint32_t)quad, (uint32_t)t, (uint32_t)row, (uint32_t)(row >> 32)}};
    const uint64_t high = ((uint64_t)t >> 32) << 26 | (uint32_t)layer >> 6;
    return gru_philox(position, seed[0] + high * 0xd1342543de82ef95u);
}

/* Numbers below this are dropped; the others are multiplied by gru_dropout_scale. 0 <= rate < 1. */
static inline uint32_t gru_dropout_limit(float rate) {
    return (uint32_t)((double)rate * 0x1p32);
}

static inline double gru_dropout_scale(float rate) {
    return 1 / (1 - (double)rate);
}

#endif
