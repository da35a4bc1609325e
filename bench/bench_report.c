/* bench_report.c: turns seconds into the numbers by which engines are compared.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_report.h"

#include <gru/gru.h>

#include "ceilings.h"
#include "host_info.h"
#include "bench_stream.h"

typedef struct report_row {
    const bench_entry *entry;
    const bench_timing *times;
    double step_us, gflops, peak_share, floor, best_peer; /* floor and best_peer in seconds, 0: none */
} report_row;

void bench_report_head(double peak, int peak_threads) {
    (void)printf("gru %s%s%s, %s, %s\n%s; %s, %.1f GFLOP/s on %d thread%s\n", bench_host_version(),
                 *bench_host_commit() ? " at " : "", bench_host_commit(), bench_host_compiler(),
                 bench_host_date(), bench_host_processor(), bench_ceiling_vectors(), peak * 1e-9,
                 peak_threads, peak_threads > 1 ? "s" : "");
    if (*bench_device()) (void)printf("%s\n", bench_device());
}

void bench_report_legend(int cold) {
    (void)printf(
        "%s caches. Times of one call. %%peak: share of the peak rate of multiply-adds. x floor: time "
        "divided\n"
        "by the floor, the longer of multiplying at the peak rate and reading the weights. Peak and reading\n"
        "are the best of many attempts. x peer: speed divided by that of the fastest other library.\n"
        "*: T was cut. ~: other programs disturbed half of the samples or more. Rows of a GPU: calls\n"
        "enqueued one after the other with one wait at the end; %%peak and x floor are for the CPU alone.\n",
        cold ? "Cold" : "Warm");
}

static double best_peer(const bench_case *this_case, int device) {
    double best = 0;
    for (int i = 0; i < this_case->count; i++)
        if (this_case->entries[i].kind == BENCH_PEER && this_case->entries[i].candidate->device == device &&
            (best == 0 || this_case->timings[i].median < best))
            best = this_case->timings[i].median;
    return best;
}

static report_row make_row(const bench_case *this_case, int index, double peak) {
    const bench_entry *entry = &this_case->entries[index];
    const bench_timing *times = &this_case->timings[index];
    report_row row = {.entry = entry, .times = times};
    row.step_us = times->median * 1e6 / (double)entry->problem.shape.T;
    row.gflops = bench_problem_flops(&entry->problem) / times->median * 1e-9;
    row.best_peer = best_peer(this_case, entry->candidate->device);
    if (entry->candidate->device == BENCH_GPU) return row;
    row.peak_share = row.gflops * 1e9 / peak;
    row.floor = bench_case_floor(this_case, &entry->problem, peak);
    return row;
}

/* Four digits of a time that may be 50 ns or two seconds. */
static void print_time(double seconds) {
    const double us = seconds * 1e6;
    (void)printf(" %10.*f", us < 10 ? 3 : us < 100 ? 2 : us < 1000 ? 1 : 0, us);
}

/* ~: half of its samples or more were taken while other programs used the processors. */
static void print_times(const bench_timing *times) {
    (void)printf("  %-26s", times->name);
    print_time(times->median);
    (void)printf("%c", 2 * times->disturbed >= times->count ? '~' : ' ');
    print_time(times->minimum);
}

static const char *note_of(const report_row *row) {
    return row->entry->candidate->note ? row->entry->candidate->note(row->times->state) : NULL;
}

static void print_row(const report_row *row) {
    print_times(row->times);
    print_time(row->step_us * 1e-6);
    (void)printf(" %9.2f", row->gflops);
    if (row->floor > 0)
        (void)printf(" %6.1f %8.2f", 100 * row->peak_share, row->times->median / row->floor);
    else
        (void)printf(" %6s %8s", "-", "-");
    if (row->best_peer > 0)
        (void)printf(" %8.2f", row->best_peer / row->times->median);
    else
        (void)printf(" %8s", "-");
    const char *note = note_of(row);
    (void)printf("%s%s\n", note ? "  " : "", note ? note : "");
}

static void print_reading(const bench_case *this_case) {
    (void)printf("  %-26s %10s ", "(weights read)", "");
    print_time(this_case->read_seconds);
    (void)printf("   %.1f KiB at %.1f GB/s\n", (double)this_case->read_bytes / 1024,
                 (double)this_case->read_bytes / this_case->read_seconds * 1e-9);
}

static void print_case_head(const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    (void)printf("\n%s: T%lld%s N%lld I%lld H%lld, %s, %s, %d thread%s\n", shape.name, (long long)shape.T,
                 shape.T < shape.whole_T ? "*" : "", (long long)shape.N, (long long)shape.I,
                 (long long)shape.H, bench_stage_names[problem->stage], bench_type_names[problem->type],
                 problem->threads, problem->threads > 1 ? "s" : "");
    (void)printf("  %-26s %10s  %10s %10s %9s %6s %8s %8s\n", "engine", "median us", "min us", "us/step",
                 "GFLOP/s", "%peak", "x floor", "x peer");
}

static void write_json(FILE *json, const report_row *row, int cold) {
    static const char *const kinds[] = {"engine", "peer"};
    static const char *const resets[] = {"after", "before", "all"};
    const bench_problem *problem = &row->entry->problem;
    const bench_shape shape = problem->shape;
    const int gpu = row->entry->candidate->device == BENCH_GPU;
    (void)fprintf(
        json,
        "{\"name\": \"%s\", \"kind\": \"%s\", \"shape\": \"%s\", \"T\": %lld, \"whole_T\": %lld, \"N\": "
        "%lld, \"I\": %lld, \"H\": %lld, \"threads\": %d, \"stage\": \"%s\", \"reset\": \"%s\", "
        "\"type\": \"%s\", \"cold\": %s, ",
        row->times->name, kinds[row->entry->kind], shape.name, (long long)shape.T, (long long)shape.whole_T,
        (long long)shape.N, (long long)shape.I, (long long)shape.H, problem->threads,
        bench_stage_names[problem->stage], resets[problem->reset_mode], bench_type_names[problem->type],
        cold ? "true" : "false");
    (void)fprintf(json, "\"samples\": %d, \"disturbed\": %d, \"median_us\": %.6g, \"min_us\": %.6g, ",
                  row->times->count, row->times->disturbed, row->times->median * 1e6,
                  row->times->minimum * 1e6);
    if (row->entry->candidate->engine)
        (void)fprintf(json, "\"engine\": \"%s\", ", row->entry->candidate->engine);
    if (row->entry->candidate->weights)
        (void)fprintf(json, "\"weights\": \"%s\", ", bench_weights_names[row->entry->candidate->weights]);
    if (note_of(row)) (void)fprintf(json, "\"note\": \"%s\", ", note_of(row));
    (void)fprintf(json, "\"us_per_step\": %.6g, \"gflops\": %.6g, ", row->step_us, row->gflops);
    if (row->floor > 0)
        (void)fprintf(json, "\"peak_share\": %.4g, \"floor_us\": %.6g, \"x_floor\": %.4g, ", row->peak_share,
                      row->floor * 1e6, row->times->median / row->floor);
    if (row->best_peer > 0)
        (void)fprintf(json, "\"x_best_peer\": %.4g, ", row->best_peer / row->times->median);
    (void)fprintf(json,
                  "\"device\": \"%s\", \"hardware\": \"%s\", \"compiler\": \"%s\", \"version\": \"%s\", "
                  "\"commit\": \"%s\", "
                  "\"date\": \"%s\"}\n",
                  gpu ? "gpu" : "cpu", gpu ? bench_device() : bench_host_processor(), bench_host_compiler(),
                  bench_host_version(), bench_host_commit(), bench_host_date());
    (void)fflush(json);
}

int bench_report_case(const bench_case *this_case, double peak, int cold, FILE *json) {
    for (int i = 0; i < this_case->count; i++) {
        const report_row row = make_row(this_case, i, peak);
        if (i == 0) print_case_head(&row.entry->problem);
        print_row(&row);
        if (json) write_json(json, &row, cold);
    }
    if (this_case->count && this_case->read_seconds > 0) print_reading(this_case);
    (void)fflush(stdout);
    return this_case->count;
}

void bench_report_gpu_line(void *opaque, const bench_probe_line *line) {
    FILE *json = opaque;
    if (line->wrong)
        (void)printf("%-40s %-56s WRONG: %s\n", line->what, line->variant, line->wrong);
    else
        (void)printf("%-40s %-56s %12.4g %s\n", line->what, line->variant, line->value, line->unit);
    (void)fflush(stdout);
    if (!json) return;
    (void)fprintf(json, "{\"kind\": \"gpu_probe\", \"what\": \"%s\", \"variant\": \"%s\", ", line->what,
                  line->variant);
    if (line->wrong)
        (void)fprintf(json, "\"wrong\": \"%s\", ", line->wrong);
    else
        (void)fprintf(json, "\"value\": %.6g, \"unit\": \"%s\", \"samples\": %d, ", line->value, line->unit,
                      line->samples);
    (void)fprintf(json, "\"hardware\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\", \"date\": \"%s\"}\n",
                  bench_device(), bench_host_version(), bench_host_commit(), bench_host_date());
    (void)fflush(json);
}
