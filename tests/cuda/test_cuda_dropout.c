/* test_cuda_dropout.c: dropout between two layers on the device: the numbers that the CPU drops, in a stream and in a graph. */
#include <cuda_runtime_api.h>
#include <string.h>

#include "control.h"
#include "core/engine.h"
#include "cuda/device/cuda_device.h"
#include "support/device_mirror.h"
#include "core/number.h"
#include "support/stack_fixture.h"

/* A copy of host memory in the context's. */
static void *sent(gru_context *context, const void *data, size_t bytes) {
    void *memory = NULL;
    REQUIRE(gru_allocate(context, bytes, &memory) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_copy(context, memory, data, bytes, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    return memory;
}

static void fetch(gru_context *context, void *data, const void *memory, size_t bytes) {
    REQUIRE(gru_copy(context, data, memory, bytes, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A tensor with gaps between its rows, dropped here and there. */
static void compare(gru_context *here, gru_context *there, int32_t type, int64_t row, uint64_t seed) {
    enum { T = 3, N = 5 };
    const uint64_t seeds[2] = {tester_random(seed, 0),
                               UINT64_MAX - 2}; /* the offset wraps within the batch */
    const int64_t pitch = row + 3, batch_major = seed % 2 == 0;
    const size_t bytes = (size_t)(T * N * pitch) * gru_type_bytes(type);
    char *data = tester_allocate(bytes);
    tester_fill(data, type, (size_t)(T * N * pitch), 2, seed);
    void *memory = sent(there, data, bytes), *seed_memory = sent(there, seeds, sizeof seeds);
    gru_dropout d = {.type = type, .T = T, .N = N, .row = row, .rate = 0.3f, .layer = (int32_t)(seed % 3)};
    d.data = batch_major ? (gru_view){data, pitch, T * pitch} : (gru_view){data, N * pitch, pitch};
    d.seed = seeds;
    REQUIRE(here->backend->apply_dropout(here, &d, NULL) == GRU_OK, "%s", gru_last_error());
    d.data.data = memory, d.seed = seed_memory;
    REQUIRE(there->backend->apply_dropout(there, &d, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    char *got = tester_allocate(bytes);
    fetch(there, got, memory, bytes);
    CHECK(memcmp(got, data, bytes) == 0, "%s rows of %lld: other bits than on the CPU", gru_type_name(type),
          (long long)row);
    tester_free(data), tester_free(got);
    gru_free(there, memory), gru_free(there, seed_memory);
}

TEST(cuda_dropout, drops_what_the_cpu_drops) {
    static const int32_t types[] = {GRU_F32, GRU_F16, GRU_BF16};
    static const int64_t rows[] = {1, 2, 3, 4, 5, 8, 33, 61};
    gru_context *here = tester_context(NULL, 1), *there = tester_device_context(0);
    for (uint64_t i = 0; i < 3 * 8; i++) compare(here, there, types[i % 3], rows[i / 3], i);
    gru_context_release(here), gru_context_release(there);
}

TEST(cuda_dropout, no_numbers_launch_nothing) {
    gru_context *there = tester_device_context(0);
    const uint64_t seeds[2] = {1, 2};
    void *seed_memory = sent(there, seeds, sizeof seeds);
    const gru_dropout none = {
        .N = 3, .row = 5, .rate = 0.5f, .data = {seed_memory, 15, 5}, .seed = seed_memory};
    const uint64_t launched = emu_launches();
    CHECK(there->backend->apply_dropout(there, &none, tester_device.stream) == GRU_OK, "%s",
          gru_last_error());
    CHECK(emu_launches() == launched, "a kernel was launched over no steps");
    gru_free(there, seed_memory);
    gru_context_release(there);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static const layer_spec two[] = {{.hidden = 6, .bidirectional = 1}, {.hidden = 5}};

/* dy is y itself, so that both passes are seen in dx. */
static gru_stack_gradients gradients_of(const void *dy, void *dx) {
    gru_stack_gradients g = GRU_INIT;
    g.data.dy.data = dy, g.data.dx.data = dx;
    return g;
}

static size_t x_bytes(const stack_fixture *fixture) {
    return (size_t)(fixture->sizes.T * fixture->sizes.N * fixture->sizes.I) * sizeof(float);
}

/* dx of the stack with these seeds, from passes of its own. */
static float *expected_dx(stack_fixture *fixture, const uint64_t seed[2]) {
    float *dx = tester_allocate(x_bytes(fixture));
    gru_stack_run run = fixture->run;
    fixture->dropout_seed[0] = seed[0], fixture->dropout_seed[1] = seed[1];
    REQUIRE(device_mirror_stack_forward(fixture->stack, &run) == GRU_OK, "%s", gru_last_error());
    run.data.workspace = tester_allocate(fixture->needed.backward_workspace);
    run.data.workspace_size = fixture->needed.backward_workspace;
    const gru_stack_gradients g = gradients_of(fixture->y, dx);
    REQUIRE(device_mirror_stack_backward(fixture->stack, &run, &g) == GRU_OK, "%s", gru_last_error());
    tester_free(run.data.workspace);
    return dx;
}

/* Every buffer of a stack without states in the device's memory. */
enum { X, Y, WORKSPACE, BACKWARD_WORKSPACE, RESERVE, SEED, DX, PIECES };
static gru_stack_run send_run(const stack_fixture *fixture, void *pieces[PIECES]) {
    gru_context *context = fixture->context;
    gru_stack_run run = fixture->run;
    const size_t bytes[PIECES] = {[WORKSPACE] = fixture->needed.workspace,
                                  [BACKWARD_WORKSPACE] = fixture->needed.backward_workspace,
                                  [RESERVE] = fixture->needed.reserve,
                                  [Y] = stack_fixture_y_count(fixture) * sizeof(float),
                                  [DX] = x_bytes(fixture)};
    for (int i = 0; i < PIECES; i++)
        if (bytes[i]) REQUIRE(gru_allocate(context, bytes[i], &pieces[i]) == GRU_OK, "%s", gru_last_error());
    pieces[X] = sent(context, fixture->x, x_bytes(fixture));
    pieces[SEED] = sent(context, fixture->dropout_seed, 2 * sizeof(uint64_t));
    run.h0 = NULL, run.hT = NULL;
    run.data.x.data = pieces[X], run.data.y.data = pieces[Y];
    run.data.workspace = pieces[WORKSPACE], run.data.reserve = pieces[RESERVE];
    run.dropout_seed = pieces[SEED];
    run.data.stream = tester_device.stream;
    return run;
}

/* Forward and backward into one recording. */
static cudaGraphExec_t record(const stack_fixture *fixture, const gru_stack_run *run,
                              void *const pieces[PIECES]) {
    const gru_stack_gradients g = gradients_of(pieces[Y], pieces[DX]);
    gru_stack_run backward = *run;
    backward.data.workspace = pieces[BACKWARD_WORKSPACE];
    backward.data.workspace_size = fixture->needed.backward_workspace;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    REQUIRE(gru_wait(fixture->context, run->data.stream) == GRU_OK, "%s", gru_last_error());
    REQUIRE(cudaStreamBeginCapture(run->data.stream, cudaStreamCaptureModeGlobal) == cudaSuccess,
            "no capture");
    gru_status status = gru_stack_forward(fixture->stack, run);
    if (status == GRU_OK) status = gru_stack_backward(fixture->stack, &backward, &g);
    REQUIRE(cudaStreamEndCapture(run->data.stream, &graph) == cudaSuccess && status == GRU_OK, "%s",
            gru_last_error());
    REQUIRE(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess, "no graph");
    (void)cudaGraphDestroy(graph);
    return ready;
}

TEST(cuda_dropout, a_graph_replays_with_another_seed) {
    static const uint64_t seeds[2][2] = {{11, 0}, {12, 4}};
    gru_context *context = tester_device_context(0);
    stack_fixture *fixture = stack_fixture_make(
        context, two, 2, (stack_fixture_sizes){.T = 3, .N = 4, .I = 3, .mode = GRU_TRAIN, .dropout = 0.5f});
    float *expected[2], *got = tester_allocate(x_bytes(fixture));
    void *pieces[PIECES];
    fixture->run.h0 = NULL, fixture->run.hT = NULL;
    for (int i = 0; i < 2; i++) expected[i] = expected_dx(fixture, seeds[i]);
    CHECK(memcmp(expected[0], expected[1], x_bytes(fixture)) != 0, "the seeds drop the same numbers");
    const gru_stack_run run = send_run(fixture, pieces);
    cudaGraphExec_t ready = record(fixture, &run, pieces);
    for (int i = 0; i < 2; i++) {
        REQUIRE(gru_copy(context, pieces[SEED], seeds[i], sizeof seeds[i], run.data.stream) == GRU_OK, "%s",
                gru_last_error());
        REQUIRE(cudaGraphLaunch(ready, run.data.stream) == cudaSuccess, "no launch");
        fetch(context, got, pieces[DX], x_bytes(fixture));
        CHECK(memcmp(got, expected[i], x_bytes(fixture)) == 0,
              "replay %d gave other bits than runs with its seed", i);
    }
    (void)cudaGraphExecDestroy(ready);
    for (int i = 0; i < 2; i++) tester_free(expected[i]);
    tester_free(got);
    for (int i = 0; i < PIECES; i++) gru_free(context, pieces[i]);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(cuda_dropout, a_seed_in_host_memory_is_refused) {
    gru_context *context = tester_device_context(0);
    if (gru_cuda_device_of(context)->pageable) SKIP("this device reaches all of the host's memory");
    stack_fixture *fixture = stack_fixture_make(
        context, two, 2, (stack_fixture_sizes){.T = 3, .N = 4, .I = 3, .mode = GRU_TRAIN, .dropout = 0.5f});
    void *pieces[PIECES];
    gru_stack_run run = send_run(fixture, pieces);
    run.dropout_seed = fixture->dropout_seed;
    CHECK(gru_stack_forward(fixture->stack, &run) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "run.dropout_seed is ") && strstr(gru_last_error(), "host memory"),
          "the sentence is \"%s\"", gru_last_error());
    for (int i = 0; i < PIECES; i++) gru_free(context, pieces[i]);
    stack_fixture_free(fixture);
    gru_context_release(context);
}
