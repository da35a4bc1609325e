/* bench_gradients.h: whether a candidate's gradients agree with the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_GRADIENTS_H
#define BENCH_GRADIENTS_H

#include "bench_problem.h"

/* Compares problem->gradients with the reference's: 1 if they agree, else 0 and a sentence in why[size]. */
int bench_gradients_check(const bench_problem *problem, char *why, size_t size);

#endif
