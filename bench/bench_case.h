/* bench_case.h: one shape, stage, type and number of threads, and its candidates.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include "measure.h"
#include "candidate.h"

enum { BENCH_ENGINE, BENCH_PEER };

typedef struct bench_entry {
    const bench_candidate *candidate;
    int kind;              /* BENCH_ENGINE ... */
    bench_problem problem; /* with this entry's own number of threads and weights_unit */
} bench_entry;

enum { BENCH_ENTRIES = 48 };

typedef struct bench_case {
    bench_entry entries[BENCH_ENTRIES];
    bench_timing timings[BENCH_ENTRIES]; /* [count], as entries */
    int count;
    int wrong; /* candidates that failed the check: said on standard error */
    size_t packed_bytes;
    size_t read_bytes;   /* of the weights that one step reads */
    int64_t reads;       /* how often one call reads them */
    double read_seconds; /* shortest time of one such reading; 0: not measured, as no CPU takes part */
} bench_case;

/* Prepares a candidate and checks its results. Adds it if they agree with the reference and if five samples fit into
 * seconds; else says on standard error why not. seconds infinite: checks, and measures nothing. */
void bench_case_add(bench_case *this_case, const bench_candidate *candidate, int kind,
                    const bench_problem *problem, double seconds);

/* Measures, if CPUs take part, the reading of the weights that one step reads: all of them for T = 1, else R's share of
 * packed_bytes. Cold: read once, as later steps may find them in a cache. 0: no memory or no thread. */
int bench_case_measure_read(bench_case *this_case, const bench_problem *problem, int cold, double seconds);

void bench_case_clear(bench_case *this_case);

/* Seconds below which no f32 implementation gets, once the reading is measured: peak, in operations a second, or the
 * reading of the weights, whichever takes longer, for the projection (weights read once) and the recurrence (read in
 * each step) apart. */
double bench_case_floor(const bench_case *this_case, const bench_problem *problem, double peak);

#endif
