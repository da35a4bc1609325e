/* test_bench_ceilings.c: that threads of a ceiling run at the same time, and that the best attempt counts. */
#define _GNU_SOURCE /* sched_getcpu, CPU_COUNT */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "../../bench/ceilings.h"
#include "../../bench/pinned_threads.h"
#include "support/tester.h"

enum { THREADS = 4, ATTEMPTS = 3 };

typedef struct meeting {
    int threads;
    atomic_int arrived;
    int processors[THREADS]; /* -1: the system does not say */
    int prepared[THREADS], ran[THREADS];
} meeting;

/* Returns when all threads are inside at once: threads that run one after the other never would. */
static void meet(void *argument, int index) {
    meeting *m = argument;
    m->processors[index] = sched_getcpu();
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < m->threads) (void)sched_yield();
}

TEST(bench_pinned_threads, run_at_the_same_time) {
    for (int threads = 1; threads <= THREADS; threads++) {
        meeting m = {.threads = threads};
        CHECK(bench_pinned_run(threads, meet, &m), "%d threads", threads);
        CHECK(atomic_load(&m.arrived) == threads, "%d of %d ran", atomic_load(&m.arrived), threads);
    }
    CHECK(!bench_pinned_run(BENCH_PINNED_THREADS + 1, meet, NULL), "more than there may be");
}

TEST(bench_pinned_threads, have_a_processor_each) {
    cpu_set_t before, after;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0, "no affinity");
    const int threads = CPU_COUNT(&before) < THREADS ? CPU_COUNT(&before) : THREADS;
    meeting m = {.threads = threads};
    CHECK(bench_pinned_run(threads, meet, &m), "%d threads", threads);
    for (int i = 0; i < threads; i++)
        for (int k = 0; k < i; k++)
            CHECK(m.processors[i] < 0 || m.processors[i] != m.processors[k],
                  "threads %d and %d on processor %d", i, k, m.processors[i]);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after),
          "the caller may use other processors than before");
}

static void count_prepared(void *argument, int index) {
    meeting *m = argument;
    m->prepared[index]++;
}

static void sleep_ms(long milliseconds) {
    const struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* The last thread sleeps 0.5 s in its first attempt and 20 ms in each later one. */
static void sleep_once_long(void *argument, int index) {
    meeting *m = argument;
    const int last = index == m->threads - 1, first = m->ran[index]++ == 0;
    if (last) sleep_ms(first ? 500 : 20);
}

TEST(bench_pinned_threads, best_attempt_lasts_until_the_last_thread_is_done) {
    for (int threads = 1; threads <= 2; threads++) {
        meeting m = {.threads = threads};
        const bench_pinned_work work = {count_prepared, sleep_once_long, &m};
        const double best = bench_pinned_best(threads, ATTEMPTS, &work);
        CHECK(best >= 0.02, "%g s: the last thread took 0.02 s at least", best);
        CHECK(best < 0.5, "%g s: only the first attempt took 0.5 s", best);
        for (int i = 0; i < threads; i++)
            CHECK(m.ran[i] == ATTEMPTS && m.prepared[i] == ATTEMPTS, "thread %d: %d attempts, %d prepared", i,
                  m.ran[i], m.prepared[i]);
    }
}

TEST(bench_ceilings, have_a_value_for_each_number_of_threads) {
    for (int threads = 1; threads <= 2; threads++) {
        CHECK(bench_ceiling_peak(threads) > 0, "peak of %d threads", threads);
        for (size_t bytes = 1; bytes < 100000; bytes = bytes * 7 + 3)
            CHECK(bench_ceiling_read(bytes, threads, 0, 1e-3) > 0, "%zu bytes, %d threads", bytes, threads);
    }
    CHECK(bench_ceiling_peak(BENCH_PINNED_THREADS + 1) == 0, "more threads than there may be");
}
