/* gru_bench.c: checks engines and peers against the reference, then times them, for each shape, stage and type.
 *
 * With --gpu-probe it measures the GPU itself. Exit status: 0; 1 if a candidate differed from the reference, no candidate
 * could run or --check-threads found something; 2 for a wrong command line. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "break_even.h"
#include "ceilings.h"
#include "check_threads.h"
#include "compare_lstm.h"
#include "compare_ragged.h"
#include "bench_engines.h"
#include "host_info.h"
#include "bench_options.h"
#include "bench_problem_create.h"
#include "bench_report.h"
#include "peer_ratios.h"
#include "bench_stream.h"

static const bench_candidate *const peers[] = {
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
#ifdef BENCH_EIGEN
    &bench_peer_eigen,
#endif
    &bench_peer_plain,
};

enum { PEERS = sizeof peers / sizeof *peers };

typedef struct bench_program {
    bench_options options;
    bench_candidate engines[BENCH_ENGINES];
    int engine_count;
    double peaks[BENCH_THREADS]; /* [options.thread_count] operations a second */
    bench_case current;          /* the case that is prepared or timed */
    FILE *json;
    bench_break_even_pairs pairs;
    bench_peer_ratios ratios;
    bench_thread_check threads; /* of --check-threads */
    int rows, wrong, failed;
} bench_program;

/* A GPU is measured once, in the case with the first number of threads. Its caches are not evicted. */
static int is_eligible(const bench_program *program, const bench_candidate *candidate,
                       const bench_problem *problem) {
    return candidate->device == BENCH_CPU ||
           (problem->threads == program->options.threads[0] && !program->options.cold);
}

static void add_candidates(bench_program *program, const bench_problem *problem) {
    const bench_options *options = &program->options;
    const double seconds = options->check ? INFINITY : options->seconds;
    for (int i = 0; i < program->engine_count; i++)
        if (is_eligible(program, &program->engines[i], problem))
            bench_case_add(&program->current, &program->engines[i], BENCH_ENGINE, problem, seconds);
    for (int i = 0; options->peers && i < PEERS; i++)
        if (is_eligible(program, peers[i], problem) && (peers[i]->has_lstm || !options->compare_lstm))
            bench_case_add(&program->current, peers[i], BENCH_PEER, problem, seconds);
    program->wrong += program->current.wrong;
}

static void begin_pair(bench_program *program, const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    if (program->pairs.count < BENCH_BREAK_EVEN_PAIRS)
        program->pairs.list[program->pairs.count++] =
            (bench_break_even_pair){problem->stage, problem->type, shape.T == 1, shape.N, shape.H, 0, 0};
}

/* The fastest engine of each device, with any number of threads. */
static void note_pair(bench_program *program) {
    bench_break_even_pair *pair = &program->pairs.list[program->pairs.count - 1];
    for (int i = 0; i < program->current.count; i++) {
        const double median = program->current.timings[i].median;
        if (program->current.entries[i].kind != BENCH_ENGINE) continue;
        double *best = program->current.entries[i].candidate->device == BENCH_GPU ? &pair->gpu : &pair->cpu;
        if (*best == 0 || median < *best) *best = median;
    }
}

static void report_checked(bench_program *program, const bench_problem *problem) {
    const bench_shape shape = problem->shape;
    program->rows += program->current.count;
    (void)printf("T%lld N%lld I%lld H%lld, %s, %s, agree:", (long long)shape.T, (long long)shape.N,
                 (long long)shape.I, (long long)shape.H, bench_stage_names[problem->stage],
                 bench_type_names[problem->type]);
    for (int i = 0; i < program->current.count; i++)
        (void)printf("%s %s", i ? "," : "", program->current.timings[i].name);
    (void)printf("\n");
    (void)fflush(stdout);
}

static void time_case(bench_program *program, const bench_problem *problem, double peak) {
    const bench_options *options = &program->options;
    bench_case *this_case = &program->current;
    add_candidates(program, problem);
    if (options->check) {
        report_checked(program, problem);
    } else if (this_case->count) {
        if (bench_measure(this_case->timings, this_case->count, options->seconds, options->cold) &&
            bench_case_measure_read(this_case, problem, options->cold,
                                    options->seconds / (this_case->count + 1))) {
            program->rows += bench_report_case(this_case, peak, options->cold, program->json);
            note_pair(program);
            bench_peer_ratios_add(&program->ratios, this_case);
        } else {
            (void)fprintf(stderr, "gru_bench: no memory for %s\n", problem->shape.name);
            program->failed = 1;
        }
    }
    bench_case_clear(this_case);
}

static void check_threads(bench_program *program, const bench_problem *problem) {
    for (int i = 0; i < program->engine_count; i++) {
        if (program->engines[i].device == BENCH_GPU) continue;
        bench_check_threads(&program->current, &program->engines[i], problem, program->options.seconds,
                            &program->threads);
        program->wrong += program->current.wrong;
        bench_case_clear(&program->current);
    }
}

static void bench_one(bench_program *program, const bench_shape *shape, int stage, int type) {
    bench_problem *problem = bench_problem_create(shape, stage, program->options.reset_mode, type);
    if (!problem) {
        program->failed = 1;
        return;
    }
    begin_pair(program, problem);
    for (int t = 0; t < program->options.thread_count && !program->options.check_threads; t++) {
        problem->threads = program->options.threads[t];
        time_case(program, problem, program->peaks[t]);
    }
    if (program->options.check_threads) check_threads(program, problem);
    bench_problem_release(problem);
}

static void compare_layers(bench_program *program, bench_problem *gru, bench_problem *lstm) {
    const bench_options *options = &program->options;
    for (int t = 0; t < options->thread_count; t++) {
        gru->threads = lstm->threads = options->threads[t];
        add_candidates(program, gru);
        add_candidates(program, lstm);
        if (bench_measure(program->current.timings, program->current.count, options->seconds, 0))
            program->rows += bench_compare_lstm_report(&program->current, program->json);
        else
            program->failed = 1;
        bench_case_clear(&program->current);
    }
}

static void compare_lstm(bench_program *program, const bench_shape *shape, int type) {
    bench_problem *gru = bench_problem_create(shape, BENCH_FORWARD, GRU_RESET_AFTER, type);
    bench_problem *lstm = bench_problem_create_lstm(shape, type);
    if (gru && lstm)
        compare_layers(program, gru, lstm);
    else
        program->failed = 1;
    bench_problem_release(gru), bench_problem_release(lstm);
}

static void compare_lstm_all(bench_program *program) {
    const bench_options *options = &program->options;
    for (int k = 0; k < options->shape_count; k++)
        for (int y = 0; y < options->type_count; y++)
            compare_lstm(program, &options->shapes[k], options->types[y]);
}

static void compare_ragged(bench_program *program, const bench_problem *problem) {
    const int wrong = bench_compare_ragged(problem, program->options.seconds);
    if (wrong < 0)
        program->failed = 1;
    else
        program->rows++, program->wrong += wrong;
}

static void compare_ragged_all(bench_program *program) {
    const bench_options *options = &program->options;
    bench_compare_ragged_legend();
    for (int k = 0; k < options->shape_count; k++)
        for (int g = 0; g < options->stage_count; g++) {
            bench_problem *problem =
                bench_problem_create(&options->shapes[k], options->stages[g], options->reset_mode, BENCH_F32);
            if (!problem) program->failed = 1;
            for (int t = 0; problem && t < options->thread_count; t++) {
                problem->threads = options->threads[t];
                compare_ragged(program, problem);
            }
            bench_problem_release(problem);
        }
}

static void bench_all(bench_program *program) {
    const bench_options *options = &program->options;
    for (int k = 0; k < options->shape_count; k++)
        for (int g = 0; g < options->stage_count; g++)
            for (int y = 0; y < options->type_count; y++)
                bench_one(program, &options->shapes[k], options->stages[g], options->types[y]);
}

static int finish(const bench_program *program) {
    const bench_thread_check *threads = &program->threads;
    if (program->options.check_threads)
        (void)printf("%d of %d comparisons are below 0.95; %d of %d with steps above 20 us are below 1.6\n",
                     threads->slower, threads->rows, threads->low, threads->long_steps);
    if (program->wrong)
        (void)fprintf(stderr, "gru_bench: %d candidates differ from the reference\n", program->wrong);
    const int rows = program->rows + threads->rows;
    if (!rows) (void)fprintf(stderr, "gru_bench: no candidate could run\n");
    return program->wrong || program->failed || threads->slower || !rows;
}

static int open_json(bench_program *program) {
    if (!program->options.json) return 1;
    program->json = fopen(program->options.json, "a");
    if (!program->json) perror(program->options.json);
    return program->json != NULL;
}

static int measure_peaks(bench_program *program) {
    for (int t = 0; t < program->options.thread_count; t++) {
        program->peaks[t] = bench_ceiling_peak(program->options.threads[t]);
        if (!(program->peaks[t] > 0)) return 0;
    }
    bench_report_head(program->peaks[0], program->options.threads[0]);
    if (program->options.compare_lstm)
        bench_compare_lstm_legend();
    else if (!program->options.check_threads && !program->options.compare_ragged)
        bench_report_legend(program->options.cold);
    return 1;
}

/* Status of the program. */
static int probe_gpu(const bench_program *program) {
#ifdef BENCH_GPU_PROBE
    if (!*bench_device()) {
        (void)fprintf(stderr, "gru_bench: --gpu-probe needs a CUDA device, and there is none\n");
        return 1;
    }
    (void)printf("%s\n", bench_device());
    const int wrong = bench_gpu_probe(bench_report_gpu_line, program->json, program->options.check);
    if (wrong) (void)fprintf(stderr, "gru_bench: %d measurements went wrong\n", wrong);
    return wrong != 0;
#else
    (void)program;
    (void)fprintf(stderr, "gru_bench: --gpu-probe needs a benchmark built with nvcc\n");
    return 1;
#endif
}

static int measure_engines(bench_program *program) {
    int gpu_rows = 0;
    for (int i = 0; i < program->engine_count; i++) gpu_rows += program->engines[i].device == BENCH_GPU;
    if (gpu_rows && !*bench_device())
        (void)fprintf(stderr, "gru_bench: there is no CUDA device, so no row of a CUDA engine\n");
    if (!measure_peaks(program)) return 1;
    if (program->options.compare_lstm)
        compare_lstm_all(program);
    else if (program->options.compare_ragged)
        compare_ragged_all(program);
    else
        bench_all(program);
    bench_break_even_print(&program->pairs, stdout);
    bench_peer_ratios_print(&program->ratios, stdout);
    return finish(program);
}

int main(int argc, char **argv) {
    bench_program *program = calloc(1, sizeof *program);
    if (!program) return 1;
    const int parsed = bench_options_parse(argc, argv, &program->options);
    if (parsed == 1)
        program->engine_count = bench_engines_find(program->options.engines, program->options.weights,
                                                   program->options.weights_count, program->engines);
    if (parsed != 1 || program->engine_count < 0) {
        free(program);
        return parsed == 0 ? 0 : 2;
    }
    int status = 1;
    if (open_json(program))
        status = program->options.gpu_probe ? probe_gpu(program) : measure_engines(program);
    if (program->json) (void)fclose(program->json);
    free(program);
    return status;
}
