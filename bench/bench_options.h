/* bench_options.h: what the command line asks for.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench_problem.h"

enum { BENCH_THREADS = 16 };

typedef struct bench_options {
    const char *engines; /* NULL: all but the reference */
    const char *json;    /* file to append to; NULL */
    bench_shape shapes[BENCH_SHAPES];
    int shape_count;
    int threads[BENCH_THREADS];
    int thread_count;
    int stages[BENCH_STAGES];
    int stage_count;
    int types[BENCH_TYPES];
    int type_count;
    int weights[BENCH_WEIGHTS]; /* BENCH_WEIGHTS_... of further rows */
    int weights_count;
    int reset_mode; /* GRU_RESET_... */
    int peers, cold, check_threads, check, gpu_probe, compare_lstm, compare_ragged;
    double seconds; /* for one case: a shape, a stage, a type, a number of threads */
} bench_options;

/* 1: go on; 0: help was printed; -1: a sentence was printed on standard error. */
int bench_options_parse(int argc, char **argv, bench_options *options);

#endif
