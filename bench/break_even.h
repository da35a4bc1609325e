/* break_even.h: the sizes from which on the GPU is faster than the CPU.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BREAK_EVEN_H
#define BENCH_BREAK_EVEN_H

#include <stdint.h>
#include <stdio.h>

/* One problem on CPU and GPU, each with the fastest of its engines. */
typedef struct bench_break_even_pair {
    int stage, type, single; /* single: one step */
    int64_t N, H;
    double cpu, gpu; /* seconds of one call; 0: none */
} bench_break_even_pair;

enum { BENCH_BREAK_EVEN_PAIRS = 1024 };

typedef struct bench_break_even_pairs {
    bench_break_even_pair list[BENCH_BREAK_EVEN_PAIRS];
    int count;
} bench_break_even_pairs;

/* by_batch: the smallest N among the pairs at H = fixed from which on the GPU wins each; else the smallest H at
 * N = fixed. 0: it loses at the largest. Pairs without a time for both do not count. */
int64_t bench_break_even(const bench_break_even_pair *pairs, int count, int by_batch, int64_t fixed);

/* One sentence for each stage, type and kind of call with times of both. */
void bench_break_even_print(const bench_break_even_pairs *pairs, FILE *file);

#endif
