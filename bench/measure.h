/* measure.h: times candidates interleaved.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

enum { BENCH_SAMPLES = 400 };

typedef struct bench_timing {
    const char *name;
    void (*run)(void *state);
    void (*wait)(void *state); /* not NULL: run only enqueues, and a sample ends with one wait */
    void *state;
    int threads;
    double once;            /* in: seconds of one warm call, roughly */
    int count;              /* out: samples */
    int disturbed;          /* out: samples during which a thread was preempted */
    double median, minimum; /* out: seconds of one call */
    /* internal */
    int64_t calls; /* in one sample */
    int repeated;
    double spent;
    double samples[BENCH_SAMPLES];
} bench_timing;

/* Interleaves the samples of all candidates, so that noise affects all alike. An untimed call precedes each sample (cold:
 * eviction of all caches). A sample lasts at least 0.2 ms (5 ms if it ends with a wait; cold: one call). A candidate is
 * done when it has used its share of seconds and has five samples. A sample in which a thread was preempted is repeated,
 * within limits. 0: no memory for eviction. */
int bench_measure(bench_timing *timings, int count, double seconds, int cold);

/* Whether seconds do not suffice for five samples. */
int bench_measure_too_slow(const bench_timing *timing, double seconds);

double bench_measure_median(double *values, int count); /* sorts them */

#endif
