/* meeting.h: a call on two threads that ends when both have looked, for tests of what a thread finds. */
#ifndef MEETING_H
#define MEETING_H

#include <sched.h>
#include <stdatomic.h>

#include "cpu/cpu_threads.h"
#include "support/tester.h"

typedef struct meeting {
    gru_phases phases;
    gru_phase_claims claims[2];
    atomic_int worker_came;
    void (*look)(void *argument, int32_t index);
    void *argument;
} meeting;

static inline void meeting_task(void *argument, int32_t index) {
    meeting *m = argument;
    m->look(m->argument, index);
    if (index) atomic_store(&m->worker_came, 1);
    while (!atomic_load(&m->worker_came)) (void)sched_yield(); /* the worker comes, sooner or later */
}

/* Calls look on the caller's thread with index 0, and on a worker of the context with 1. */
static inline void meet(const gru_context *context, void (*look)(void *argument, int32_t index),
                        void *argument) {
    static meeting m;
    m = (meeting){.look = look, .argument = argument};
    gru_phases_start(&m.phases, m.claims, 2);
    REQUIRE(gru_pool_run(context, &m.phases, meeting_task, &m) == 1, "a free pool refused");
}

#endif
