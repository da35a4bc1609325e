/* pinned_threads.h: threads that run at the same time, each on a processor of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PINNED_THREADS_H
#define BENCH_PINNED_THREADS_H

enum { BENCH_PINNED_THREADS = 64 };

/* Runs task(argument, index) for index 0 .. count - 1 at once and returns when all are done. The caller runs index 0 on
 * the processor that it is on; each other thread gets a different processor where the caller may use as many. The
 * caller's own processors are as before when this returns. 0, and nothing ran: count exceeds BENCH_PINNED_THREADS or the
 * system refused a thread. */
int bench_pinned_run(int count, void (*task)(void *argument, int index), void *argument);

/* Work of which every thread does a share. */
typedef struct bench_pinned_work {
    void (*prepare)(void *argument, int index); /* before each attempt, not timed; may be NULL */
    void (*run)(void *argument, int index);
    void *argument;
} bench_pinned_work;

/* Runs the work attempts times on count threads that start together. Returns the seconds of the shortest attempt, from
 * the first thread's start to the last thread's end; 0: no thread. */
double bench_pinned_best(int count, int attempts, const bench_pinned_work *work);

#endif
