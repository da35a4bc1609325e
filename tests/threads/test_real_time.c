/* test_real_time.c: calls of a real-time thread whose workers have a lower class and no processor of their own. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "ring.h"
#include "support/problem.h"
#include "support/properties.h"

/* Leaves the process one processor, which its new threads inherit. */
static void keep_one_processor(cpu_set_t *before) {
    cpu_set_t one;
    CPU_ZERO(&one);
    REQUIRE(sched_getaffinity(0, sizeof *before, before) == 0, "no affinity");
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, before)) CPU_SET(i, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0, "cannot choose a processor");
}

/* Of this thread; 0: the system does not allow it. */
static int set_class(int class) {
    const struct sched_param parameter = {.sched_priority = class == SCHED_FIFO ? 1 : 0};
    return pthread_setschedparam(pthread_self(), class, &parameter) == 0;
}

static void check_rings(const gru_context *context) {
    for (uint32_t seed = 0; seed < 20; seed++) {
        ring r;
        ring_start(&r, 2, seed);
        CHECK(gru_pool_run(context, &r.phases, ring_task, &r) == 1, "a free pool refused");
        CHECK(!ring_wrong(&r, seed, RING_STEPS), "call %u is wrong", seed);
        CHECK(atomic_load(&r.members) == 1, "call %u had the help of a thread that cannot run", seed);
    }
}

/* The worker gets no time before the caller is done: a caller that spins or yields until it does would not end. */
TEST(real_time, calls_end_beside_workers_that_never_run) {
    cpu_set_t before;
    const shape sizes = {1, 1, 512, 512, "a step for two threads"};
    const gru_layer_config config = GRU_INIT;
    keep_one_processor(&before);
    gru_context *context = tester_context("cpu_scalar", 2), *alone = tester_context("cpu_scalar", 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result one, two;
    problem_run(p, alone, &one);
    if (!set_class(SCHED_FIFO)) SKIP("this process may have no real-time threads");
    (void)alarm(300); /* generous: a busy machine is no failure, a caller that spins for ever is */
    check_rings(context);
    problem_run(p, context, &two);
    (void)alarm(0);
    (void)set_class(SCHED_OTHER);
    (void)sched_setaffinity(0, sizeof before, &before);
    check_same_results(p, &one, &two);
    result_free(&one), result_free(&two);
    problem_free(p);
    gru_context_release(context), gru_context_release(alone);
}
