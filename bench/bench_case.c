/* bench_case.c: lets only those take part who give the right answer.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ceilings.h"
#include "candidate.h"
#include "host_info.h"

static void leave_out(const peer *who, const bench_problem *problem, const char *why) {
    if (!*why) return;
    (void)fprintf(stderr, "  %s left out of %s, %d thread%s: %s\n", who->name, problem->shape.name,
                  problem->threads, problem->threads > 1 ? "s" : "", why);
}

static double time_call(const peer *who, void *state) {
    const double start = bench_now();
    who->run(state);
    if (who->wait) who->wait(state);
    return bench_now() - start;
}

/* Shortest of a few calls after the first, so that its page faults do not count; alone if it is hopeless. */
static double time_once(const peer *who, void *state, double first) {
    double best = first;
    for (int i = 0; i < 5 && best < 1; i++) {
        const double once = time_call(who, state);
        if (once < best) best = once;
        if (once > 0.1) break;
    }
    return best;
}

static bench_contestant *append(bench_cell *cell, const peer *who, int kind, const bench_problem *problem) {
    bench_entry *entry = &cell->entries[cell->count];
    bench_contestant *contestant = &cell->contestants[cell->count++];
    memset(contestant, 0, sizeof *contestant);
    entry->who = who, entry->kind = kind, entry->problem = *problem;
    contestant->name = who->name, contestant->run = who->run, contestant->wait = who->wait;
    contestant->threads = problem->threads;
    return contestant;
}

static void withdraw(bench_cell *cell) {
    cell->count--;
    cell->entries[cell->count].who->release(cell->contestants[cell->count].state);
}

void bench_cell_add(bench_cell *cell, const peer *who, int kind, const bench_problem *problem,
                    double seconds) {
    char why[PEER_WHY] = "";
    if (cell->count == BENCH_ENTRIES) return;
    bench_contestant *contestant = append(cell, who, kind, problem);
    contestant->state = who->prepare(who, &cell->entries[cell->count - 1].problem, why);
    if (!contestant->state) {
        cell->count--;
        leave_out(who, problem, why);
        return;
    }
    bench_problem_forget(problem);
    const double first = time_call(who, contestant->state);
    if (who->collect) who->collect(contestant->state);
    if (!bench_problem_check(problem, why, sizeof why)) {
        (void)fprintf(stderr, "gru_bench: WRONG: %s in %s, %s: %s\n", who->name, problem->shape.name,
                      bench_stage_names[problem->stage], why);
        cell->wrong++;
        withdraw(cell);
        return;
    }
    if (kind == BENCH_ENGINE && who->device == BENCH_CPU && !cell->packed_bytes)
        cell->packed_bytes = bench_library_packed(contestant->state);
    if (isinf(seconds)) return;
    contestant->once = time_once(who, contestant->state, first);
    if (bench_too_slow(contestant, seconds)) {
        (void)snprintf(why, sizeof why, "one run takes %.3g s; more --seconds would let it in",
                       contestant->once);
        leave_out(who, problem, why);
        withdraw(cell);
    }
}

int bench_cell_measure_read(bench_cell *cell, const bench_problem *problem, int cold, double seconds) {
    const bench_shape s = problem->shape;
    int processors = 0;
    for (int i = 0; i < cell->count; i++) processors += cell->entries[i].who->device == BENCH_CPU;
    if (!processors) return 1;
    if (!cell->packed_bytes) cell->packed_bytes = (size_t)(3 * s.H * (s.I + s.H)) * sizeof(float);
    const double recurrent = (double)s.H / (double)(s.I + s.H);
    const int whole = (s.T == 1 || cold) && problem->stage != BENCH_RECURRENCE;
    cell->read_bytes = whole ? cell->packed_bytes : (size_t)((double)cell->packed_bytes * recurrent);
    cell->reads = cold ? 1 : problem->stage == BENCH_BOTH ? 2 * s.T : s.T;
    cell->read_seconds = bench_ceiling_read(cell->read_bytes, problem->threads, cold, seconds);
    return cell->read_seconds > 0;
}

void bench_cell_clear(bench_cell *cell) {
    while (cell->count) withdraw(cell);
    memset(cell, 0, sizeof *cell);
}

double bench_cell_floor(const bench_cell *cell, const bench_problem *problem, double peak) {
    const bench_shape s = problem->shape;
    const double seconds = bench_problem_flops(problem) / peak;
    const double share = problem->stage == BENCH_RECURRENCE ? 0 : (double)s.I / (double)(s.I + s.H);
    const double input = share * seconds, recurrent = seconds - input;
    if (cell->read_bytes == cell->packed_bytes) return fmax(input + recurrent, cell->read_seconds);
    const double others = (double)(cell->packed_bytes - cell->read_bytes) / (double)cell->read_bytes;
    const double input_read = problem->stage == BENCH_RECURRENCE ? 0 : others * cell->read_seconds;
    return fmax(input, input_read) + fmax(recurrent, (double)cell->reads * cell->read_seconds);
}
