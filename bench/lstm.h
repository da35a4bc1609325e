/* lstm.h: the LSTM that a GRU is compared with.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LSTM_H
#define BENCH_LSTM_H

#include "bench_problem.h"

/* Fills problem->reference with h of the first steps, c beginning with zeros. 0: no memory. */
int bench_lstm_reference(bench_problem *problem);

#endif
