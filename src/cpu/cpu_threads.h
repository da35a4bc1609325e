/* cpu_threads.h: the worker threads of a CPU context, and the barrier of their tasks. */
#ifndef GRU_CPU_THREADS_H
#define GRU_CPU_THREADS_H

#include <stdatomic.h>

#include "core/context.h"

typedef struct gru_pool gru_pool;

/* Processors that this thread may run on, 1 or more. */
int32_t gru_processors(void);

/* Starts threads - 1 workers (threads >= 2; the caller of a run is the other one), or as many as the system gives:
 * limits on processes are no reason to refuse work. Keeps the context's address, not a reference. */
gru_status gru_pool_create(const gru_context *context, int32_t threads, gru_pool **pool);

/* Ends and joins the workers; no run may be in progress. NULL: nothing. In a forked child, where the
 * workers do not exist, it only frees the memory. */
void gru_pool_release(gru_pool *pool);

/* The most tasks that gru_pool_run can run at once: 1 without threads and in a forked child. With a
 * parallel hook config.threads: what happens after a fork is the hook's affair. */
int32_t gru_pool_threads(const gru_context *context);

/* Runs task(argument, 0) ... task(argument, count - 1), count >= 1, truly at the same time, so that they
 * may wait for each other, and returns 1 when all are done. Index 0 runs on the calling thread, unless a
 * hook decides. Returns 0 and has run nothing when it cannot: the pool is smaller than count, is busy with
 * another call (also the one that the caller is a task of), or stayed behind in the parent of a fork. The
 * caller then does all by itself. Never waits for another call, never allocates. The tasks see what the
 * caller wrote before, and the caller afterwards what they wrote. */
int gru_pool_run(const gru_context *context, int32_t count, void (*task)(void *argument, int32_t index),
                 void *argument);

/* In the caller's memory, zero before the tasks start; a cache line of its own. */
typedef struct gru_barrier {
    _Alignas(64) atomic_uint arrived; /* tasks that wait for the others */
    atomic_uint generation;           /* how often all have arrived */
} gru_barrier;

/* Returns when count tasks have called it, and is then ready for the next time. All see what each wrote
 * before. The count is the same for all; 1: nothing. */
void gru_barrier_wait(gru_barrier *barrier, int32_t count);

#endif
