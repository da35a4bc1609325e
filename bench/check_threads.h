/* check_threads.h: two threads beside one, in the ways programs call.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CHECK_THREADS_H
#define CHECK_THREADS_H

#include "bench_case.h"

/* What has been found so far. */
typedef struct bench_thread_check {
    int rows, slower; /* comparisons, and those below 0.95 */
    int long_steps; /* comparisons with steps of more than 20 us on one thread, called at once or with pauses */
    int low;        /* those of them below 1.6 */
} bench_thread_check;

/* Compares an engine with itself in each situation, and prints ratios below 0.95. scratch is empty before and after; its
 * member wrong counts results that differ from the reference. */
void bench_check_threads(bench_case *scratch, const bench_candidate *engine, const bench_problem *problem,
                         double seconds, bench_thread_check *found);

/* A short parallel region on two threads. Peers only: the library has no OpenMP. */
void bench_openmp_region(void);

#endif
