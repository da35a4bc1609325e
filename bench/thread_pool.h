/* thread_pool.h: threads of the benchmark's own, for ceilings of more than one core.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_THREAD_POOL_H
#define BENCH_THREAD_POOL_H

typedef struct bench_crew bench_crew;

/* The calling thread is one of the count. NULL: no memory or no thread. */
bench_crew *bench_crew_create(int count);
void bench_crew_release(bench_crew *crew); /* NULL: nothing */
/* task(argument, 0 .. count - 1) at once; returns when all are done. */
void bench_crew_run(bench_crew *crew, void (*task)(void *argument, int index), void *argument);

#endif
