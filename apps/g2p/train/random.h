/* random.h: random numbers as a function of key and counter: the order of the calls does not matter. */
#ifndef G2P_RANDOM_H
#define G2P_RANDOM_H

#include <stdint.h>

/* The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): each bit of
 * the answer depends on every bit of value. */
static inline uint64_t random_mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

#define RANDOM_STEP UINT64_C(0x9E3779B97F4A7C15) /* 2^64 over the golden ratio, as there */

/* A key of its own for each value: seeds, purposes, epochs, steps. */
static inline uint64_t random_key(uint64_t key, uint64_t value) {
    return random_mix(random_mix(key + RANDOM_STEP) ^ (value * RANDOM_STEP + 1));
}

static inline uint64_t random_at(uint64_t key, uint64_t counter) {
    return random_mix(key + (counter + 1) * RANDOM_STEP);
}

/* -1 to 1, 24 bits. */
static inline float random_symmetric(uint64_t key, uint64_t counter) {
    return (float)(int32_t)((random_at(key, counter) >> 40) - (UINT64_C(1) << 23)) * 0x1p-23f;
}

/* 0 to below count; the bias is below count / 2^32. */
static inline uint32_t random_below(uint64_t key, uint64_t counter, uint32_t count) {
    return (uint32_t)(((random_at(key, counter) >> 32) * count) >> 32);
}

#endif
