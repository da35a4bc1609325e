/* bench_problem_create.h: a problem with its random numbers and the reference for them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROBLEM_CREATE_H
#define BENCH_PROBLEM_CREATE_H

#include "bench_problem.h"

/* NULL, with a sentence on standard error, if memory or the reference engine fail. BENCH_STREAMING sets T to 1. */
bench_problem *bench_problem_create(const bench_shape *shape, int stage, int reset_mode, int type);
/* An LSTM of this size, forward; the state c begins with zeros. */
bench_problem *bench_problem_create_lstm(const bench_shape *shape, int type);

#endif
