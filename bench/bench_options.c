/* bench_options.c: reads the command line.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gru/gru.h>

static const char help[] =
    "gru_bench: times GRU engines, other libraries and the ceilings of this host\n\n"
    "  --engine all|NAME,..   engines of the library; default: all but cpu_reference\n"
    "  --shape SHAPE,..       default, quick, all, grid (48 untuned sizes), names of bench_shapes.def, or\n"
    "                         T100,N8,I512,H512 (in this order). default, quick and grid cut T of the "
    "longest\n"
    "                         shapes: time is linear in T.\n"
    "  --threads 1,2          default: 1 and 2 (quick: 1)\n"
    "  --stage STAGE,..       forward, recurrence (the caller projects the input), streaming (a step of a "
    "stream); for\n"
    "                         training: train (forward), backward, both (weights copied in, forward, "
    "backward)\n"
    "  --type f32,tf32,f16,bf16,f64\n"
    "                         default: f32; tf32: a GPU may round products of f32\n"
    "  --weights f16,bf16,bf16-products,int8\n"
    "                         CPU engines again, with weights in fewer bits; for f32 without training\n"
    "  --reset after|before|all   reset mode\n"
    "  --peers                also the other libraries that were found at build time; ends with the mean "
    "and\n"
    "                         the least ratio of speeds\n"
    "  --cold                 before each sample all caches are evicted\n"
    "  --seconds S            for each shape and number of threads; default: 3 (quick: 0.25)\n"
    "  --json FILE            appends one line for each row\n"
    "  --gpu-probe            measures the GPU itself instead: launches, block exchange, reads, products; "
    "some "
    "minutes\n"
    "  --compare-lstm         instead: gates, parameters, operations and time of a GRU and an LSTM, with "
    "--peers\n"
    "  --compare-ragged       instead: sequences of 1 to T steps beside T steps of all, on CPUs\n"
    "  --check                compares every candidate with the reference and times nothing\n"
    "  --check-threads        compares two threads with one: call after call, with pauses, beside a busy\n"
    "                         process, after OpenMP regions; medians of five rounds; prints ratios below "
    "0.95\n\n"
    "Engines of a GPU have two rows: calls enqueued in a stream, and replays of a graph.\n"
    "Every candidate is compared with the reference engine in double precision before it is timed. A "
    "candidate\n"
    "that differs is not timed, and the program fails.\n";

/* Threads and seconds as for quick. Ten steps: short calls are often undisturbed even on a busy host. */
static const char compared_shapes[] = "T10,N1,I128,H128/T10,N1,I256,H256/T10,N1,I512,H512/"
                                      "T10,N32,I128,H128/T10,N32,I256,H256/T10,N8,I512,H512";

static int complain(const char *option, const char *value) {
    (void)fprintf(stderr, "gru_bench: --%s %s is not understood; --help shows what is\n", option, value);
    return -1;
}

static int parse_threads(const char *text, bench_options *options) {
    options->thread_count = 0;
    for (const char *at = text; at;) {
        char *end;
        const long count = strtol(at, &end, 10);
        if (end == at || count < 1 || count > 64 || (*end && *end != ',') ||
            options->thread_count == BENCH_THREADS)
            return complain("threads", text);
        options->threads[options->thread_count++] = (int)count;
        at = *end ? end + 1 : NULL;
    }
    return 1;
}

/* Numbers of the words of text among names[most] into list, *count of them. */
static int parse_words(const char *option, const char *text, const char *const *names, int most, int *list,
                       int *count) {
    *count = 0;
    for (const char *at = text; at;) {
        const size_t length = strcspn(at, ",");
        int word = 0;
        while (word < most && (strlen(names[word]) != length || strncmp(names[word], at, length) != 0))
            word++;
        if (word == most || *count == most) return complain(option, text);
        list[(*count)++] = word;
        at = at[length] ? at + length + 1 : NULL;
    }
    return 1;
}

static int parse_reset(const char *text, bench_options *options) {
    static const char *const names[] = {"after", "before", "all"};
    for (int reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++)
        if (strcmp(text, names[reset]) == 0) {
            options->reset_mode = reset;
            return 1;
        }
    return complain("reset", text);
}

static int parse_seconds(const char *text, bench_options *options) {
    char *end;
    options->seconds = strtod(text, &end);
    return end != text && !*end && options->seconds > 0 && options->seconds <= 3600
               ? 1
               : complain("seconds", text);
}

static int parse_one(int key, const char *value, bench_options *options) {
    switch (key) {
    case 'e':
        options->engines = value;
        return 1;
    case 'j':
        options->json = value;
        return 1;
    case 't':
        return parse_threads(value, options);
    case 'g':
        return parse_words("stage", value, bench_stage_names, BENCH_STAGES, options->stages,
                           &options->stage_count);
    case 'y':
        return parse_words("type", value, bench_type_names, BENCH_TYPES, options->types,
                           &options->type_count);
    case 'w':
        if (strstr(value, bench_weights_names[BENCH_WEIGHTS_SAME])) return complain("weights", value);
        return parse_words("weights", value, bench_weights_names, BENCH_WEIGHTS, options->weights,
                           &options->weights_count);
    case 'r':
        return parse_reset(value, options);
    case 's':
        return parse_seconds(value, options);
    case 'p':
        options->peers = 1;
        return 1;
    case 'c':
        options->cold = 1;
        return 1;
    case 'm':
        options->gpu_probe = 1;
        return 1;
    case 'C':
        options->check = 1;
        return 1;
    case 'k':
        options->check_threads = 1;
        return 1;
    case 'l':
        options->compare_lstm = options->peers = 1;
        return 1;
    case 'R':
        options->compare_ragged = 1;
        return 1;
    case 'h':
        (void)fputs(help, stdout);
        return 0;
    default:
        return -1;
    }
}

int bench_options_parse(int argc, char **argv, bench_options *options) {
    static const struct option table[] = {
        {"engine", required_argument, NULL, 'e'},  {"shape", required_argument, NULL, 'S'},
        {"threads", required_argument, NULL, 't'}, {"stage", required_argument, NULL, 'g'},
        {"type", required_argument, NULL, 'y'},    {"weights", required_argument, NULL, 'w'},
        {"reset", required_argument, NULL, 'r'},   {"seconds", required_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},    {"peers", no_argument, NULL, 'p'},
        {"cold", no_argument, NULL, 'c'},          {"gpu-probe", no_argument, NULL, 'm'},
        {"check", no_argument, NULL, 'C'},         {"check-threads", no_argument, NULL, 'k'},
        {"compare-lstm", no_argument, NULL, 'l'},  {"compare-ragged", no_argument, NULL, 'R'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    const char *shapes = NULL;
    memset(options, 0, sizeof *options);
    for (int key; (key = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        const int status = key == 'S' ? 1 : parse_one(key, optarg, options);
        if (status != 1) return status;
        if (key == 'S') shapes = optarg;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "gru_bench: \"%s\" is not an option\n", argv[optind]);
        return -1;
    }
    if (!shapes) shapes = options->compare_lstm ? compared_shapes : "default";
    const int quick = options->compare_lstm || strcmp(shapes, "quick") == 0;
    if (options->seconds == 0) options->seconds = quick ? 0.25 : 3;
    if (!options->thread_count && parse_threads(quick ? "1" : "1,2", options) != 1) return -1;
    if (!options->type_count) options->types[options->type_count++] = BENCH_F32;
    if (!options->stage_count) options->stages[options->stage_count++] = BENCH_FORWARD;
    options->shape_count = bench_shapes_parse(shapes, options->shapes);
    return options->shape_count > 0 ? 1 : -1;
}
