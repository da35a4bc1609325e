/* bench_gradients.h: what a backward pass answers, and whether the reference answers the same.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_GRADIENTS_H
#define BENCH_GRADIENTS_H

#include "bench_problem.h"

int64_t bench_gradient_count(const bench_shape *shape, int which); /* numbers of BENCH_DX ... */

/* Compares problem->gradients with the reference's: 1 if they agree, else 0 and a sentence in why[size]. */
int bench_gradients_check(const bench_problem *problem, char *why, size_t size);

#endif
