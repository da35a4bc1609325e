/* measure.c: decides the order of samples, and how many calls make a sample.  SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "ceilings.h"
#include "host_info.h"

enum { MINIMUM = 5, BURST = 4 };

static const double sample_seconds = 2e-4; /* long against the clock's 25 ns */
static const double queue_seconds = 5e-3;  /* long against 10 us for a wait on a GPU */
static const double warm_limit = 2e-2;     /* a longer call warms the caches itself */
/* Workers of the previous candidate may still spin: OpenBLAS's for 2^26 cycles, libgomp's for some milliseconds. */
static const double settle_seconds = 3e-2;

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_measure_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int bench_measure_too_slow(const bench_timing *timing, double seconds) {
    return timing->once * (MINIMUM + 1) > seconds;
}

/* How often the system preempted a thread of this program. */
static long interruptions(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* Repeats an interrupted sample, up to ten times and once for each sample kept. Further ones are kept and counted as
 * disturbed, so that the measurement ends on a busy host too. */
static void keep(bench_timing *timing, double seconds, int interrupted) {
    if (interrupted && timing->repeated < timing->count + 10) {
        timing->repeated++;
        return;
    }
    timing->samples[timing->count++] = seconds / (double)timing->calls;
    timing->disturbed += interrupted;
}

static int take_sample(bench_timing *timing, int cold) {
    if (cold && !bench_ceiling_evict(timing->threads)) return 0;
    if (!cold && timing->once < warm_limit) timing->run(timing->state);
    if (timing->wait) timing->wait(timing->state);
    const long before = interruptions();
    const double start = bench_host_now();
    for (int64_t i = 0; i < timing->calls; i++) timing->run(timing->state);
    if (timing->wait) timing->wait(timing->state);
    const double seconds = bench_host_now() - start;
    keep(timing, seconds, interruptions() != before);
    return 1;
}

/* With one thread a visit is one sample. With more threads it first waits until other workers stop spinning, and takes
 * several samples. */
static int visit(bench_timing *timing, int cold, int alone) {
    const double start = bench_host_now();
    const int burst = timing->threads > 1 ? BURST : 1;
    if (!alone && timing->threads > 1) {
        bench_host_sleep(settle_seconds);
        if (!cold) timing->run(timing->state); /* wakes its own workers */
    }
    for (int i = 0; i < burst && timing->count < BENCH_SAMPLES; i++)
        if (!take_sample(timing, cold)) return 0;
    timing->spent += bench_host_now() - start;
    return 1;
}

static int is_done(const bench_timing *timing, double share) {
    return timing->count == BENCH_SAMPLES || (timing->count >= MINIMUM && timing->spent >= share);
}

int bench_measure(bench_timing *timings, int count, double seconds, int cold) {
    for (int i = 0; i < count; i++) {
        bench_timing *timing = &timings[i];
        const double wanted = timing->wait ? queue_seconds : sample_seconds;
        timing->calls = !cold && timing->once < wanted ? (int64_t)(wanted / (timing->once + 1e-9)) + 1 : 1;
        timing->count = timing->disturbed = timing->repeated = 0, timing->spent = 0;
    }
    for (int awake = count; awake > 0;) {
        awake = 0;
        for (int i = 0; i < count; i++) {
            if (is_done(&timings[i], seconds / count)) continue;
            if (!visit(&timings[i], cold, count == 1)) return 0;
            awake++;
        }
    }
    for (int i = 0; i < count; i++) {
        bench_timing *timing = &timings[i];
        timing->median = bench_measure_median(timing->samples, timing->count);
        timing->minimum = timing->samples[0];
    }
    return 1;
}
