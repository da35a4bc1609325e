/* test_sample.c: a state dict as PyTorch saves it, loaded as a stack, gives PyTorch's own outputs on every engine. */
#include <math.h>

#include "gru/import.h"
#include "support/device_mirror.h"
#include "core/number.h"
#include "support/tester.h"

/* The sizes of golden/samples/encoder.safetensors: two bidirectional layers. */
enum { T = 5, N = 2, I = 4, H = 6, CELLS = 4, INPUTS = T * N * I, OUTPUTS = T * N * 2 * H, STATES = N * H };

static const void *expected(const gru_file *file, const char *name, int32_t type, size_t count) {
    gru_tensor tensor;
    REQUIRE(gru_file_tensor(file, name, &tensor) == GRU_OK, "%s", gru_last_error());
    REQUIRE(tensor.type == type && tensor.bytes == count * gru_type_bytes(type), "%s: type %d, %zu bytes",
            name, (int)tensor.type, tensor.bytes);
    return tensor.data;
}

static void compare(const char *what, int32_t type, const void *got, const double *want, size_t count,
                    double budget) {
    for (size_t i = 0; i < count; i++) {
        const double value = gru_load_double(got, type, i);
        CHECK(fabs(value - want[i]) <= budget, "%s[%zu] is %.17g, PyTorch has %.17g, budget %.3g", what, i,
              value, want[i], budget);
    }
}

/* Runs the whole batch with no h0. y: [T][N][2H]; states: [CELLS][N][H]; both of type. */
static void run(const gru_stack *stack, int32_t type, const float *x, void *y, void *states) {
    void *hT[CELLS], *inputs = tester_allocate(INPUTS * gru_type_bytes(type));
    gru_sizes sizes;
    gru_stack_run run = GRU_INIT;
    for (size_t i = 0; i < INPUTS; i++) gru_store_double(inputs, type, i, (double)x[i]);
    for (int k = 0; k < CELLS; k++) hT[k] = (char *)states + (size_t)(k * STATES) * gru_type_bytes(type);
    REQUIRE(gru_stack_sizes(stack, T, N, &sizes) == GRU_OK, "%s", gru_last_error());
    run.data.workspace = tester_allocate(sizes.workspace);
    run.data.workspace_size = sizes.workspace;
    run.data.T = T, run.data.N = N;
    run.data.x.data = inputs;
    run.data.y.data = y;
    run.hT = hT;
    REQUIRE(device_mirror_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
    tester_free(inputs), tester_free(run.data.workspace);
}

static void load_and_compare(const char *engine, int32_t type, double budget) {
    gru_context *context = tester_context(engine, 1);
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    void *y = tester_allocate(OUTPUTS * gru_type_bytes(type));
    void *states = tester_allocate(CELLS * STATES * gru_type_bytes(type));
    options.prefix = "encoder.gru.";
    options.io_type = options.state_type = options.weight_type = type;
    const gru_status opened = gru_file_open(TEST_DATA "/golden/samples/encoder.safetensors", &file);
    if (opened == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(opened == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sublayers(stack) == CELLS && gru_stack_inputs(stack) == I &&
                gru_stack_outputs(stack) == 2 * H,
            "%d sublayers, %d inputs, %d outputs", gru_stack_sublayers(stack), gru_stack_inputs(stack),
            gru_stack_outputs(stack));
    run(stack, type, expected(file, "expected.x", GRU_F32, INPUTS), y, states);
    compare("y", type, y, expected(file, "expected.y", GRU_F64, OUTPUTS), OUTPUTS, budget);
    compare("hT", type, states, expected(file, "expected.hT", GRU_F64, CELLS * STATES), CELLS * STATES,
            budget);
    tester_free(y), tester_free(states);
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
}

/* Some 30 roundings of up to 6e-8 in the latest step, as in test_golden.c; every output lies in -1..1. */
ENGINE_TEST(sample, encoder) {
    load_and_compare(engine, GRU_F32, 2e-6);
}

TEST(sample, encoder_in_double) {
    load_and_compare("cpu_reference", GRU_F64, 1e-12);
}
