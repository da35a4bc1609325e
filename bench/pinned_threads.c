/* pinned_threads.c: keeps the scheduler from running two of the threads on one processor, one after the other.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getcpu, CPU_SET */
#include "pinned_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "host_info.h"

/* ---- processors ------------------------------------------------------------------------------------------------- */

/* processors[count]: different ones of those that the caller may use, its present one first. 0: there are not as many. */
static int choose_processors(const cpu_set_t *allowed, int count, int *processors) {
    int chosen = 0;
    const int own = sched_getcpu();
    if (own < 0 || own >= CPU_SETSIZE || !CPU_ISSET((size_t)own, allowed)) return 0;
    processors[chosen++] = own;
    for (int cpu = 0; cpu < CPU_SETSIZE && chosen < count; cpu++)
        if (cpu != own && CPU_ISSET((size_t)cpu, allowed)) processors[chosen++] = cpu;
    return chosen == count;
}

static void pin(int processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

typedef struct team {
    void (*task)(void *argument, int index);
    void *argument;
    int pinned, processors[BENCH_PINNED_THREADS];
    atomic_int go; /* 0: wait; 1: run; -1: a thread is missing, return */
} team;

typedef struct member {
    team *team;
    int index;
    pthread_t thread;
} member;

static void *work(void *argument) {
    member *self = argument;
    team *t = self->team;
    if (t->pinned) pin(t->processors[self->index]);
    while (atomic_load(&t->go) == 0) (void)sched_yield();
    if (atomic_load(&t->go) > 0) t->task(t->argument, self->index);
    return NULL;
}

static int start_others(team *t, member *members, int count) {
    int started = 1;
    for (int i = 1; i < count; i++, started++) {
        members[i].team = t, members[i].index = i;
        if (pthread_create(&members[i].thread, NULL, work, &members[i]) != 0) break;
    }
    return started;
}

int bench_pinned_run(int count, void (*task)(void *argument, int index), void *argument) {
    team t = {.task = task, .argument = argument};
    member members[BENCH_PINNED_THREADS];
    cpu_set_t allowed;
    if (count > BENCH_PINNED_THREADS) return 0;
    t.pinned = sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
               choose_processors(&allowed, count, t.processors);
    const int started = start_others(&t, members, count);
    if (t.pinned) pin(t.processors[0]);
    atomic_store(&t.go, started == count ? 1 : -1);
    if (started == count) task(argument, 0);
    for (int i = 1; i < started; i++) (void)pthread_join(members[i].thread, NULL);
    if (t.pinned) (void)sched_setaffinity(0, sizeof allowed, &allowed);
    return started == count;
}

/* ---- timing ----------------------------------------------------------------------------------------------------- */

typedef struct timing {
    const bench_pinned_work *work;
    int count, attempts;
    atomic_int arrived; /* threads at the barrier, over all its uses */
    double starts[BENCH_PINNED_THREADS], ends[BENCH_PINNED_THREADS], best;
} timing;

/* Spins, so that all leave it at once; yields where a processor has two of the threads. */
static void sync_threads(timing *t) {
    enum { SPINS = 20000 };
    const int arrived = atomic_fetch_add(&t->arrived, 1), all = arrived - arrived % t->count + t->count;
    for (int spins = 0; atomic_load(&t->arrived) < all; spins++)
        if (spins >= SPINS) (void)sched_yield();
}

static void note_attempt(timing *t) {
    double start = t->starts[0], end = t->ends[0];
    for (int i = 1; i < t->count; i++) {
        if (t->starts[i] < start) start = t->starts[i];
        if (t->ends[i] > end) end = t->ends[i];
    }
    if (t->best == 0 || end - start < t->best) t->best = end - start;
}

static void attempt(void *argument, int index) {
    timing *t = argument;
    const bench_pinned_work *work = t->work;
    for (int i = 0; i < t->attempts; i++) {
        if (work->prepare) work->prepare(work->argument, index);
        sync_threads(t);
        t->starts[index] = bench_now();
        work->run(work->argument, index);
        t->ends[index] = bench_now();
        sync_threads(t);
        if (index == 0) note_attempt(t);
        sync_threads(t);
    }
}

double bench_pinned_best(int count, int attempts, const bench_pinned_work *work) {
    timing t = {.work = work, .count = count, .attempts = attempts};
    return bench_pinned_run(count, attempt, &t) ? t.best : 0;
}
