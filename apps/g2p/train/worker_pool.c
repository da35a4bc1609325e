/* worker_pool.c: threads that sleep until the next task; a step of training gives them some thirty, of a millisecond or more. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "worker_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_THREADS = 256 };

typedef struct member {
    worker_pool *of;
    int32_t index;
    pthread_t thread;
} member;

struct worker_pool {
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
    worker_pool *pool = self->of;
    uint64_t seen = 0;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->task_number == seen && !pool->leaving)
            (void)pthread_cond_wait(&pool->given, &pool->lock);
        if (pool->leaving) break;
        seen = pool->task_number;
        if (self->index >= pool->count) continue;
        (void)pthread_mutex_unlock(&pool->lock);
        pool->task(pool->argument, self->index);
        (void)pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0) (void)pthread_cond_signal(&pool->done);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void worker_pool_run(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument) {
    worker_pool *pool = user;
    if (count > 1) {
        (void)pthread_mutex_lock(&pool->lock);
        pool->task = task, pool->argument = argument;
        pool->count = count, pool->running = count - 1;
        pool->task_number++;
        (void)pthread_cond_broadcast(&pool->given);
        (void)pthread_mutex_unlock(&pool->lock);
    }
    task(argument, 0);
    if (count > 1) {
        (void)pthread_mutex_lock(&pool->lock);
        while (pool->running > 0) (void)pthread_cond_wait(&pool->done, &pool->lock);
        (void)pthread_mutex_unlock(&pool->lock);
    }
}

static int32_t processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set) < MAX_THREADS ? CPU_COUNT(&set) : MAX_THREADS;
}

worker_pool *worker_pool_start(int32_t threads) {
    const int32_t wanted = threads > 0 ? threads : processors();
    worker_pool *pool = calloc(1, sizeof *pool + (size_t)wanted * sizeof *pool->members);
    if (!pool) {
        fprintf(stderr, "threads: no memory for %d\n", wanted);
        return NULL;
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->given, NULL);
    (void)pthread_cond_init(&pool->done, NULL);
    for (pool->size = 1; pool->size < wanted; pool->size++) {
        member *next = &pool->members[pool->size];
        next->of = pool, next->index = pool->size;
        if (pthread_create(&next->thread, NULL, work, next) == 0) continue;
        fprintf(stderr, "threads: the system gave %d of %d\n", pool->size, wanted);
        worker_pool_end(pool);
        return NULL;
    }
    return pool;
}

void worker_pool_end(worker_pool *pool) {
    if (!pool) return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->leaving = 1;
    (void)pthread_cond_broadcast(&pool->given);
    (void)pthread_mutex_unlock(&pool->lock);
    for (int32_t i = 1; i < pool->size; i++) (void)pthread_join(pool->members[i].thread, NULL);
    (void)pthread_cond_destroy(&pool->done);
    (void)pthread_cond_destroy(&pool->given);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int32_t worker_pool_size(const worker_pool *pool) {
    return pool->size;
}
