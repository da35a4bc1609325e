/* thread_pool.c: workers that spin for a while and then sleep, so that they are gone when another contestant is timed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 20000 }; /* some 0.3 ms at 16 ns a pause */

typedef struct worker {
    bench_crew *crew;
    pthread_t thread;
    int index;
} worker;

struct bench_crew {
    int count;
    void (*task)(void *argument, int index);
    void *argument;
    atomic_uint call;             /* publishes task and argument to the workers */
    atomic_int pending, sleeping; /* pending: publishes the workers' results to the caller */
    atomic_int stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    worker workers[];
};

static void pause_briefly(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

static unsigned next_call(bench_crew *crew, unsigned seen) {
    for (int spin = 0; spin < SPINS; spin++) {
        const unsigned call = atomic_load(&crew->call);
        if (call != seen) return call;
        pause_briefly();
    }
    (void)pthread_mutex_lock(&crew->mutex);
    atomic_fetch_add(&crew->sleeping, 1);
    while (atomic_load(&crew->call) == seen) (void)pthread_cond_wait(&crew->wake, &crew->mutex);
    atomic_fetch_sub(&crew->sleeping, 1);
    (void)pthread_mutex_unlock(&crew->mutex);
    return atomic_load(&crew->call);
}

static void *work(void *argument) {
    worker *self = argument;
    bench_crew *crew = self->crew;
    unsigned seen = 0;
    for (;;) {
        seen = next_call(crew, seen);
        if (atomic_load(&crew->stop)) return NULL;
        crew->task(crew->argument, self->index);
        atomic_fetch_sub(&crew->pending, 1);
    }
}

/* Either the worker sees the new call before it sleeps, or this sees it sleeping: both sides write, then read, in the
 * one order of sequential consistency. */
static void publish(bench_crew *crew) {
    atomic_fetch_add(&crew->call, 1);
    if (!atomic_load(&crew->sleeping)) return;
    (void)pthread_mutex_lock(&crew->mutex);
    (void)pthread_cond_broadcast(&crew->wake);
    (void)pthread_mutex_unlock(&crew->mutex);
}

bench_crew *bench_crew_create(int count) {
    bench_crew *crew = calloc(1, sizeof *crew + (size_t)count * sizeof(worker));
    if (!crew) return NULL;
    (void)pthread_mutex_init(&crew->mutex, NULL);
    (void)pthread_cond_init(&crew->wake, NULL);
    crew->count = 1;
    for (int i = 1; i < count; i++) {
        crew->workers[i].crew = crew, crew->workers[i].index = i;
        if (pthread_create(&crew->workers[i].thread, NULL, work, &crew->workers[i]) != 0) {
            bench_crew_release(crew);
            return NULL;
        }
        crew->count++;
    }
    return crew;
}

void bench_crew_release(bench_crew *crew) {
    if (!crew) return;
    atomic_store(&crew->stop, 1);
    publish(crew);
    for (int i = 1; i < crew->count; i++) (void)pthread_join(crew->workers[i].thread, NULL);
    (void)pthread_cond_destroy(&crew->wake);
    (void)pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

void bench_crew_run(bench_crew *crew, void (*task)(void *argument, int index), void *argument) {
    crew->task = task, crew->argument = argument;
    atomic_store(&crew->pending, crew->count - 1);
    if (crew->count > 1) publish(crew);
    task(argument, 0);
    while (atomic_load(&crew->pending)) pause_briefly();
}
