/* compare_threads.c: one table of two kinds of cells.  SPDX-License-Identifier: Apache-2.0 */
#include "compare_threads.h"

#include "host_info.h"
#include "bench_stream.h"

static const char *const cells[] = {"GRU", "LSTM"};

/* A GRU's candidate has two biases, as the reset gate stands between them. */
int64_t bench_parameters(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    const int64_t gates = bench_gates(problem);
    return gates * s.H * (s.I + s.H + 1) + (problem->cell == BENCH_GRU ? s.H : 0);
}

void bench_compare_legend(void) {
    (void)printf("GRU (reset AFTER) and LSTM of as many units, forward, warm caches, medians of samples "
                 "taken in turns.\n"
                 "Parameters: weights and biases. x LSTM: how many times as fast as the fastest LSTM of that "
                 "machine.\n"
                 "~: half of its samples or more were disturbed by other programs.\n");
}

/* Seconds of the fastest LSTM on a machine; 0: none. */
static double best_lstm(const bench_cell *cell, int device) {
    double best = 0;
    for (int i = 0; i < cell->count; i++) {
        const bench_entry *e = &cell->entries[i];
        const double median = cell->contestants[i].median;
        if (e->problem.cell == BENCH_LSTM && e->who->device == device && (best == 0 || median < best))
            best = median;
    }
    return best;
}

static void print_head(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    (void)printf("\nT%lld N%lld I%lld H%lld, %s, %d thread%s\n", (long long)s.T, (long long)s.N,
                 (long long)s.I, (long long)s.H, bench_type_names[problem->type], problem->threads,
                 problem->threads > 1 ? "s" : "");
    (void)printf("  %-5s %-22s %6s %11s %12s %10s  %8s\n", "cell", "computed by", "gates", "parameters",
                 "MFLOP/step", "us/step", "x LSTM");
}

static void print_row(const bench_entry *entry, const bench_contestant *times, double lstm) {
    const bench_problem *p = &entry->problem;
    const double T = (double)p->shape.T;
    (void)printf("  %-5s %-22s %6d %11lld %12.4g %10.4g%c ", cells[p->cell], times->name, (int)bench_gates(p),
                 (long long)bench_parameters(p), bench_problem_flops(p) / T * 1e-6, times->median / T * 1e6,
                 2 * times->disturbed >= times->count ? '~' : ' ');
    if (lstm > 0)
        (void)printf("%8.2f\n", lstm / times->median);
    else
        (void)printf("%8s\n", "-");
}

static void write_json(FILE *json, const bench_entry *entry, const bench_contestant *times, double lstm) {
    const bench_problem *p = &entry->problem;
    const bench_shape s = p->shape;
    const int gpu = entry->who->device == BENCH_GPU;
    (void)fprintf(
        json,
        "{\"kind\": \"comparison\", \"name\": \"%s\", \"cell\": \"%s\", \"shape\": \"%s\", \"T\": %lld, "
        "\"N\": %lld, \"I\": %lld, \"H\": %lld, \"threads\": %d, \"type\": \"%s\", \"gates\": %d, "
        "\"parameters\": %lld, \"flops_per_step\": %.6g, \"us_per_step\": %.6g, ",
        times->name, cells[p->cell], s.name, (long long)s.T, (long long)s.N, (long long)s.I, (long long)s.H,
        p->threads, bench_type_names[p->type], (int)bench_gates(p), (long long)bench_parameters(p),
        bench_problem_flops(p) / (double)s.T, times->median / (double)s.T * 1e6);
    if (lstm > 0) (void)fprintf(json, "\"x_lstm\": %.4g, ", lstm / times->median);
    (void)fprintf(
        json,
        "\"samples\": %d, \"disturbed\": %d, \"machine\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\", "
        "\"date\": \"%s\"}\n",
        times->count, times->disturbed, gpu ? bench_device() : bench_processor(), bench_version(),
        bench_commit(), bench_today());
    (void)fflush(json);
}

int bench_compare_report(const bench_cell *cell, FILE *json) {
    for (int i = 0; i < cell->count; i++) {
        const bench_entry *entry = &cell->entries[i];
        const double lstm = best_lstm(cell, entry->who->device);
        if (i == 0) print_head(&entry->problem);
        print_row(entry, &cell->contestants[i], lstm);
        if (json) write_json(json, entry, &cell->contestants[i], lstm);
    }
    (void)fflush(stdout);
    return cell->count;
}
