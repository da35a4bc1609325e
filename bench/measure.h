/* measure.h: times candidates interleaved.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

enum { BENCH_SAMPLES = 400 };

typedef struct bench_timing {
    const char *name;
    void (*run)(void *state);
    void (*wait)(void *state); /* NULL, or run only enqueues: one wait ends the calls of a sample */
    void *state;
    int threads;
    double once;            /* in: seconds of one warm call, roughly */
    int count;              /* out: samples */
    int disturbed;          /* out: of these, while the system took a processor away */
    double median, minimum; /* out: seconds of one call */
    /* inside */
    int64_t calls; /* in one sample */
    int repeated;
    double spent;
    double samples[BENCH_SAMPLES];
} bench_timing;

/* Samples of all candidates alternate, so that noise hits all alike. Each is warmed by an untimed call (cold: pushed
 * out of all caches) before it is timed, and each sample lasts some 0.2 ms at least (5 ms where it ends with a wait;
 * cold: one call). A candidate is done once it has used its share of seconds and has five samples. A sample
 * during which another program got the processor is taken again, within limits. 0: no memory for eviction. */
int bench_measure(bench_timing *timings, int count, double seconds, int cold);

/* Too slow to have enough samples in its share of the time. */
int bench_measure_too_slow(const bench_timing *timing, double seconds);

double bench_measure_median(double *values, int count); /* sorts them */

#endif
