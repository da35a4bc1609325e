/* break_even.h: from which size on the GPU is the faster machine.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BREAK_EVEN_H
#define BENCH_BREAK_EVEN_H

#include <stdint.h>
#include <stdio.h>

/* One problem on both machines, each with the fastest of its engines. */
typedef struct bench_duel {
    int stage, type, single; /* single: one step */
    int64_t N, H;
    double cpu, gpu; /* seconds of one call; 0: did not take part */
} bench_duel;

enum { BENCH_DUELS = 1024 };

typedef struct bench_duels {
    bench_duel list[BENCH_DUELS];
    int count;
} bench_duels;

/* by_batch: the smallest N among the duels at H = fixed from which on the GPU wins each; else the smallest H at
 * N = fixed. 0: it loses at the largest. Duels in which a machine did not take part do not count. */
int64_t bench_break_even(const bench_duel *duels, int count, int by_batch, int64_t fixed);

/* One sentence for each stage, type and kind of call in which both machines took part. */
void bench_break_even_print(const bench_duels *duels, FILE *file);

#endif
