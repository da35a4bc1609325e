/* gru_bench.c: engines x shapes x stages, each checked against the reference and then timed beside its rivals.
 *
 * With --machine the GPU itself instead. Exit status: 0; 1 if a contestant differed from the reference, nobody took
 * part or --check-threads found something; 2 for a wrong command line. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "break_even.h"
#include "ceilings.h"
#include "compare_threads.h"
#include "candidate.h"
#include "host_info.h"
#include "bench_options.h"
#include "bench_report.h"
#include "bench_stream.h"

static const peer *const peers[] = {
#ifdef BENCH_CUDNN
    &bench_peers_cudnn[0], &bench_peers_cudnn[1],   &bench_peers_cudnn[2], &bench_peers_cudnn[3],
    &bench_peers_cudnn[4], &bench_peers_cudnn[5],   &bench_peers_cudnn[6], &bench_peers_cudnn[7],
#endif
#ifdef BENCH_ONEDNN
    &bench_peer_onednn,    &bench_peer_onednn_lstm,
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
    bench_duels duels;
    int rows, wrong, failed, slower;
} bench;

/* Rows of a GPU stand in the cell of the first number of threads, which is not theirs. Its caches are not emptied. */
static int takes_part(const bench *b, const peer *who, const bench_problem *problem) {
    return who->device == BENCH_CPU || (problem->threads == b->options.threads[0] && !b->options.cold);
}

static void add_contestants(bench *b, const bench_problem *problem) {
    const bench_options *options = &b->options;
    const double seconds = options->check ? INFINITY : options->seconds;
    for (int i = 0; i < b->engine_count; i++)
        if (takes_part(b, &b->engines[i], problem))
            bench_cell_add(&b->cell, &b->engines[i], BENCH_ENGINE, problem, seconds);
    for (int i = 0; options->peers && i < PEERS; i++)
        if (takes_part(b, peers[i], problem) && (peers[i]->has_lstm || !options->compare_lstm))
            bench_cell_add(&b->cell, peers[i], BENCH_PEER, problem, seconds);
    b->wrong += b->cell.wrong;
}

static void begin_duel(bench *b, const bench_problem *problem) {
    const bench_shape s = problem->shape;
    if (b->duels.count < BENCH_DUELS)
        b->duels.list[b->duels.count++] =
            (bench_duel){problem->stage, problem->type, s.T == 1, s.N, s.H, 0, 0};
}

/* The fastest engine of each machine, whatever its threads. */
static void note_duel(bench *b) {
    bench_duel *duel = &b->duels.list[b->duels.count - 1];
    for (int i = 0; i < b->cell.count; i++) {
        const double median = b->cell.contestants[i].median;
        if (b->cell.entries[i].kind != BENCH_ENGINE) continue;
        double *best = b->cell.entries[i].who->device == BENCH_GPU ? &duel->gpu : &duel->cpu;
        if (*best == 0 || median < *best) *best = median;
    }
}

static void report_checked(bench *b, const bench_problem *problem) {
    const bench_shape s = problem->shape;
    b->rows += b->cell.count;
    (void)printf("T%lld N%lld I%lld H%lld, %s, %s, agree:", (long long)s.T, (long long)s.N, (long long)s.I,
                 (long long)s.H, bench_stage_names[problem->stage], bench_type_names[problem->type]);
    for (int i = 0; i < b->cell.count; i++) (void)printf("%s %s", i ? "," : "", b->cell.contestants[i].name);
    (void)printf("\n");
    (void)fflush(stdout);
}

static void time_cell(bench *b, const bench_problem *problem, double peak) {
    const bench_options *options = &b->options;
    bench_cell *cell = &b->cell;
    add_contestants(b, problem);
    if (options->check) {
        report_checked(b, problem);
    } else if (cell->count) {
        if (bench_measure(cell->contestants, cell->count, options->seconds, options->cold) &&
            bench_cell_measure_read(cell, problem, options->cold, options->seconds / (cell->count + 1))) {
            b->rows += bench_report_cell(cell, peak, options->cold, b->json);
            note_duel(b);
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
        /* both rest before a visit, or one would be timed warm and the other after a pause */
        cell->contestants[0].threads = cell->contestants[1].threads;
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
        if (b->engines[i].device == BENCH_GPU) continue;
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

static void bench_one(bench *b, const bench_shape *shape, int stage, int type) {
    bench_problem *problem = bench_problem_create(shape, stage, b->options.reset, type);
    if (!problem) {
        b->failed = 1;
        return;
    }
    begin_duel(b, problem);
    for (int t = 0; t < b->options.thread_count && !b->options.check_threads; t++) {
        problem->threads = b->options.threads[t];
        time_cell(b, problem, b->peaks[t]);
    }
    if (b->options.check_threads) check_threads(b, problem);
    bench_problem_release(problem);
}

static void compare_cells(bench *b, bench_problem *gru, bench_problem *lstm) {
    const bench_options *o = &b->options;
    for (int t = 0; t < o->thread_count; t++) {
        gru->threads = lstm->threads = o->threads[t];
        add_contestants(b, gru);
        add_contestants(b, lstm);
        if (bench_measure(b->cell.contestants, b->cell.count, o->seconds, 0))
            b->rows += bench_compare_report(&b->cell, b->json);
        else
            b->failed = 1;
        bench_cell_clear(&b->cell);
    }
}

static void compare_one(bench *b, const bench_shape *shape, int type) {
    bench_problem *gru = bench_problem_create(shape, BENCH_FORWARD, GRU_RESET_AFTER, type);
    bench_problem *lstm = bench_problem_create_lstm(shape, type);
    if (gru && lstm)
        compare_cells(b, gru, lstm);
    else
        b->failed = 1;
    bench_problem_release(gru), bench_problem_release(lstm);
}

static void compare_every(bench *b) {
    const bench_options *o = &b->options;
    for (int k = 0; k < o->shape_count; k++)
        for (int y = 0; y < o->type_count; y++) compare_one(b, &o->shapes[k], o->types[y]);
}

static void bench_every(bench *b) {
    const bench_options *o = &b->options;
    for (int k = 0; k < o->shape_count; k++)
        for (int g = 0; g < o->stage_count; g++)
            for (int y = 0; y < o->type_count; y++) bench_one(b, &o->shapes[k], o->stages[g], o->types[y]);
}

static int finish(const bench *b) {
    if (b->options.check_threads)
        (void)printf("%d of %d cells are slower than 0.95x with two threads\n", b->slower, b->rows);
    if (b->wrong) (void)fprintf(stderr, "gru_bench: %d contestants differ from the reference\n", b->wrong);
    if (!b->rows) (void)fprintf(stderr, "gru_bench: nobody took part\n");
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
        b->peaks[t] = bench_ceiling_peak(b->options.threads[t]);
        if (!(b->peaks[t] > 0)) return 0;
    }
    bench_report_head(b->peaks[0], b->options.threads[0]);
    if (b->options.compare_lstm)
        bench_compare_legend();
    else if (!b->options.check_threads)
        bench_report_legend(b->options.cold);
    return 1;
}

/* Status of the program. */
static int measure_machine(const bench *b) {
#ifdef BENCH_GPU_PROBE
    if (!*bench_device()) {
        (void)fprintf(stderr, "gru_bench: --machine needs a CUDA device, and there is none\n");
        return 1;
    }
    (void)printf("%s\n", bench_device());
    const int wrong = bench_gpu_probe(bench_report_machine_line, b->json, b->options.check);
    if (wrong) (void)fprintf(stderr, "gru_bench: %d measurements went wrong\n", wrong);
    return wrong != 0;
#else
    (void)b;
    (void)fprintf(stderr, "gru_bench: --machine needs a benchmark built with nvcc\n");
    return 1;
#endif
}

static int measure_engines(bench *b) {
    int gpu_rows = 0;
    for (int i = 0; i < b->engine_count; i++) gpu_rows += b->engines[i].device == BENCH_GPU;
    if (gpu_rows && !*bench_device())
        (void)fprintf(stderr, "gru_bench: there is no CUDA device, so no row of a CUDA engine\n");
    if (!measure_peaks(b)) return 1;
    if (b->options.compare_lstm)
        compare_every(b);
    else
        bench_every(b);
    bench_break_even_print(&b->duels, stdout);
    return finish(b);
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
    if (open_json(b)) status = b->options.machine ? measure_machine(b) : measure_engines(b);
    if (b->json) (void)fclose(b->json);
    free(b);
    return status;
}
