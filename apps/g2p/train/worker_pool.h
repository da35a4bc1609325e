/* worker_pool.h: the threads of the program, which it lends to libgru for its runs. */
#ifndef G2P_WORKER_POOL_H
#define G2P_WORKER_POOL_H

#include <stdint.h>

typedef struct crew crew;

/* threads 0: one for each processor. NULL on failure, after a message on stderr. */
crew *crew_start(int32_t threads);
void crew_end(crew *c); /* NULL: nothing */
int32_t crew_size(const crew *c);

/* A gru_parallel, user: the crew. Runs task(argument, 0) ... task(argument, count - 1) at once; count at most the crew's
 * size. One call at a time. */
void crew_run(void *user, int32_t count, void (*task)(void *argument, int32_t index), void *argument);

/* The part of 0 ... count - 1 that is thread index's: first to end - 1. */
static inline int32_t crew_first(const crew *c, int32_t index, int32_t count) {
    return (int32_t)((int64_t)count * index / crew_size(c));
}

#endif
