/* worker_pool.h: the threads of the program, which it lends to libgru for its runs. */
#ifndef G2P_WORKER_POOL_H
#define G2P_WORKER_POOL_H

#include <stdint.h>

typedef struct worker_pool worker_pool;

/* threads 0: one for each processor. NULL on failure, after a message on stderr. */
worker_pool *worker_pool_start(int32_t threads);
void worker_pool_end(worker_pool *pool); /* NULL: nothing */
int32_t worker_pool_size(const worker_pool *pool);

/* A gru_parallel, user: the pool. Runs task(argument, 0) ... task(argument, count - 1) at once; count at most the pool's
 * size. One call at a time. */
void worker_pool_run(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument);

/* The part of 0 ... count - 1 that is thread index's: first to end - 1. */
static inline int32_t worker_pool_first(const worker_pool *pool, int32_t index, int32_t count) {
    return (int32_t)((int64_t)count * index / worker_pool_size(pool));
}

#endif
