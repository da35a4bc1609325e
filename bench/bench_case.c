/* bench_case.c: adds a candidate only if it agrees with the reference.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ceilings.h"
#include "bench_engines.h"
#include "bench_problem_check.h"
#include "host_info.h"

static void report_exclusion(const bench_candidate *candidate, const bench_problem *problem,
                             const char *why) {
    if (!*why) return;
    (void)fprintf(stderr, "  %s left out of %s, %d thread%s: %s\n", candidate->name, problem->shape.name,
                  problem->threads, problem->threads > 1 ? "s" : "", why);
}

static double time_call(const bench_candidate *candidate, void *state) {
    const double start = bench_host_now();
    candidate->run(state);
    if (candidate->wait) candidate->wait(state);
    return bench_host_now() - start;
}

/* Shortest of a few calls, so that the page faults of the first do not count. A call of 1 s or more is not repeated. */
static double time_once(const bench_candidate *candidate, void *state, double first) {
    double best = first;
    for (int i = 0; i < 5 && best < 1; i++) {
        const double once = time_call(candidate, state);
        if (once < best) best = once;
        if (once > 0.1) break;
    }
    return best;
}

static bench_timing *append(bench_case *this_case, const bench_candidate *candidate, int kind,
                            const bench_problem *problem) {
    bench_entry *entry = &this_case->entries[this_case->count];
    bench_timing *timing = &this_case->timings[this_case->count++];
    memset(timing, 0, sizeof *timing);
    entry->candidate = candidate, entry->kind = kind, entry->problem = *problem;
    entry->problem.weights_unit = bench_weights_unit(candidate->weights);
    timing->name = candidate->name, timing->run = candidate->run, timing->wait = candidate->wait;
    timing->threads = problem->threads;
    return timing;
}

static void withdraw(bench_case *this_case) {
    this_case->count--;
    this_case->entries[this_case->count].candidate->release(this_case->timings[this_case->count].state);
}

void bench_case_add(bench_case *this_case, const bench_candidate *candidate, int kind,
                    const bench_problem *problem, double seconds) {
    char why[BENCH_WHY] = "";
    if (this_case->count == BENCH_ENTRIES) return;
    bench_timing *timing = append(this_case, candidate, kind, problem);
    const bench_problem *own = &this_case->entries[this_case->count - 1].problem;
    timing->state = candidate->prepare(candidate, own, why);
    if (!timing->state) {
        this_case->count--;
        report_exclusion(candidate, problem, why);
        return;
    }
    bench_problem_clear_outputs(problem);
    const double first = time_call(candidate, timing->state);
    if (candidate->collect) candidate->collect(timing->state);
    if (!bench_problem_check(own, why, sizeof why)) {
        (void)fprintf(stderr, "gru_bench: WRONG: %s in %s, %s: %s\n", candidate->name, problem->shape.name,
                      bench_stage_names[problem->stage], why);
        this_case->wrong++;
        withdraw(this_case);
        return;
    }
    if (kind == BENCH_ENGINE && candidate->device == BENCH_CPU && !this_case->packed_bytes)
        this_case->packed_bytes = bench_engines_packed_bytes(timing->state);
    if (isinf(seconds)) return;
    timing->once = time_once(candidate, timing->state, first);
    if (bench_measure_too_slow(timing, seconds)) {
        (void)snprintf(why, sizeof why, "one run takes %.3g s; more --seconds would let it in", timing->once);
        report_exclusion(candidate, problem, why);
        withdraw(this_case);
    }
}

int bench_case_measure_read(bench_case *this_case, const bench_problem *problem, int cold, double seconds) {
    const bench_shape shape = problem->shape;
    int processors = 0;
    for (int i = 0; i < this_case->count; i++)
        processors += this_case->entries[i].candidate->device == BENCH_CPU;
    if (!processors) return 1;
    if (!this_case->packed_bytes)
        this_case->packed_bytes =
            (size_t)(3 * shape.H * (shape.I + shape.H)) * bench_type_bytes(bench_type_wide(problem->type));
    const double recurrent = (double)shape.H / (double)(shape.I + shape.H);
    const int whole = (shape.T == 1 || cold) && problem->stage != BENCH_RECURRENCE;
    this_case->read_bytes =
        whole ? this_case->packed_bytes : (size_t)((double)this_case->packed_bytes * recurrent);
    this_case->reads = cold ? 1 : problem->stage == BENCH_BOTH ? 2 * shape.T : shape.T;
    this_case->read_seconds = bench_ceiling_read(this_case->read_bytes, problem->threads, cold, seconds);
    return this_case->read_seconds > 0;
}

void bench_case_clear(bench_case *this_case) {
    while (this_case->count) withdraw(this_case);
    memset(this_case, 0, sizeof *this_case);
}

double bench_case_floor(const bench_case *this_case, const bench_problem *problem, double peak) {
    const bench_shape shape = problem->shape;
    const double numbers =
        problem->type == BENCH_F64 ? 2 : 1; /* f32 that a vector holds in the place of one */
    const double seconds = bench_problem_flops(problem) * numbers / peak;
    const double share =
        problem->stage == BENCH_RECURRENCE ? 0 : (double)shape.I / (double)(shape.I + shape.H);
    const double input = share * seconds, recurrent = seconds - input;
    if (this_case->read_bytes == this_case->packed_bytes)
        return fmax(input + recurrent, this_case->read_seconds);
    const double others =
        (double)(this_case->packed_bytes - this_case->read_bytes) / (double)this_case->read_bytes;
    const double input_read = problem->stage == BENCH_RECURRENCE ? 0 : others * this_case->read_seconds;
    return fmax(input, input_read) + fmax(recurrent, (double)this_case->reads * this_case->read_seconds);
}
