/* test_cuda_streaming_runs.c: calls of one step: how many launches they take, whether they can be recorded, and which of them
 * cuda_streaming leaves to other engines. */
#include <cuda_runtime_api.h>
#include <string.h>

#include "control.h"
#include "core/layer.h"
#include "cuda/run/cuda_cost_model.h"
#include "support/device_mirror.h"
#include "support/problem.h"

static gru_context *make_context(uint32_t flags) {
    const gru_context_config config = {.backend = GRU_BACKEND_CUDA, .flags = flags};
    gru_context *context = NULL;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* ---- launches ---- */

static int launches_of_run(const gru_layer *layer, const gru_run *run) {
    const uint64_t before = emu_launches(), loaded = emu_loaded(), allocated = emu_allocations();
    REQUIRE(gru_layer_forward(layer, run) == GRU_OK && gru_wait(layer->context, run->stream) == GRU_OK, "%s",
            gru_last_error());
    CHECK(emu_loaded() == loaded && emu_allocations() == allocated, "the run loads or allocates");
    return (int)(emu_launches() - before);
}

/* The context chooses the engine by itself, and its first run of one step is one launch. */
TEST(cuda_streaming_runs, a_call_is_one_launch) {
    static const uint32_t ways[] = {PROBLEM_H0, PROBLEM_H0 | PROBLEM_IN_PLACE,
                                    PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SLOTS | PROBLEM_IN_PLACE};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const shape sizes = {1, 1 + (int64_t)i, 20, 24, "any"};
        const gru_layer_config config = GRU_INIT;
        gru_context *context = make_context(0);
        problem *p = problem_make(&sizes, &config, ways[i], i);
        result r;
        gru_run run;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        problem_renew_outputs(p, &r);
        device_mirror *m = device_mirror_open(context, &r.run, &run);
        REQUIRE(gru_wait(context, run.stream) == GRU_OK, "%s", gru_last_error());
        CHECK(strcmp(gru_engine_name(r.layer, &run), "cuda_streaming") == 0, "%s runs",
              gru_engine_name(r.layer, &run));
        const int launches = launches_of_run(r.layer, &run);
        CHECK(launches == 1, "%d launches", launches);
        device_mirror_receive(m);
        device_mirror_close(m);
        result_free(&r);
        problem_free(p);
        gru_context_release(context);
    }
}

/* ---- graphs ---- */

/* A step in place, recorded before any other run: each replay takes the state that the one before has left. */
TEST(cuda_streaming_runs, graphs) {
    enum { REPLAYS = 3 };
    for (int i = 0; i < 3; i++) {
        const shape sizes = {1, 3, 7, 19, "three octets of units"};
        gru_layer_config config = GRU_INIT;
        problem_types(&config, i); /* f32, f16, bf16 */
        gru_context *context = make_context(0);
        problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_IN_PLACE, (uint64_t)i);
        result r, direct;
        gru_run run;
        cudaGraph_t graph;
        cudaGraphExec_t replay;
        REQUIRE(problem_open(p, context, &r) == GRU_OK && problem_open(p, context, &direct) == GRU_OK, "%s",
                gru_last_error());
        problem_renew_outputs(p, &r), problem_renew_outputs(p, &direct);
        device_mirror *m = device_mirror_open(context, &r.run, &run);
        REQUIRE(gru_wait(context, run.stream) == GRU_OK, "%s", gru_last_error());
        REQUIRE(cudaStreamBeginCapture(run.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess, "begin");
        CHECK(gru_layer_forward(r.layer, &run) == GRU_OK, "%s", gru_last_error());
        REQUIRE(cudaStreamEndCapture(run.stream, &graph) == cudaSuccess, "the capture was spoilt");
        REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess, "no graph");
        for (int n = 0; n < REPLAYS; n++) {
            REQUIRE(cudaGraphLaunch(replay, run.stream) == cudaSuccess, "the graph was refused");
            REQUIRE(device_mirror_forward(direct.layer, &direct.run) == GRU_OK, "%s", gru_last_error());
        }
        device_mirror_receive(m);
        size_t bytes;
        const void *y = tester_buffer(r.run.y.data, &bytes);
        CHECK(memcmp(y, tester_buffer(direct.run.y.data, &bytes), bytes) == 0, "y: other bits, %s", p->text);
        const void *hT = tester_buffer(r.run.hT, &bytes);
        CHECK(memcmp(hT, tester_buffer(direct.run.hT, &bytes), bytes) == 0, "hT: other bits, %s", p->text);
        (void)cudaGraphExecDestroy(replay), (void)cudaGraphDestroy(graph);
        device_mirror_close(m);
        result_free(&r), result_free(&direct);
        problem_free(p);
        gru_context_release(context);
    }
}

/* ---- what other engines run ---- */

static void check_declined(const problem *p, gru_context *context, const char *words) {
    result r;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    const char *reasons = gru_engine_reasons(r.layer, &r.run);
    CHECK(strstr(reasons, "cuda_streaming: ") && strstr(reasons, words), "\"%s\" is missing in: %s", words,
          reasons);
    CHECK(strcmp(gru_engine_name(r.layer, &r.run), "cuda_streaming") != 0, "it runs all the same: %s", words);
    check_call(p, &r);
    result_free(&r);
}

TEST(cuda_streaming_runs, other_calls_go_to_other_engines) {
    static const struct {
        shape sizes;
        int32_t reset;
        uint32_t options, flags;
        const char *words;
    } cases[] = {
        {{2, 3, 5, 9, ""}, GRU_RESET_AFTER, 0, 0, "calls of one step"},
        {{1, 9, 5, 9, ""}, GRU_RESET_AFTER, 0, 0, "at most 8 sequences"},
        {{1, 3, 5, 9, ""}, GRU_RESET_BEFORE, 0, 0, "wait for each other"},
        {{1, 3, 0, 9, ""}, GRU_RESET_AFTER, PROBLEM_PROJECTED, 0, "without inputs"},
        {{1, 3, 5, 9, ""}, GRU_RESET_AFTER, PROBLEM_PROJECTED, 0, "projected already"},
        {{1, 8, 7000, 8, ""}, GRU_RESET_AFTER, 0, 0, "shared memory"},
        {{1, 3, 5, 9, ""}, GRU_RESET_AFTER, PROBLEM_TRAIN, 0, "keeps a reserve"},
        {{1, 3, 5, 9, ""}, GRU_RESET_AFTER, 0, GRU_BATCH_INVARIANT, "GRU_BATCH_INVARIANT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gru_layer_config config = {.reset_mode = cases[i].reset};
        gru_context *context = make_context(cases[i].flags);
        problem *p = problem_make(&cases[i].sizes, &config, cases[i].options, i);
        check_declined(p, context, cases[i].words);
        problem_free(p);
        gru_context_release(context);
    }
}

TEST(cuda_streaming_runs, masks_go_to_other_engines) {
    static const uint8_t mask[3];
    const shape sizes = {1, 3, 5, 9, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = make_context(0);
    problem *p = problem_make(&sizes, &config, 0, 1);
    result r;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    gru_run run = r.run;
    run.mask = (gru_const_view){.data = mask, .time_stride = 3, .batch_stride = 1};
    CHECK(strstr(gru_engine_reasons(r.layer, &run), "masks and ragged batches take a launch"),
          "the reasons: %s", gru_engine_reasons(r.layer, &run));
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* On an H200, as print_predictions.c has it: a layer whose sizes are replaced, of which plans are made and nothing is run. */
TEST(cuda_streaming_runs, the_largest_layers_go_to_other_engines) {
    static const struct {
        int32_t units;
        int streams;
    } cases[] = {{64, 1}, {512, 1}, {1024, 0}, {8192, 0}};
    static const float zeros[3 * 8 * 8];
    const gru_layer_config config = {.inputs = 8, .hidden = 8, .weight_type = GRU_BF16};
    const gru_weights weights = {.W = zeros, .R = zeros};
    gru_context *context = make_context(0);
    gru_layer *layer;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    gru_cuda_device *device = gru_cuda_device_of(context);
    const int multiprocessors = device->multiprocessors, capability = device->capability;
    const double clock = device->clock;
    device->multiprocessors = 132, device->capability = 90, device->clock = 1.755e9;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gru_run run = {.T = 1, .N = 8};
        layer->config.inputs = layer->config.hidden = cases[i].units;
        CHECK((strcmp(gru_engine_name(layer, &run), "cuda_streaming") == 0) == cases[i].streams,
              "%d units: %s runs", cases[i].units, gru_engine_name(layer, &run));
        CHECK(cases[i].streams || strstr(gru_engine_reasons(layer, &run), "three launches should be faster"),
              "the reasons: %s", gru_engine_reasons(layer, &run));
    }
    layer->config.inputs = layer->config.hidden = 8;
    device->multiprocessors = multiprocessors, device->capability = capability, device->clock = clock;
    gru_layer_release(layer);
    gru_context_release(context);
}

/* A device of one multiprocessor holds eight blocks of so many threads: of 65 units there are nine. */
TEST(cuda_streaming_runs, states_in_place_need_room_for_all_blocks) {
    const shape sizes = {1, 2, 5, 65, "nine octets of units"};
    const gru_layer_config config = GRU_INIT;
    const emu_options options = emu_option;
    emu_option.processors = 1;
    gru_context *context = make_context(0);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_IN_PLACE, 1);
    problem *apart = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result r;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    problem_renew_outputs(p, &r);
    CHECK(strstr(gru_engine_reasons(r.layer, &r.run), "does not hold all blocks at once"), "the reasons: %s",
          gru_engine_reasons(r.layer, &r.run));
    check_call(p, &r);
    result_free(&r);
    REQUIRE(problem_open(apart, context, &r) == GRU_OK, "%s", gru_last_error());
    CHECK(strcmp(gru_engine_name(r.layer, &r.run), "cuda_streaming") == 0, "%s runs",
          gru_engine_name(r.layer, &r.run));
    check_call(apart, &r);
    result_free(&r);
    problem_free(p), problem_free(apart);
    gru_context_release(context);
    emu_option = options;
}

/* ---- wrong numbers in device memory ---- */

TEST(cuda_streaming_runs, lengths_and_slots_out_of_range_are_reported) {
    const shape sizes = {1, 4, 5, 9, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = make_context(0);
    for (int i = 0; i < 3; i++) {
        static const char *const words[] = {"run.lengths[2]", "run.h0_slots[2]", "run.hT_slots[2]"};
        problem *p = problem_make(&sizes, &config, PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SLOTS, 1);
        const int32_t *const arrays[] = {p->run.lengths, p->run.h0_slots, p->run.hT_slots};
        int32_t *wrong = (int32_t *)(uintptr_t)arrays[i];
        result r;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        problem_renew_outputs(p, &r);
        wrong[2] = i == 0 ? -1 : 1000000;
        REQUIRE(device_mirror_forward(r.layer, &r.run) == GRU_OK, "%s", gru_last_error());
        CHECK(gru_context_check(context, tester_device.stream) == GRU_BAD_DATA &&
                  strstr(gru_last_error(), words[i]),
              "the report is \"%s\"", gru_last_error());
        CHECK(tester_intact(r.run.hT) && tester_intact(r.run.y.data), "%s: written outside", words[i]);
        result_free(&r);
        problem_free(p);
    }
    gru_context_release(context);
}
