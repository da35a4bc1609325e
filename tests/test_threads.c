/* test_threads.c: a context's worker threads under many callers, nesting, hooks, forks and too few processors. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/cpu_threads.h"
#include "tester.h"

/* ---- a task whose result depends on every barrier ---------------------------------------------------------- */

enum { MOST = 8, STEPS = 40 };

/* A recurrence over a ring of values: at each step task i needs what its neighbour made at the step before. */
typedef struct ring {
    gru_barrier barrier;
    int32_t count;
    uint32_t value[2][MOST];
    int32_t ran[MOST];
} ring;

static uint32_t ring_step(const uint32_t *before, int32_t count, int32_t index) {
    return before[index] * 1664525u + before[(index + 1) % count] + 1013904223u;
}

static void ring_start(ring *r, int32_t count, uint32_t seed) {
    memset(r, 0, sizeof *r);
    r->count = count;
    for (int32_t i = 0; i < count; i++) r->value[0][i] = seed + (uint32_t)i * 77u;
}

static void ring_task(void *argument, int32_t index) {
    ring *r = argument;
    r->ran[index]++;
    for (int step = 0; step < STEPS; step++) {
        r->value[(step + 1) % 2][index] = ring_step(r->value[step % 2], r->count, index);
        gru_barrier_wait(&r->barrier, r->count);
    }
}

static void ring_alone(ring *r) {
    for (int step = 0; step < STEPS; step++)
        for (int32_t i = 0; i < r->count; i++)
            r->value[(step + 1) % 2][i] = ring_step(r->value[step % 2], r->count, i);
}

/* 0 when all is right. ran: each task ran exactly so often. */
static int ring_wrong(const ring *r, uint32_t seed, int32_t ran) {
    ring expected;
    ring_start(&expected, r->count, seed);
    ring_alone(&expected);
    int wrong = memcmp(r->value[STEPS % 2], expected.value[STEPS % 2], sizeof r->value[0]) != 0;
    for (int32_t i = 0; i < r->count; i++) wrong |= r->ran[i] != ran;
    return wrong;
}

static gru_context *create(int32_t threads) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CPU;
    config.threads = threads;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* ---- one caller ---------------------------------------------------------------------------------------------- */

TEST(threads, tasks_wait_for_each_other) {
    for (int32_t threads = 1; threads <= 4; threads++) {
        gru_context *context = create(threads);
        REQUIRE(gru_pool_threads(context) == threads, "%d threads", gru_pool_threads(context));
        for (uint32_t call = 0; call < 200; call++) {
            const int32_t count = 1 + (int32_t)call % threads;
            ring r;
            ring_start(&r, count, call);
            if (call % 50 == 49) (void)usleep(2000); /* the workers fall asleep, and a call wakes them */
            REQUIRE(gru_pool_run(context, count, ring_task, &r) == 1, "a free pool refused call %u", call);
            REQUIRE(!ring_wrong(&r, call, 1), "threads %d, count %d, call %u is wrong", threads, count, call);
        }
        gru_context_release(context);
    }
}

TEST(threads, a_pool_too_small_refuses) {
    gru_context *context = create(2);
    ring r;
    ring_start(&r, 3, 1);
    CHECK(gru_pool_run(context, 3, ring_task, &r) == 0, "2 threads took 3 tasks");
    CHECK(r.ran[0] + r.ran[1] + r.ran[2] == 0, "a refused call ran something");
    gru_context_release(context);
}

TEST(threads, zero_means_the_processors) {
    gru_context *context = create(0);
    CHECK(gru_pool_threads(context) == gru_processors(), "%d threads on %d processors",
          gru_pool_threads(context), gru_processors());
    gru_context_release(context);
}

TEST(threads, more_threads_than_processors) {
    gru_context *context = create(MOST);
    for (uint32_t call = 0; call < 50; call++) {
        ring r;
        ring_start(&r, MOST, call);
        REQUIRE(gru_pool_run(context, MOST, ring_task, &r) == 1, "a free pool refused");
        REQUIRE(!ring_wrong(&r, call, 1), "call %u is wrong", call);
    }
    gru_context_release(context);
}
