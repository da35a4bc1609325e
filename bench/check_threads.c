/* check_threads.c: times calls on one thread and on two in turns.  SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* kill */
#include "check_threads.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_info.h"

/* ---- situations -------------------------------------------------------------------------------------------------- */

typedef enum situation { AT_ONCE, PAUSE, BUSY_NEIGHBOUR, OPENMP_NEIGHBOUR, SITUATIONS } situation;

static const char *const situation_names[SITUATIONS] = {"call after call", "3 ms pause before each call",
                                                        "beside a busy process", "after an OpenMP region"};

static void before_call(situation s) {
    if (s == PAUSE) bench_host_sleep(3e-3);
#ifdef BENCH_OPENMP
    if (s == OPENMP_NEIGHBOUR) bench_openmp_region();
#endif
}

static int is_possible(situation s) {
#ifdef BENCH_OPENMP
    (void)s;
    return 1;
#else
    return s != OPENMP_NEIGHBOUR;
#endif
}

/* A process that keeps one processor busy, and ends with this one. */
static pid_t start_neighbour(situation s) {
    if (s != BUSY_NEIGHBOUR) return 0;
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
        for (volatile unsigned i = 0; i % 1000000 || getppid() == parent; i++) continue;
        _exit(0);
    }
    return child;
}

static void end_neighbour(pid_t child) {
    if (child <= 0) return;
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

/* ---- timing ------------------------------------------------------------------------------------------------------ */

/* Calls of one candidate that follow each other: its turn. */
enum { TURN = 8 };

static void take_turn(bench_timing *timing, situation s) {
    for (int i = 0; i < TURN && timing->count < BENCH_SAMPLES; i++) {
        before_call(s);
        const double start = bench_host_now();
        timing->run(timing->state);
        timing->samples[timing->count++] = bench_host_now() - start;
    }
}

/* One round: fills in the medians. */
static void measure_round(bench_timing *timings, situation s, double seconds) {
    const double end = bench_host_now() + seconds;
    timings[0].count = timings[1].count = 0;
    do {
        for (int i = 0; i < 2; i++) take_turn(&timings[i], s);
    } while (bench_host_now() < end && timings[0].count < BENCH_SAMPLES);
    for (int i = 0; i < 2; i++) {
        timings[i].median = bench_measure_median(timings[i].samples, timings[i].count);
        timings[i].minimum = timings[i].samples[0];
    }
}

typedef struct ratios {
    double median, minimum; /* how many times as fast two threads are: of medians, of the shortest calls */
} ratios;

/* Medians of five rounds. */
static ratios compare(bench_timing *timings, situation s, double seconds) {
    enum { ROUNDS = 5 };
    double medians[ROUNDS], minima[ROUNDS];
    const pid_t neighbour = start_neighbour(s);
    for (int round = 0; round < ROUNDS; round++) {
        measure_round(timings, s, seconds / ROUNDS);
        medians[round] = timings[0].median / timings[1].median;
        minima[round] = timings[0].minimum / timings[1].minimum;
    }
    end_neighbour(neighbour);
    return (ratios){bench_measure_median(medians, ROUNDS), bench_measure_median(minima, ROUNDS)};
}

/* ---- what is found ----------------------------------------------------------------------------------------------- */

static void report(const bench_candidate *engine, const bench_problem *problem, situation s, ratios r) {
    const bench_shape shape = problem->shape;
    (void)printf(
        "%-12s T%lld N%lld I%lld H%lld %s, %s: %.2fx as fast on two threads (shortest calls: %.2fx)\n",
        engine->name, (long long)shape.T, (long long)shape.N, (long long)shape.I, (long long)shape.H,
        bench_stage_names[problem->stage], situation_names[s], r.median, r.minimum);
    (void)fflush(stdout);
}

static void note(const bench_case *pair, const bench_problem *problem, situation s, ratios r,
                 bench_thread_check *found) {
    const double step = pair->timings[0].median / (double)problem->shape.T;
    found->rows++;
    if ((s == AT_ONCE || s == PAUSE) && step > 20e-6) {
        found->long_steps++;
        found->low += r.median < 1.6;
    }
    if (r.median >= 0.95) return;
    found->slower++;
    report(pair->entries[0].candidate, problem, s, r);
}

void bench_check_threads(bench_case *scratch, const bench_candidate *engine, const bench_problem *problem,
                         double seconds, bench_thread_check *found) {
    bench_problem one = *problem, two = *problem;
    one.threads = 1, two.threads = 2;
    bench_case_add(scratch, engine, BENCH_ENGINE, &one, seconds);
    bench_case_add(scratch, engine, BENCH_ENGINE, &two, seconds);
    for (situation s = AT_ONCE; s < SITUATIONS && scratch->count == 2; s++)
        if (is_possible(s))
            note(scratch, problem, s, compare(scratch->timings, s, seconds / SITUATIONS), found);
}
