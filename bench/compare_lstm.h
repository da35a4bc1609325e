/* compare_lstm.h: the cost of a GRU and of an LSTM with as many units.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_COMPARE_LSTM_H
#define BENCH_COMPARE_LSTM_H

#include <stdio.h>

#include "bench_case.h"

/* Learned numbers: weights and biases. Two biases that are only added count as one. */
int64_t bench_compare_lstm_parameters(const bench_problem *problem);

void bench_compare_lstm_legend(void);
/* The rows of a measured case that has problems of both kinds; json NULL: none of those lines. Returns the rows. */
int bench_compare_lstm_report(const bench_case *this_case, FILE *json);

#endif
