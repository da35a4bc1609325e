/* worker_pool.c: threads that sleep until the next task; a step of training gives them some thirty, of a millisecond or more. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "worker_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_THREADS = 256 };

typedef struct member {
    crew *of;
    int32_t index;
    pthread_t thread;
} member;

struct crew {
    pthread_mutex_t lock; /* guards what follows up to members */
    pthread_cond_t given, done;
    uint64_t task_number; /* 0: none yet */
    int32_t count, running, leaving;
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t size;
    member members[]; /* [size]; 0 is the thread that calls */
};

static void *work(void *argument) {
    const member *self = argument;
    crew *c = self->of;
    uint64_t seen = 0;
    (void)pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->task_number == seen && !c->leaving) (void)pthread_cond_wait(&c->given, &c->lock);
        if (c->leaving) break;
        seen = c->task_number;
        if (self->index >= c->count) continue;
        (void)pthread_mutex_unlock(&c->lock);
        c->task(c->argument, self->index);
        (void)pthread_mutex_lock(&c->lock);
        if (--c->running == 0) (void)pthread_cond_signal(&c->done);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

void crew_run(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument) {
    crew *c = user;
    if (count > 1) {
        (void)pthread_mutex_lock(&c->lock);
        c->task = task, c->argument = argument;
        c->count = count, c->running = count - 1;
        c->task_number++;
        (void)pthread_cond_broadcast(&c->given);
        (void)pthread_mutex_unlock(&c->lock);
    }
    task(argument, 0);
    if (count > 1) {
        (void)pthread_mutex_lock(&c->lock);
        while (c->running > 0) (void)pthread_cond_wait(&c->done, &c->lock);
        (void)pthread_mutex_unlock(&c->lock);
    }
}

static int32_t processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set) < MAX_THREADS ? CPU_COUNT(&set) : MAX_THREADS;
}

crew *crew_start(int32_t threads) {
    const int32_t wanted = threads > 0 ? threads : processors();
    crew *c = calloc(1, sizeof *c + (size_t)wanted * sizeof *c->members);
    if (!c) {
        fprintf(stderr, "threads: no memory for %d\n", wanted);
        return NULL;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->given, NULL);
    (void)pthread_cond_init(&c->done, NULL);
    for (c->size = 1; c->size < wanted; c->size++) {
        member *next = &c->members[c->size];
        next->of = c, next->index = c->size;
        if (pthread_create(&next->thread, NULL, work, next) == 0) continue;
        fprintf(stderr, "threads: the system gave %d of %d\n", c->size, wanted);
        crew_end(c);
        return NULL;
    }
    return c;
}

void crew_end(crew *c) {
    if (!c) return;
    (void)pthread_mutex_lock(&c->lock);
    c->leaving = 1;
    (void)pthread_cond_broadcast(&c->given);
    (void)pthread_mutex_unlock(&c->lock);
    for (int32_t i = 1; i < c->size; i++) (void)pthread_join(c->members[i].thread, NULL);
    (void)pthread_cond_destroy(&c->done);
    (void)pthread_cond_destroy(&c->given);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

int32_t crew_size(const crew *c) {
    return c->size;
}
