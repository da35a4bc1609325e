/* reference.h: the results of the reference engine for a problem.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_REFERENCE_H
#define BENCH_REFERENCE_H

#include "bench_problem.h"

/* How many of the first steps the reference computes: at least two, if there are two. */
int64_t bench_reference_steps(const bench_problem *problem);
/* Fills reference and, for stages with gradients, gradient_reference, which the problem then owns. 0, with a sentence on
 * standard error, if memory or the engine fail. */
int bench_reference_compute(bench_problem *problem);

#endif
