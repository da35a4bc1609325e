/* bench_report.c: turns seconds into the numbers by which engines are compared.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_report.h"

#include <gru/gru.h>

#include "ceilings.h"
#include "host_info.h"
#include "bench_stream.h"

typedef struct row {
    const bench_entry *entry;
    const bench_contestant *times;
    double step_us, gflops, peak_share, floor, best_peer; /* floor and best_peer in seconds, 0: none */
} row;

void bench_report_head(double peak, int peak_threads) {
    (void)printf("gru %s%s%s, %s, %s\n%s; %s, %.1f GFLOP/s on %d thread%s\n", bench_version(),
                 *bench_commit() ? " at " : "", bench_commit(), bench_compiler(), bench_today(),
                 bench_processor(), bench_ceiling_vectors(), peak * 1e-9, peak_threads,
                 peak_threads > 1 ? "s" : "");
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

static double best_peer(const bench_cell *cell, int device) {
    double best = 0;
    for (int i = 0; i < cell->count; i++)
        if (cell->entries[i].kind == BENCH_PEER && cell->entries[i].who->device == device &&
            (best == 0 || cell->contestants[i].median < best))
            best = cell->contestants[i].median;
    return best;
}

static row make_row(const bench_cell *cell, int index, double peak) {
    const bench_entry *entry = &cell->entries[index];
    const bench_contestant *times = &cell->contestants[index];
    row r = {.entry = entry, .times = times};
    r.step_us = times->median * 1e6 / (double)entry->problem.shape.T;
    r.gflops = bench_problem_flops(&entry->problem) / times->median * 1e-9;
    r.best_peer = best_peer(cell, entry->who->device);
    if (entry->who->device == BENCH_GPU) return r;
    r.peak_share = r.gflops * 1e9 / peak;
    r.floor = bench_cell_floor(cell, &entry->problem, peak);
    return r;
}

/* Four digits of a time that may be 50 ns or two seconds. */
static void print_time(double seconds) {
    const double us = seconds * 1e6;
    (void)printf(" %10.*f", us < 10 ? 3 : us < 100 ? 2 : us < 1000 ? 1 : 0, us);
}

/* ~: half of its samples or more were taken while other programs used the processors. */
static void print_times(const bench_contestant *times) {
    (void)printf("  %-26s", times->name);
    print_time(times->median);
    (void)printf("%c", 2 * times->disturbed >= times->count ? '~' : ' ');
    print_time(times->minimum);
}

static const char *note_of(const row *r) {
    return r->entry->who->note ? r->entry->who->note(r->times->state) : NULL;
}

static void print_row(const row *r) {
    print_times(r->times);
    print_time(r->step_us * 1e-6);
    (void)printf(" %9.2f", r->gflops);
    if (r->floor > 0)
        (void)printf(" %6.1f %8.2f", 100 * r->peak_share, r->times->median / r->floor);
    else
        (void)printf(" %6s %8s", "-", "-");
    if (r->best_peer > 0)
        (void)printf(" %8.2f", r->best_peer / r->times->median);
    else
        (void)printf(" %8s", "-");
    const char *note = note_of(r);
    (void)printf("%s%s\n", note ? "  " : "", note ? note : "");
}

static void print_reading(const bench_cell *cell) {
    (void)printf("  %-26s %10s ", "(weights read)", "");
    print_time(cell->read_seconds);
    (void)printf("   %.1f KiB at %.1f GB/s\n", (double)cell->read_bytes / 1024,
                 (double)cell->read_bytes / cell->read_seconds * 1e-9);
}

static void print_cell_head(const bench_problem *problem) {
    const bench_shape s = problem->shape;
    (void)printf("\n%s: T%lld%s N%lld I%lld H%lld, %s, %s, %d thread%s\n", s.name, (long long)s.T,
                 s.T < s.whole_T ? "*" : "", (long long)s.N, (long long)s.I, (long long)s.H,
                 bench_stage_names[problem->stage], bench_type_names[problem->type], problem->threads,
                 problem->threads > 1 ? "s" : "");
    (void)printf("  %-26s %10s  %10s %10s %9s %6s %8s %8s\n", "engine", "median us", "min us", "us/step",
                 "GFLOP/s", "%peak", "x floor", "x peer");
}

static void write_json(FILE *json, const row *r, int cold) {
    static const char *const kinds[] = {"engine", "peer"};
    static const char *const resets[] = {"after", "before", "all"};
    const bench_problem *problem = &r->entry->problem;
    const bench_shape s = problem->shape;
    const int gpu = r->entry->who->device == BENCH_GPU;
    (void)fprintf(
        json,
        "{\"name\": \"%s\", \"kind\": \"%s\", \"shape\": \"%s\", \"T\": %lld, \"whole_T\": %lld, \"N\": "
        "%lld, \"I\": %lld, \"H\": %lld, \"threads\": %d, \"stage\": \"%s\", \"reset\": \"%s\", "
        "\"type\": \"%s\", \"cold\": %s, ",
        r->times->name, kinds[r->entry->kind], s.name, (long long)s.T, (long long)s.whole_T, (long long)s.N,
        (long long)s.I, (long long)s.H, problem->threads, bench_stage_names[problem->stage],
        resets[problem->reset], bench_type_names[problem->type], cold ? "true" : "false");
    (void)fprintf(json, "\"samples\": %d, \"disturbed\": %d, \"median_us\": %.6g, \"min_us\": %.6g, ",
                  r->times->count, r->times->disturbed, r->times->median * 1e6, r->times->minimum * 1e6);
    if (r->entry->who->engine) (void)fprintf(json, "\"engine\": \"%s\", ", r->entry->who->engine);
    if (note_of(r)) (void)fprintf(json, "\"note\": \"%s\", ", note_of(r));
    (void)fprintf(json, "\"us_per_step\": %.6g, \"gflops\": %.6g, ", r->step_us, r->gflops);
    if (r->floor > 0)
        (void)fprintf(json, "\"peak_share\": %.4g, \"floor_us\": %.6g, \"x_floor\": %.4g, ", r->peak_share,
                      r->floor * 1e6, r->times->median / r->floor);
    if (r->best_peer > 0) (void)fprintf(json, "\"x_best_peer\": %.4g, ", r->best_peer / r->times->median);
    (void)fprintf(json,
                  "\"device\": \"%s\", \"machine\": \"%s\", \"compiler\": \"%s\", \"version\": \"%s\", "
                  "\"commit\": \"%s\", "
                  "\"date\": \"%s\"}\n",
                  gpu ? "gpu" : "cpu", gpu ? bench_device() : bench_processor(), bench_compiler(),
                  bench_version(), bench_commit(), bench_today());
    (void)fflush(json);
}

int bench_report_cell(const bench_cell *cell, double peak, int cold, FILE *json) {
    for (int i = 0; i < cell->count; i++) {
        const row r = make_row(cell, i, peak);
        if (i == 0) print_cell_head(&r.entry->problem);
        print_row(&r);
        if (json) write_json(json, &r, cold);
    }
    if (cell->count && cell->read_seconds > 0) print_reading(cell);
    (void)fflush(stdout);
    return cell->count;
}

void bench_report_machine_line(void *opaque, const bench_machine_line *line) {
    FILE *json = opaque;
    if (line->wrong)
        (void)printf("%-40s %-56s WRONG: %s\n", line->what, line->variant, line->wrong);
    else
        (void)printf("%-40s %-56s %12.4g %s\n", line->what, line->variant, line->value, line->unit);
    (void)fflush(stdout);
    if (!json) return;
    (void)fprintf(json, "{\"kind\": \"machine\", \"what\": \"%s\", \"variant\": \"%s\", ", line->what,
                  line->variant);
    if (line->wrong)
        (void)fprintf(json, "\"wrong\": \"%s\", ", line->wrong);
    else
        (void)fprintf(json, "\"value\": %.6g, \"unit\": \"%s\", \"samples\": %d, ", line->value, line->unit,
                      line->samples);
    (void)fprintf(json, "\"machine\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\", \"date\": \"%s\"}\n",
                  bench_device(), bench_version(), bench_commit(), bench_today());
    (void)fflush(json);
}
