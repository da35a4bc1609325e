/* measure.c: decides whose turn it is, and how many calls make a sample.  SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "ceilings.h"
#include "host_info.h"

enum { MINIMUM = 5, BURST = 4 };

static const double sample_seconds = 2e-4; /* the clock's 25 ns are nothing in it */
static const double queue_seconds = 5e-3;  /* nor the 10 us of a wait for a GPU in this */
static const double warm_limit = 2e-2;     /* above this a call warms itself */
/* Workers of the contestant before still spin: OpenBLAS's for 2^26 cycles, libgomp's for some milliseconds. */
static const double settle_seconds = 3e-2;

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int bench_too_slow(const bench_contestant *contestant, double seconds) {
    return contestant->once * (MINIMUM + 1) > seconds;
}

/* How often the system took a processor from a thread of this program that still had work. */
static long interruptions(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* Ten interrupted samples, and one for each that was kept, are taken again: where other programs run all the time,
 * the rest is kept and counted. */
static void keep(bench_contestant *c, double seconds, int interrupted) {
    if (interrupted && c->repeated < c->count + 10) {
        c->repeated++;
        return;
    }
    c->samples[c->count++] = seconds / (double)c->calls;
    c->disturbed += interrupted;
}

static int take_sample(bench_contestant *c, int cold) {
    if (cold && !bench_evict(c->threads)) return 0;
    if (!cold && c->once < warm_limit) c->run(c->state);
    if (c->wait) c->wait(c->state);
    const long before = interruptions();
    const double start = bench_now();
    for (int64_t i = 0; i < c->calls; i++) c->run(c->state);
    if (c->wait) c->wait(c->state);
    const double seconds = bench_now() - start;
    keep(c, seconds, interruptions() != before);
    return 1;
}

/* With one thread a visit is one sample. With more it waits until nobody spins, and takes a few. */
static int visit(bench_contestant *c, int cold, int alone) {
    const double start = bench_now();
    const int burst = c->threads > 1 ? BURST : 1;
    if (!alone && c->threads > 1) {
        bench_rest(settle_seconds);
        if (!cold) c->run(c->state); /* wakes its own workers */
    }
    for (int i = 0; i < burst && c->count < BENCH_SAMPLES; i++)
        if (!take_sample(c, cold)) return 0;
    c->spent += bench_now() - start;
    return 1;
}

static int rests(const bench_contestant *c, double share) {
    return c->count == BENCH_SAMPLES || (c->count >= MINIMUM && c->spent >= share);
}

int bench_measure(bench_contestant *contestants, int count, double seconds, int cold) {
    for (int i = 0; i < count; i++) {
        bench_contestant *c = &contestants[i];
        const double wanted = c->wait ? queue_seconds : sample_seconds;
        c->calls = !cold && c->once < wanted ? (int64_t)(wanted / (c->once + 1e-9)) + 1 : 1;
        c->count = c->disturbed = c->repeated = 0, c->spent = 0;
    }
    for (int awake = count; awake > 0;) {
        awake = 0;
        for (int i = 0; i < count; i++) {
            if (rests(&contestants[i], seconds / count)) continue;
            if (!visit(&contestants[i], cold, count == 1)) return 0;
            awake++;
        }
    }
    for (int i = 0; i < count; i++) {
        bench_contestant *c = &contestants[i];
        c->median = bench_median(c->samples, c->count);
        c->minimum = c->samples[0];
    }
    return 1;
}
