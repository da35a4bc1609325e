/* peer_ratios.h: the speed of the fastest engine relative to the fastest other library, over all cases of a run.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PEER_RATIOS_H
#define BENCH_PEER_RATIOS_H

#include <stdio.h>

#include "bench_case.h"
#include "bench_options.h"

/* Ratios of one device, stage, type and number of threads. Above 1: the engine is faster. */
typedef struct bench_peer_ratio {
    int device, stage, type, threads;
    int count;
    double log_sum, least;
    bench_shape least_shape;
} bench_peer_ratio;

enum { BENCH_PEER_RATIOS = 2 * BENCH_STAGES * BENCH_TYPES * BENCH_THREADS };

typedef struct bench_peer_ratios {
    bench_peer_ratio list[BENCH_PEER_RATIOS];
    int count;
} bench_peer_ratios;

/* Takes the medians of a measured case, of CPU and GPU apart. Engines with weights in fewer bits do not count. A case without
 * an engine or without a peer on a device adds nothing. */
void bench_peer_ratios_add(bench_peer_ratios *ratios, const bench_case *this_case);

/* One line for each device, stage, type and number of threads: the geometric mean, and the least with its shape. */
void bench_peer_ratios_print(const bench_peer_ratios *ratios, FILE *file);

#endif
