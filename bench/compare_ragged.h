/* compare_ragged.h: the time of sequences of different lengths beside that of a whole batch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef COMPARE_RAGGED_H
#define COMPARE_RAGGED_H

#include "bench_problem.h"

void bench_compare_ragged_legend(void);

/* Times forward, and backward if the problem has dy, of the best CPU engine: all T steps of all sequences, and lengths from T
 * down to 1 given as lengths, offsets, batch sizes and a mask. Prints a row. Returns the number of results that differ
 * from those with lengths, or -1 without memory. */
int bench_compare_ragged(const bench_problem *problem, double seconds);

#endif
