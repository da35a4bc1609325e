/* cpu_threads.h: the worker threads of a CPU context. */
#ifndef GRU_CPU_THREADS_H
#define GRU_CPU_THREADS_H

#include "core/context.h"
#include "cpu_phases.h"

typedef struct gru_pool gru_pool;

/* Starts threads - 1 workers (threads >= 2; the caller of a run is the other one), or as many as the system gives:
 * limits on processes are no reason to refuse work. Keeps the context's address, not a reference. */
gru_status gru_pool_create(const gru_context *context, int32_t threads, gru_pool **pool);

/* Ends and joins the workers; no run may be in progress. NULL: nothing. In a forked child, where the
 * workers do not exist, it only frees the memory. */
void gru_pool_release(gru_pool *pool);

/* The most parts that gru_pool_run takes: 1 without threads and in a forked child. With a parallel hook config.threads:
 * what happens after a fork is the hook's affair. */
int32_t gru_pool_threads(const gru_context *context);

/* Runs task(argument, 0) on the calling thread, and meanwhile task(argument, i) for the other parts i of the phases on other
 * threads. A parallel hook chooses the threads itself. The tasks are members of the phases. Any of the others may start late
 * or not at all. Returns 1 when all phases have ended and no task runs any more. The tasks see what the caller wrote before,
 * and the caller afterwards what they wrote. Tasks have the floating-point mode of the caller.
 *
 * Returns 0 and has run nothing when the pool has fewer threads than there are parts, is busy with another call (also the
 * one that the caller is a task of), or stayed behind in the parent of a fork. The caller then does all by itself. Never
 * waits for another call, never allocates. */
int gru_pool_run(const gru_context *context, gru_phases *phases, void (*task)(void *argument, int32_t index),
                 void *argument);

/* The same, but also returns 0 for some time after a call that its workers have slowed down, as they had no processor. */
int gru_pool_try(const gru_context *context, gru_phases *phases, void (*task)(void *argument, int32_t index),
                 void *argument);

/* What a pool has learned about its workers. Zero at first. */
typedef struct gru_pool_record {
    atomic_int_least64_t alone_until; /* the time from which on they may help again */
    int64_t factor;                   /* how much longer that lasts than the sleep that was its reason */
} gru_pool_record;

/* Notes a call of so many parts that ended `now` after `elapsed` nanoseconds, of which its caller slept for `slept`. Alone it
 * would have taken about as many times as long as its caller worked: if that is less than it took, the workers were a loss. */
void gru_pool_note(gru_pool_record *record, int32_t parts, int64_t now, int64_t elapsed, int64_t slept);

#endif
