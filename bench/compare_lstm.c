/* compare_lstm.c: the table of GRU and LSTM.  SPDX-License-Identifier: Apache-2.0 */
#include "compare_lstm.h"

#include "host_info.h"
#include "bench_stream.h"

static const char *const layers[] = {"GRU", "LSTM"};

/* The candidate of a GRU has two biases, one before the reset gate and one after it. */
int64_t bench_compare_lstm_parameters(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    const int64_t gates = bench_problem_gates(problem);
    return gates * shape.H * (shape.I + shape.H + 1) + (problem->layer == BENCH_GRU ? shape.H : 0);
}

void bench_compare_lstm_legend(void) {
    (void)printf("GRU (reset AFTER) and LSTM of as many units, forward, warm caches, medians of "
                 "interleaved samples.\n"
                 "Parameters: weights and biases. x LSTM: how many times as fast as the fastest LSTM of that "
                 "device.\n"
                 "~: half of its samples or more were disturbed by other programs.\n");
}

/* Seconds of the fastest LSTM on a device; 0: none. */
static double best_lstm(const bench_case *this_case, int device) {
    double best = 0;
    for (int i = 0; i < this_case->count; i++) {
        const bench_entry *entry = &this_case->entries[i];
        const double median = this_case->timings[i].median;
        if (entry->problem.layer == BENCH_LSTM && entry->candidate->device == device &&
            (best == 0 || median < best))
            best = median;
    }
    return best;
}

static void print_head(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    (void)printf("\nT%lld N%lld I%lld H%lld, %s, %d thread%s\n", (long long)shape.T, (long long)shape.N,
                 (long long)shape.I, (long long)shape.H, bench_type_names[problem->type], problem->threads,
                 problem->threads > 1 ? "s" : "");
    (void)printf("  %-5s %-22s %6s %11s %12s %10s  %8s\n", "layer", "computed by", "gates", "parameters",
                 "MFLOP/step", "us/step", "x LSTM");
}

static void print_row(const bench_entry *entry, const bench_timing *times, double lstm) {
    const bench_problem *problem = &entry->problem;
    const double T = (double)problem->shape.T;
    (void)printf("  %-5s %-22s %6d %11lld %12.4g %10.4g%c ", layers[problem->layer], times->name,
                 (int)bench_problem_gates(problem), (long long)bench_compare_lstm_parameters(problem),
                 bench_problem_flops(problem) / T * 1e-6, times->median / T * 1e6,
                 2 * times->disturbed >= times->count ? '~' : ' ');
    if (lstm > 0)
        (void)printf("%8.2f\n", lstm / times->median);
    else
        (void)printf("%8s\n", "-");
}

static void write_json(FILE *json, const bench_entry *entry, const bench_timing *times, double lstm) {
    const bench_problem *problem = &entry->problem;
    const bench_shape shape = problem->shape;
    const int gpu = entry->candidate->device == BENCH_GPU;
    (void)fprintf(
        json,
        "{\"kind\": \"comparison\", \"name\": \"%s\", \"layer\": \"%s\", \"shape\": \"%s\", \"T\": %lld, "
        "\"N\": %lld, \"I\": %lld, \"H\": %lld, \"threads\": %d, \"type\": \"%s\", \"gates\": %d, "
        "\"parameters\": %lld, \"flops_per_step\": %.6g, \"us_per_step\": %.6g, ",
        times->name, layers[problem->layer], shape.name, (long long)shape.T, (long long)shape.N,
        (long long)shape.I, (long long)shape.H, problem->threads, bench_type_names[problem->type],
        (int)bench_problem_gates(problem), (long long)bench_compare_lstm_parameters(problem),
        bench_problem_flops(problem) / (double)shape.T, times->median / (double)shape.T * 1e6);
    if (lstm > 0) (void)fprintf(json, "\"x_lstm\": %.4g, ", lstm / times->median);
    (void)fprintf(
        json,
        "\"samples\": %d, \"disturbed\": %d, \"hardware\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\", "
        "\"date\": \"%s\"}\n",
        times->count, times->disturbed, gpu ? bench_device() : bench_host_processor(), bench_host_version(),
        bench_host_commit(), bench_host_date());
    (void)fflush(json);
}

int bench_compare_lstm_report(const bench_case *this_case, FILE *json) {
    for (int i = 0; i < this_case->count; i++) {
        const bench_entry *entry = &this_case->entries[i];
        const double lstm = best_lstm(this_case, entry->candidate->device);
        if (i == 0) print_head(&entry->problem);
        print_row(entry, &this_case->timings[i], lstm);
        if (json) write_json(json, entry, &this_case->timings[i], lstm);
    }
    (void)fflush(stdout);
    return this_case->count;
}
