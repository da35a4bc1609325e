/* test_cuda_bits.c: the bits of a CUDA result do not depend on the batch (batch invariance), on cuts, tiles, strides or slots, in
 * every kernel configuration that promises it. */
#include <cuda_runtime_api.h>
#include <string.h>

#include "control.h"
#include "kernel_config.h"
#include "support/device_mirror.h"
#include "support/properties.h"

static const shape shapes[] = {
    {4, 9, 7, 19, "two octets of rows, two of units and a tail"},
    {3, 5, 16, 40, "no input needs padding"},
    {5, 17, 5, 33, "three octets of rows, a group of 16 bits and one unit"},
};

enum { SHAPES = sizeof shapes / sizeof *shapes, COMPUTE_TYPES = 4 };

static const char *const math_names[COMPUTE_TYPES] = {"f32", "tf32", "f16", "bf16"};

static gru_context *make_context(const kernel_config *f, int compute_type, uint32_t flags) {
    return kernel_config_context(f, flags | (compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0));
}

/* A drawn layer of this arithmetic that the kernel configuration runs. */
static gru_layer_config draw_config(const kernel_config *f, int compute_type, uint64_t draw) {
    static const int types[COMPUTE_TYPES][2] = {{0, 5}, {0, 8}, {1, 3}, {2, 7}}; /* of problem_types */
    gru_layer_config config = problem_variant((int)(tester_random(emu_option.seed, draw) % VARIANTS));
    while (!kernel_config_has_reset(f, config.reset_mode)) config.reset_mode = (config.reset_mode + 1) % 3;
    problem_types(&config, types[compute_type][draw % 3 == 0]);
    return config;
}

static int is_large(const kernel_config *f) {
    return strcmp(f->engine, "cuda_large_batch") == 0;
}

/* The property in every kernel configuration, each with one arithmetic, which the seed chooses. rows_differ: it compares calls of
 * different numbers of rows. Their projections have the same bits with GRU_BATCH_INVARIANT, which large tiles decline: these get
 * projected input. */
static void for_forms(int32_t direction, int rows_differ, property check) {
    for (int i = 0; i < KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        const kernel_config *f = &kernel_configs[i];
        const uint32_t flags = rows_differ && !is_large(f) ? GRU_BATCH_INVARIANT : 0;
        const uint32_t given = rows_differ && is_large(f) ? PROBLEM_PROJECTED : 0;
        const int compute_type = (int)(((uint64_t)i + emu_option.seed) % COMPUTE_TYPES);
        const uint64_t draw = (uint64_t)i + 100 * emu_option.seed;
        gru_layer_config config = draw_config(f, compute_type, draw);
        if (direction >= 0) config.direction = direction;
        gru_context *context = make_context(f, compute_type, flags);
        problem *p = problem_make(&shapes[i % SHAPES], &config,
                                  (problem_options(draw) & property_options) | given, draw);
        result plain;
        kernel_config_name(f, p->text, sizeof p->text);
        kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
        problem_run(p, context, &plain);
        check(context, p, &plain);
        result_free(&plain);
        problem_free(p);
        kernel_config_clear_override();
        gru_context_release(context);
    }
}

TEST(cuda_bits, repeated_calls) {
    for_forms(-1, 0, property_repeated);
}

TEST(cuda_bits, training_strides_slots_packed_weights_and_states_in_place) {
    for_forms(-1, 0, property_options_unseen);
}

TEST(cuda_bits, one_call_or_many) {
    for_forms(GRU_FORWARD, 1, property_cuts);
}

TEST(cuda_bits, nan_and_infinity_stay_in_their_row) {
    for_forms(-1, 0, property_poison);
}

/* ---- batch and tiles --------------------------------------------------------------------------------------------- */

static void rows_where_promised(gru_context *context, const problem *p, const result *plain) {
    if (strcmp(context->config.engine, "cuda_large_batch") != 0) property_rows(context, p, plain);
}

TEST(cuda_bits, one_row_in_any_batch) {
    for_forms(-1, 1, rows_where_promised);
}

/* Every tile of cuda_stepwise and both fused launches give the bits of the first tile. */
static void compare_forms(int compute_type, int32_t reset) {
    gru_layer_config config =
        draw_config(&kernel_configs[0], compute_type, (uint64_t)(10 * compute_type + reset));
    const uint32_t options = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_TRAIN;
    config.reset_mode = reset;
    problem *p = problem_make(&shapes[compute_type % SHAPES], &config, options, (uint64_t)compute_type);
    result first = {0};
    for (int i = 0; i < KERNEL_CONFIGS; i++) {
        result r;
        if (strcmp(kernel_configs[i].engine, "cuda_large_batch") == 0 ||
            !kernel_config_has_reset(&kernel_configs[i], reset))
            continue;
        gru_context *context = make_context(&kernel_configs[i], compute_type, 0);
        kernel_config_override(&kernel_configs[i], (gru_cuda_compute_type)compute_type, reset);
        problem_run(p, context, i ? &r : &first);
        if (i) {
            check_same_results(p, &first, &r);
            check_same_array("reserve", kernel_configs[i].name, GRU_F32, first.run.reserve, r.run.reserve,
                             first.sizes.reserve / sizeof(float));
            result_free(&r);
        }
        gru_context_release(context);
    }
    kernel_config_clear_override();
    result_free(&first);
    problem_free(p);
}

TEST(cuda_bits, any_tile_and_fused_form) {
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++)
        for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++)
            if (kernel_config_is_selected(compute_type + reset)) compare_forms(compute_type, reset);
}

/* ---- the flag ---------------------------------------------------------------------------------------------------- */

/* With GRU_BATCH_INVARIANT the large tiles decline, and rows keep their bits through the projection too. */
TEST(cuda_bits, invariance_pins_the_engines) {
    const shape large = {1, 600, 3, 64, "large enough for the large tiles"};
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_context *context =
            tester_device_context(GRU_BATCH_INVARIANT | (compute_type == GRU_CUDA_TF32 ? GRU_ALLOW_TF32 : 0));
        gru_layer_config layer = draw_config(&kernel_configs[0], compute_type, (uint64_t)compute_type);
        layer.reset_mode = GRU_RESET_AFTER;
        problem *p = problem_make(&large, &layer, 0, 1);
        problem *q = problem_make(&shapes[compute_type % SHAPES], &layer, PROBLEM_H0, 1);
        result r;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        CHECK(strcmp(gru_engine_name(r.layer, &r.run), "cuda_stepwise") == 0, "%s runs",
              gru_engine_name(r.layer, &r.run));
        CHECK(strstr(gru_engine_reasons(r.layer, &r.run), "cuda_large_batch: ") &&
                  strstr(gru_engine_reasons(r.layer, &r.run), "GRU_BATCH_INVARIANT"),
              "the reasons are \"%s\"", gru_engine_reasons(r.layer, &r.run));
        result_free(&r);
        problem_run(q, context, &r);
        property_rows(context, q, &r);
        result_free(&r);
        problem_free(p), problem_free(q);
        gru_context_release(context);
    }
}

TEST(cuda_bits, insisting_on_large_tiles_and_invariance_is_refused) {
    const shape sizes = {1, 8, 3, 64, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = kernel_config_context(&kernel_configs[5], GRU_BATCH_INVARIANT);
    problem *p = problem_make(&sizes, &config, 0, 1);
    result r;
    CHECK(problem_open(p, context, &r) == GRU_UNSUPPORTED && strstr(gru_last_error(), "GRU_BATCH_INVARIANT"),
          "the sentence is \"%s\"", gru_last_error());
    problem_free(p);
    gru_context_release(context);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* A sequence longer than a chunk of projected input. */
TEST(cuda_bits, chunks_of_steps) {
    const shape two_chunks = {1400, 65, 1, 3, "16 MiB of 192 bytes a row hold 1344 steps of 65 rows"};
    if (emu_is_checker) SKIP("the checker looks through 16 MiB after each of thousands of launches");
    if (emu_option.seed != 1) SKIP("a second for each seed: the first is enough for what the host does");
    gru_context *context = kernel_config_context(&kernel_configs[4], 0);
    for (int i = 0; i < 2; i++) {
        gru_layer_config config = GRU_INIT;
        config.weight_type = GRU_F16; /* has the widest tile */
        config.direction = i;
        problem *p = problem_make(&two_chunks, &config, PROBLEM_H0 | (i ? PROBLEM_LENGTHS : 0), 1);
        kernel_config_override(&kernel_configs[4], GRU_CUDA_F16, config.reset_mode);
        CHECK(check_problem(p, context), "%s", gru_last_error());
        problem_free(p);
    }
    kernel_config_clear_override();
    gru_context_release(context);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static cudaGraphExec_t record(const gru_layer *layer, const gru_run *run) {
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    REQUIRE(cudaStreamBeginCapture(run->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess,
            "no capture");
    const gru_status status = gru_layer_forward(layer, run);
    REQUIRE(cudaStreamEndCapture(run->stream, &graph) == cudaSuccess, "the capture was spoilt");
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess, "no graph");
    (void)cudaGraphDestroy(graph);
    return replay;
}

/* The numbers of another problem of the same sizes and options, in the memory of this one. */
static void take_numbers(problem *p, uint64_t seed) {
    problem *other = problem_make(&p->shape, &p->config, p->options, seed);
    for (int i = 0; i < p->buffer_count; i++)
        memcpy(p->buffers[i].data, other->buffers[i].data, p->buffers[i].bytes);
    problem_free(other);
}

/* What a call left in a buffer of the host. */
static int same_buffer(const void *a, const void *b) {
    size_t bytes, same_bytes;
    const char *p = tester_buffer(a, &bytes), *q = tester_buffer(b, &same_bytes);
    return p && q && bytes == same_bytes && memcmp(p, q, bytes) == 0;
}

/* A run recorded before any other, and replayed with three sets of numbers. */
static void compare_replays(const kernel_config *f, int compute_type) {
    gru_layer_config config = draw_config(f, compute_type, (uint64_t)compute_type + 7);
    const uint32_t options = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET |
                             PROBLEM_STRIDES | PROBLEM_TRAIN | (compute_type % 2 ? PROBLEM_SLOTS : 0);
    gru_context *context = make_context(f, compute_type, 0);
    problem *p = problem_make(&shapes[compute_type % SHAPES], &config, options, 1);
    result replayed, direct;
    gru_run run;
    kernel_config_override(f, (gru_cuda_compute_type)compute_type, config.reset_mode);
    REQUIRE(problem_open(p, context, &replayed) == GRU_OK && problem_open(p, context, &direct) == GRU_OK,
            "%s", gru_last_error());
    problem_renew_outputs(p, &replayed);
    device_mirror *m = device_mirror_open(context, &replayed.run, &run);
    REQUIRE(gru_wait(context, run.stream) == GRU_OK, "%s", gru_last_error());
    cudaGraphExec_t graph = record(replayed.layer, &run);
    for (uint64_t seed = 2; seed < 5; seed++) {
        take_numbers(p, seed);
        REQUIRE(problem_call(p, &direct) == GRU_OK, "%s", gru_last_error());
        device_mirror_send(m);
        REQUIRE(cudaGraphLaunch(graph, run.stream) == cudaSuccess, "the graph was refused");
        device_mirror_receive(m);
        CHECK(same_buffer(replayed.run.y.data, direct.run.y.data) &&
                  same_buffer(replayed.run.hT, direct.run.hT) &&
                  same_buffer(replayed.run.reserve, direct.run.reserve),
              "replayed with other numbers, the graph of %s with %s gives other bits", f->name,
              math_names[compute_type]);
    }
    (void)cudaGraphExecDestroy(graph);
    device_mirror_close(m);
    kernel_config_clear_override();
    result_free(&replayed), result_free(&direct);
    problem_free(p);
    gru_context_release(context);
}

TEST(cuda_bits, graphs) {
    for (int i = 0; i < KERNEL_CONFIGS; i++)
        if (kernel_config_is_selected(i))
            compare_replays(&kernel_configs[i], (int)(((uint64_t)i + emu_option.seed) % COMPUTE_TYPES));
}
