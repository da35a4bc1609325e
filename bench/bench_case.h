/* bench_case.h: one shape, stage and number of threads, with everybody who takes part.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include "measure.h"
#include "peers/peer.h"

enum { BENCH_ENGINE, BENCH_PEER, BENCH_FLOOR };

typedef struct bench_entry {
    const peer *who;
    int kind;              /* BENCH_ENGINE ... */
    bench_problem problem; /* with this entry's own number of threads */
} bench_entry;

enum { BENCH_ENTRIES = 48 };

typedef struct bench_cell {
    bench_entry entries[BENCH_ENTRIES];
    bench_contestant contestants[BENCH_ENTRIES]; /* [count], as entries */
    int count;
    int wrong;     /* contestants that failed the check: said on standard error */
    int64_t reads; /* how often one call reads them */
    size_t read_bytes, packed_bytes;
} bench_cell;

/* Prepares who, checks what it computes, and lets it take part if it agrees with the reference and is fast enough to
 * have five samples in seconds; says on standard error why not. seconds infinite: checked only. */
void bench_cell_add(bench_cell *cell, const peer *who, int kind, const bench_problem *problem,
                    double seconds);

/* Adds, last and if processors take part, the reader of the weights that one step reads: all of them for T = 1, else
 * R's share of packed_bytes. Cold: read once, as later steps may find them in a cache. */
int bench_cell_add_floor(bench_cell *cell, const bench_problem *problem, int cold);

void bench_cell_clear(bench_cell *cell);

/* Measured, with its reader: seconds below which no f32 implementation gets: peak, in operations a second, or the
 * reading of the weights, whichever is slower, for the projection (weights read once) and the recurrence (read in
 * each step) apart. */
double bench_cell_floor(const bench_cell *cell, const bench_problem *problem, double peak);

#endif
