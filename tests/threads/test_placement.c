/* test_placement.c: on which processors the workers of a context may run, and that its callers keep theirs. */
#define _GNU_SOURCE /* sched_setaffinity, pthread_setaffinity_np */
#include <pthread.h>
#include <sched.h>

#include "meeting.h"

/* What the worker finds. */
typedef struct seen {
    cpu_set_t affinity;
    pthread_t worker;
} seen;

static void see(void *argument, int32_t index) {
    seen *s = argument;
    if (index == 0) return;
    (void)sched_getaffinity(0, sizeof s->affinity, &s->affinity);
    s->worker = pthread_self();
}

static void move_to(size_t processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0, "cannot move to processor %zu", processor);
}

/* The first processor of the set from `from` on. */
static size_t next_processor(const cpu_set_t *set, size_t from) {
    while (from < CPU_SETSIZE && !CPU_ISSET(from, set)) from++;
    return from;
}

TEST(placement, workers_keep_off_their_callers_processor) {
    cpu_set_t all, own;
    seen s;
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0, "no affinity");
    if (CPU_COUNT(&all) < 2) SKIP("there is one processor");
    const size_t first = next_processor(&all, 0), second = next_processor(&all, first + 1);
    gru_context *context = tester_context(NULL, 2);
    for (int i = 0; i < 4; i++) {
        const size_t here = i % 2 ? second : first, there = i % 2 ? first : second;
        move_to(here);
        meet(context, see, &s);
        CHECK(!CPU_ISSET(here, &s.affinity) && CPU_ISSET(there, &s.affinity), "call %d from processor %zu", i,
              here);
        CHECK(CPU_COUNT(&s.affinity) == CPU_COUNT(&all) - 1, "the worker may use %d processors",
              CPU_COUNT(&s.affinity));
        CHECK(sched_getaffinity(0, sizeof own, &own) == 0 && CPU_COUNT(&own) == 1 && CPU_ISSET(here, &own),
              "the call moved its caller");
    }
    REQUIRE(pthread_setaffinity_np(s.worker, sizeof all, &all) == 0, "cannot move the worker");
    move_to(first);
    meet(context, see, &s);
    CHECK(CPU_EQUAL(&s.affinity, &all), "a worker that the application had placed was moved");
    gru_context_release(context);
    (void)sched_setaffinity(0, sizeof all, &all);
}
