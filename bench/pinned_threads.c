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
    team *all = self->team;
    if (all->pinned) pin(all->processors[self->index]);
    while (atomic_load(&all->go) == 0) (void)sched_yield();
    if (atomic_load(&all->go) > 0) all->task(all->argument, self->index);
    return NULL;
}

static int start_others(team *all, member *members, int count) {
    int started = 1;
    for (int i = 1; i < count; i++, started++) {
        members[i].team = all, members[i].index = i;
        if (pthread_create(&members[i].thread, NULL, work, &members[i]) != 0) break;
    }
    return started;
}

int bench_pinned_run(int count, void (*task)(void *argument, int index), void *argument) {
    team all = {.task = task, .argument = argument};
    member members[BENCH_PINNED_THREADS];
    cpu_set_t allowed;
    if (count > BENCH_PINNED_THREADS) return 0;
    all.pinned = sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
                 choose_processors(&allowed, count, all.processors);
    const int started = start_others(&all, members, count);
    if (all.pinned) pin(all.processors[0]);
    atomic_store(&all.go, started == count ? 1 : -1);
    if (started == count) task(argument, 0);
    for (int i = 1; i < started; i++) (void)pthread_join(members[i].thread, NULL);
    if (all.pinned) (void)sched_setaffinity(0, sizeof allowed, &allowed);
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
static void sync_threads(timing *shared) {
    enum { SPINS = 20000 };
    const int arrived = atomic_fetch_add(&shared->arrived, 1),
              all = arrived - arrived % shared->count + shared->count;
    for (int spins = 0; atomic_load(&shared->arrived) < all; spins++)
        if (spins >= SPINS) (void)sched_yield();
}

static void note_attempt(timing *shared) {
    double start = shared->starts[0], end = shared->ends[0];
    for (int i = 1; i < shared->count; i++) {
        if (shared->starts[i] < start) start = shared->starts[i];
        if (shared->ends[i] > end) end = shared->ends[i];
    }
    if (shared->best == 0 || end - start < shared->best) shared->best = end - start;
}

static void attempt(void *argument, int index) {
    timing *shared = argument;
    const bench_pinned_work *work = shared->work;
    for (int i = 0; i < shared->attempts; i++) {
        if (work->prepare) work->prepare(work->argument, index);
        sync_threads(shared);
        shared->starts[index] = bench_host_now();
        work->run(work->argument, index);
        shared->ends[index] = bench_host_now();
        sync_threads(shared);
        if (index == 0) note_attempt(shared);
        sync_threads(shared);
    }
}

double bench_pinned_best(int count, int attempts, const bench_pinned_work *work) {
    timing shared = {.work = work, .count = count, .attempts = attempts};
    return bench_pinned_run(count, attempt, &shared) ? shared.best : 0;
}
