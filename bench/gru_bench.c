/* gru_bench.c: engines x shapes x stages, each checked against the reference and then timed beside its rivals.
 *
 * Exit status: 0; 1 if a contestant differed from the reference, nothing was measured or --check-threads found
 * something; 2 for a wrong command line. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "ceilings.h"
#include "library.h"
#include "machine.h"
#include "options.h"
#include "report.h"

static const peer *const peers[] = {
#ifdef BENCH_ONEDNN
    &bench_peer_onednn,
#endif
#ifdef BENCH_OPENBLAS
    &bench_peer_openblas,
#endif
    &bench_peer_plain,
};

enum { PEERS = sizeof peers / sizeof *peers };

typedef struct bench {
    bench_options options;
    peer engines[BENCH_ENGINES];
    int engine_count;
    double peaks[BENCH_THREADS]; /* [options.thread_count] operations a second */
    bench_cell cell;
    FILE *json;
    int rows, wrong, failed, slower;
} bench;

static void time_cell(bench *b, const bench_problem *problem, double peak) {
    const bench_options *options = &b->options;
    bench_cell *cell = &b->cell;
    for (int i = 0; i < b->engine_count; i++)
        bench_cell_add(cell, &b->engines[i], BENCH_ENGINE, problem, options->seconds);
    for (int i = 0; options->peers && i < PEERS; i++)
        bench_cell_add(cell, peers[i], BENCH_PEER, problem, options->seconds);
    b->wrong += cell->wrong;
    if (cell->count) {
        if (bench_cell_add_floor(cell, problem, options->cold) &&
            bench_measure(cell->contestants, cell->count, options->seconds, options->cold)) {
            cell->read_seconds = cell->contestants[cell->count - 1].median;
            b->rows += bench_report_cell(cell, peak, options->cold, b->json);
        } else {
            (void)fprintf(stderr, "gru_bench: no memory for %s\n", problem->shape.name);
            b->failed = 1;
        }
    }
    bench_cell_clear(cell);
}

/* One engine with one thread and with two, in five rounds of turns: the median of the rounds' ratios. */
static double compare_threads(bench *b, const peer *engine, const bench_problem *one,
                              const bench_problem *two) {
    enum { ROUNDS = 5 };
    bench_cell *cell = &b->cell;
    double ratios[ROUNDS] = {0}, ratio = 0;
    bench_cell_add(cell, engine, BENCH_ENGINE, one, b->options.seconds / ROUNDS);
    bench_cell_add(cell, engine, BENCH_ENGINE, two, b->options.seconds / ROUNDS);
    b->wrong += cell->wrong;
    if (cell->count == 2) {
        for (int round = 0; round < ROUNDS; round++) {
            if (!bench_measure(cell->contestants, 2, b->options.seconds / ROUNDS, b->options.cold))
                b->failed = 1;
            ratios[round] = cell->contestants[0].median / cell->contestants[1].median;
        }
        ratio = bench_median(ratios, ROUNDS);
    }
    bench_cell_clear(cell);
    return ratio;
}

static void check_threads(bench *b, const bench_problem *problem) {
    bench_problem one = *problem, two = *problem;
    one.threads = 1, two.threads = 2;
    for (int i = 0; i < b->engine_count; i++) {
        const double ratio = compare_threads(b, &b->engines[i], &one, &two);
        if (ratio == 0) continue;
        b->rows++;
        if (ratio >= 0.95) continue;
        b->slower++;
        (void)printf("%-16s %-24s T%lld N%lld I%lld H%lld %s: two threads are %.2fx as fast as one\n",
                     b->engines[i].name, one.shape.name, (long long)one.shape.T, (long long)one.shape.N,
                     (long long)one.shape.I, (long long)one.shape.H, bench_stage_names[one.stage], ratio);
        (void)fflush(stdout);
    }
}

static void bench_shape_and_stage(bench *b, const bench_shape *shape, int stage) {
    bench_problem *problem = bench_problem_create(shape, stage, b->options.reset);
    if (!problem) {
        b->failed = 1;
        return;
    }
    for (int t = 0; t < b->options.thread_count && !b->options.check_threads; t++) {
        problem->threads = b->options.threads[t];
        time_cell(b, problem, b->peaks[t]);
    }
    if (b->options.check_threads) check_threads(b, problem);
    bench_problem_release(problem);
}

static int finish(const bench *b) {
    if (b->options.check_threads)
        (void)printf("%d of %d cells are slower than 0.95x with two threads\n", b->slower, b->rows);
    if (b->wrong) (void)fprintf(stderr, "gru_bench: %d contestants differ from the reference\n", b->wrong);
    if (!b->rows) (void)fprintf(stderr, "gru_bench: nothing was measured\n");
    return b->wrong || b->failed || b->slower || !b->rows;
}

static int open_json(bench *b) {
    if (!b->options.json) return 1;
    b->json = fopen(b->options.json, "a");
    if (!b->json) perror(b->options.json);
    return b->json != NULL;
}

static int measure_peaks(bench *b) {
    for (int t = 0; t < b->options.thread_count; t++) {
        b->peaks[t] = bench_peak(b->options.threads[t]);
        if (!(b->peaks[t] > 0)) return 0;
    }
    bench_report_head(b->peaks[0], b->options.threads[0]);
    if (!b->options.check_threads) bench_report_legend(b->options.cold);
    return 1;
}

int main(int argc, char **argv) {
    bench *b = calloc(1, sizeof *b);
    if (!b) return 1;
    const int parsed = bench_options_parse(argc, argv, &b->options);
    if (parsed == 1) b->engine_count = bench_library_engines(b->options.engines, b->engines);
    if (parsed != 1 || b->engine_count < 0) {
        free(b);
        return parsed == 0 ? 0 : 2;
    }
    int status = 1;
    if (open_json(b) && measure_peaks(b)) {
        for (int k = 0; k < b->options.shape_count; k++)
            for (int g = 0; g < b->options.stage_count; g++)
                bench_shape_and_stage(b, &b->options.shapes[k], b->options.stages[g]);
        status = finish(b);
    }
    if (b->json) (void)fclose(b->json);
    free(b);
    return status;
}
