/* bench_problem_check.h: whether a candidate computed what the reference computed.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROBLEM_CHECK_H
#define BENCH_PROBLEM_CHECK_H

#include "bench_problem.h"

/* Fills y and hT (not for BENCH_BACKWARD, which reads them) and the gradients with NaN, so that the next check sees only
 * what was written after this. */
void bench_problem_clear_outputs(const bench_problem *problem);

/* Compares y and hT (not for BENCH_BACKWARD) and the gradients with the reference. Returns 1 if they agree, else 0 and a
 * sentence in why[size]. y holds numbers of the type, hT these or the unrounded f32. */
int bench_problem_check(const bench_problem *problem, char *why, size_t size);

#endif
