/* test_stream.c: streams against whole calls of the same layers and stacks, their states, and what they refuse. */
#include "gru/stream.h"

#include <stdlib.h>
#include <string.h>

#include "core/number.h"
#include "support/device_mirror.h"
#include "support/ledger.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

enum { STEPS = 6 };

/* A stream and memory of its context for one step. */
typedef struct stepper {
    gru_context *context;
    gru_stream *stream;
    void *x, *y;
    size_t x_bytes, y_bytes;
} stepper;

static stepper stepper_make(const stack_fixture *fixture, int64_t rows) {
    stepper s = {.context = fixture->context};
    const size_t io = stack_fixture_io_bytes(fixture);
    const gru_stream_config config = {.rows = rows, .queue = tester_device.stream};
    s.x_bytes = (size_t)(rows * fixture->sizes.I) * io;
    s.y_bytes = (size_t)(rows * fixture->outputs) * io;
    REQUIRE(gru_allocate(s.context, s.x_bytes, &s.x) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_allocate(s.context, s.y_bytes, &s.y) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stream_create_stack(fixture->stack, &config, &s.stream) == GRU_OK, "%s", gru_last_error());
    return s;
}

static void stepper_free(stepper *s) {
    REQUIRE(gru_wait(s->context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    gru_stream_release(s->stream);
    gru_free(s->context, s->x);
    gru_free(s->context, s->y);
}

static void copy(const stepper *s, void *to, const void *from, size_t bytes) {
    REQUIRE(gru_copy(s->context, to, from, bytes, tester_device.stream) == GRU_OK, "%s", gru_last_error());
}

/* One step from x to y, both in host memory. */
static void step(stepper *s, const void *x, void *y) {
    copy(s, s->x, x, s->x_bytes);
    REQUIRE(gru_stream_step(s->stream, s->x, s->y) == GRU_OK, "%s", gru_last_error());
    copy(s, y, s->y, s->y_bytes);
    REQUIRE(gru_wait(s->context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
}

/* A whole call from zero states, and the same step by step. */
static void compare(gru_context *context, const layer_spec *specs, int32_t count, stack_fixture_sizes sizes) {
    stack_fixture *fixture = stack_fixture_make(context, specs, count, sizes);
    fixture->run.h0 = NULL;
    REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    stepper s = stepper_make(fixture, sizes.N);
    char *y = stack_fixture_allocate(fixture, STEPS * s.y_bytes);
    for (size_t t = 0; t < STEPS; t++) step(&s, (const char *)fixture->x + t * s.x_bytes, y + t * s.y_bytes);
    CHECK(memcmp(y, fixture->y, STEPS * s.y_bytes) == 0,
          "y: N %d, I %d, H %d, reset %d, %d layers: other bits", (int)sizes.N, sizes.I, specs[0].hidden,
          sizes.reset_mode, count);
    char *states = stack_fixture_allocate(fixture, gru_stream_state_bytes(s.stream)), *at = states;
    REQUIRE(gru_stream_read_state(s.stream, states) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const size_t bytes = stack_fixture_states(fixture, k) * stack_fixture_state_bytes(fixture);
        CHECK(memcmp(at, fixture->hT[k], bytes) == 0, "state %d: N %d, H %d: other bits", k, (int)sizes.N,
              fixture->configs[k].hidden);
        at += bytes;
    }
    CHECK(at == states + gru_stream_state_bytes(s.stream), "the states have %zu bytes",
          gru_stream_state_bytes(s.stream));
    stepper_free(&s);
    stack_fixture_free(fixture);
}

/* Every rest of a block, alone and after whole blocks. */
static const int32_t units[] = {1, 3, 4, 5, 7, 8, 9, 12, 13, 15, 16, 17, 20, 24, 25, 31, 32, 40, 48, 72, 100};

ENGINE_TEST(stream, steps_have_the_bits_of_one_call) {
    gru_context *context = tester_context(engine, 1);
    const int watched = tester_device.watches; /* an emulator takes its time */
    for (int i = 0; i < COUNT(units); i += watched ? 4 : 1) {
        const layer_spec specs[] = {{.hidden = units[i]}, {.hidden = units[COUNT(units) - 1 - i]}};
        const stack_fixture_sizes sizes = {.T = STEPS, .N = 1, .I = 1 + i, .reset_mode = i % 3};
        compare(context, specs, 1 + i % 2, sizes);
        compare(context, specs, 1, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = units[i]});
        compare(context, specs, 2, (stack_fixture_sizes){.T = STEPS, .N = 3, .I = 2, .reset_mode = i % 3});
    }
    gru_context_release(context);
}

ENGINE_TEST(stream, steps_have_the_bits_of_one_call_in_other_types) {
    static const layer_spec specs[] = {{.hidden = 9}, {.hidden = 20}};
    gru_context *context = tester_context(engine, 1);
    for (int32_t type = GRU_F32; type <= GRU_BF16; type++)
        for (int32_t weights = GRU_F32; weights <= GRU_BF16; weights++)
            for (int64_t rows = 1; rows < 3; rows++)
                compare(
                    context, specs, 2,
                    (stack_fixture_sizes){.T = STEPS, .N = rows, .I = 5, .type = type, .weights = weights});
    gru_context_release(context);
}

ENGINE_TEST(stream, steps_have_the_bits_of_one_call_with_int8_weights) {
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < COUNT(units); i++) {
        const layer_spec specs[] = {{.hidden = units[i]}, {.hidden = units[COUNT(units) - 1 - i]}};
        stack_fixture_sizes sizes = {.T = STEPS, .N = 1, .I = 1 + i, .weights = GRU_INT8};
        sizes.reset_mode = i % 3, sizes.type = i / 3 % 3;
        compare(context, specs, 1 + i % 2, sizes);
        sizes.type = GRU_F32, sizes.I = units[COUNT(units) - 1 - i];
        sizes.reset_mode = i % 2 ? GRU_RESET_AFTER : GRU_RESET_ALL;
        compare(context, specs, 2, sizes);
    }
    gru_context_release(context);
}

TEST(stream, steps_have_the_bits_of_one_call_in_f64_and_on_threads) {
    static const layer_spec small[] = {{.hidden = 9}, {.hidden = 20}}, large[] = {{.hidden = 520}};
    gru_context *context = tester_context(NULL, 2);
    compare(context, small, 2, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = 5, .type = GRU_F64});
    compare(context, small, 2, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = 5});
    compare(context, large, 1, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = 520});
    gru_context_release(context);
}

/* The layer variants that streams of a layer have: of the first numbers of a fixture. */
TEST(stream, a_layer_streams_as_a_stack_of_one) {
    static const layer_spec specs[] = {{.hidden = 12}};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, specs, 1, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = 12});
    gru_layer *layer = NULL;
    gru_stream *alone = NULL;
    float y[12], none[12];
    REQUIRE(gru_stack_sublayer(fixture->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stream_create(layer, NULL, &alone) == GRU_OK, "%s", gru_last_error());
    fixture->run.h0 = NULL;
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    for (int t = 0; t < STEPS; t++) {
        memset(y, 0xFF, sizeof y);
        REQUIRE(gru_stream_step(alone, (float *)fixture->x + t * 12, t % 2 ? NULL : y) == GRU_OK, "%s",
                gru_last_error());
        CHECK(t % 2 || memcmp(y, (float *)fixture->y + t * 12, sizeof y) == 0, "step %d has other bits", t);
    }
    memset(none, 0xFF, sizeof none);
    REQUIRE(gru_stream_read_state(alone, none) == GRU_OK, "%s", gru_last_error());
    CHECK(memcmp(none, fixture->hT[0], sizeof none) == 0, "the state has other bits");
    gru_stream_release(alone);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* ---- states ---- */

ENGINE_TEST(stream, states_are_reset_and_written_by_row) {
    enum { ROWS = 3 };
    static const layer_spec specs[] = {{.hidden = 8}, {.hidden = 5}};
    gru_context *context = tester_context(engine, 1);
    for (int64_t rows = 1; rows <= ROWS; rows += 2) {
        stack_fixture *fixture =
            stack_fixture_make(context, specs, 2, (stack_fixture_sizes){.T = STEPS, .N = rows, .I = 4});
        stepper s = stepper_make(fixture, rows), other = stepper_make(fixture, rows);
        const int64_t last = rows - 1;
        const size_t bytes = gru_stream_state_bytes(s.stream), row = (size_t)(last * 5) * sizeof(float);
        char *zeroth = stack_fixture_allocate(fixture, s.y_bytes),
             *y = stack_fixture_allocate(fixture, s.y_bytes);
        char *states = stack_fixture_allocate(fixture, bytes);
        step(&s, fixture->x, zeroth);
        step(&s, fixture->x, y);
        CHECK(memcmp(y, zeroth, s.y_bytes) != 0, "the second step is the first: there is no state");
        REQUIRE(gru_stream_reset(s.stream, last) == GRU_OK, "%s", gru_last_error());
        step(&s, fixture->x, y);
        CHECK(memcmp(y + row, zeroth + row, s.y_bytes - row) == 0, "row %d was not reset", (int)last);
        CHECK(rows == 1 || memcmp(y, zeroth, row) != 0, "other rows were reset");
        REQUIRE(gru_stream_read_state(s.stream, states) == GRU_OK &&
                    gru_wait(context, tester_device.stream) == GRU_OK,
                "%s", gru_last_error());
        REQUIRE(gru_stream_write_state(other.stream, states) == GRU_OK, "%s", gru_last_error());
        step(&s, fixture->x, zeroth);
        step(&other, fixture->x, y);
        CHECK(memcmp(y, zeroth, s.y_bytes) == 0, "a stream with the same states goes on differently");
        REQUIRE(gru_stream_reset(s.stream, -1) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_stream_reset(other.stream, -1) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_stream_read_state(s.stream, states) == GRU_OK &&
                    gru_wait(context, tester_device.stream) == GRU_OK,
                "%s", gru_last_error());
        for (size_t i = 0; i < bytes; i++)
            CHECK(states[i] == 0, "byte %zu of the states is %d", i, states[i]);
        stepper_free(&s);
        stepper_free(&other);
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

TEST(stream, streams_share_weights_and_see_their_updates) {
    static const layer_spec specs[] = {{.hidden = 8}};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, specs, 1, (stack_fixture_sizes){.T = STEPS, .N = 1, .I = 4});
    stepper a = stepper_make(fixture, 1), b = stepper_make(fixture, 1);
    float y[2][8], zeros[3 * 8 * 8] = {0};
    gru_layer *layer = NULL;
    step(&a, fixture->x, y[0]);
    step(&b, fixture->x, y[1]);
    CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0, "two streams of one stack differ");
    const gru_weights none = {.W = zeros, .R = zeros};
    REQUIRE(gru_stack_sublayer(fixture->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, &none, NULL) == GRU_OK, "%s", gru_last_error());
    step(&a, fixture->x, y[1]);
    for (int i = 0; i < 8; i++) /* zero weights: z is 1/2, the candidate 0 */
        CHECK(y[1][i] == 0.5f * y[0][i], "after the update y[%d] is %.9g, expected half of %.9g", i,
              (double)y[1][i], (double)y[0][i]);
    stepper_free(&a);
    stepper_free(&b);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* A second stack of the fixture's layers, with learned initial states. */
ENGINE_TEST(stream, learned_initial_states_begin_streams_and_states) {
    enum { ROWS = 3 };
    static const layer_spec specs[] = {{.hidden = 8}, {.hidden = 5}};
    static const float learned[2][8] = {{0.5f, -0.5f, 0.25f, 1, -1, 0, 0.75f, 2},
                                        {-0.25f, 0.125f, 3, 1, -0.5f}};
    gru_context *context = tester_context(engine, 1);
    for (int64_t rows = 1; rows <= ROWS; rows += 2) {
        stack_fixture *fixture =
            stack_fixture_make(context, specs, 2, (stack_fixture_sizes){.T = STEPS, .N = rows, .I = 4});
        gru_states *states = NULL;
        for (int k = 0; k < 2; k++) fixture->layers[k].h0[0] = learned[k];
        gru_stack_release(fixture->stack);
        REQUIRE(gru_stack_create(context, &fixture->config, &fixture->stack) == GRU_OK, "%s",
                gru_last_error());
        stepper s = stepper_make(fixture, rows);
        const size_t bytes = gru_stream_state_bytes(s.stream);
        float *read = stack_fixture_allocate(fixture, bytes), *at = read;
        char *first = stack_fixture_allocate(fixture, s.y_bytes),
             *y = stack_fixture_allocate(fixture, s.y_bytes);
        REQUIRE(gru_stream_read_state(s.stream, read) == GRU_OK &&
                    gru_wait(context, tester_device.stream) == GRU_OK,
                "%s", gru_last_error());
        REQUIRE(gru_states_create(fixture->stack, rows, &states) == GRU_OK, "%s", gru_last_error());
        for (int k = 0; k < 2; k++)
            for (int64_t n = 0; n < rows; n++, at += specs[k].hidden) {
                float row[8];
                CHECK(memcmp(at, learned[k], (size_t)specs[k].hidden * sizeof *at) == 0,
                      "layer %d, row %d of a stream", k, (int)n);
                copy(&s, row, (const float *)gru_states_initial(states)[k] + n * specs[k].hidden,
                     (size_t)specs[k].hidden * sizeof *row);
                REQUIRE(gru_wait(context, tester_device.stream) == GRU_OK, "%s", gru_last_error());
                CHECK(memcmp(row, learned[k], (size_t)specs[k].hidden * sizeof *at) == 0,
                      "layer %d, row %d of states", k, (int)n);
            }
        step(&s, fixture->x, first);
        step(&s, fixture->x, y);
        REQUIRE(gru_stream_reset(s.stream, -1) == GRU_OK, "%s", gru_last_error());
        step(&s, fixture->x, y);
        CHECK(memcmp(first, y, s.y_bytes) == 0, "after a reset the first step is another");
        gru_states_release(states);
        stepper_free(&s);
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

/* ---- refusals ---- */

static void refused(gru_status got, gru_status status, const char *expected) {
    CHECK(got == status, "expected %s with \"%s\", got %s", gru_status_name(status), expected,
          gru_status_name(got));
    CHECK(strstr(gru_last_error(), expected), "expected \"%s\" in: %s", expected, gru_last_error());
}

TEST(stream, wrong_configurations_are_refused) {
    static const layer_spec forward[] = {{.hidden = 4}},
                            both[] = {{.hidden = 4}, {.hidden = 3, .bidirectional = 1}},
                            reverse[] = {{.hidden = 4, .direction = GRU_REVERSE}};
    const stack_fixture_sizes sizes = {.T = 1, .N = 1, .I = 2},
                              projected = {.T = 1, .N = 1, .I = 0, .projected = 1};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *good = stack_fixture_make(context, forward, 1, sizes);
    stack_fixture *two = stack_fixture_make(context, both, 2, sizes);
    stack_fixture *back = stack_fixture_make(context, reverse, 1, sizes);
    stack_fixture *no_x = stack_fixture_make(context, forward, 1, projected);
    gru_stream *stream = NULL;
    gru_layer *layer = NULL;
    gru_stream_config config = GRU_INIT;
    refused(gru_stream_create_stack(NULL, NULL, &stream), GRU_BAD_ARGUMENT, "stack is NULL");
    refused(gru_stream_create(NULL, NULL, &stream), GRU_BAD_ARGUMENT, "layer is NULL");
    refused(gru_stream_create_stack(good->stack, NULL, NULL), GRU_BAD_ARGUMENT, "stream is NULL");
    refused(gru_stream_create_stack(two->stack, NULL, &stream), GRU_UNSUPPORTED,
            "layer 1 has a reverse direction");
    refused(gru_stream_create_stack(back->stack, NULL, &stream), GRU_UNSUPPORTED, "cannot be streamed");
    refused(gru_stream_create_stack(no_x->stack, NULL, &stream), GRU_UNSUPPORTED, "0 inputs");
    REQUIRE(gru_stack_sublayer(back->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    refused(gru_stream_create(layer, NULL, &stream), GRU_UNSUPPORTED, "cannot be streamed");
    REQUIRE(gru_layer_create(context, &good->configs[0], NULL, &layer) == GRU_OK, "%s", gru_last_error());
    refused(gru_stream_create(layer, NULL, &stream), GRU_UNSUPPORTED, "layer was created without weights");
    gru_layer_release(layer);
    config.rows = -1;
    refused(gru_stream_create_stack(good->stack, &config, &stream), GRU_BAD_ARGUMENT, "config.rows is -1");
    config.rows = INT64_MAX / 2;
    refused(gru_stream_create_stack(good->stack, &config, &stream), GRU_BAD_ARGUMENT,
            "config.rows is 4611686018427387903, which");
    config.rows = 1, config.queue = &config;
    refused(gru_stream_create_stack(good->stack, &config, &stream), GRU_BAD_ARGUMENT, "config.queue is ");
    config.queue = NULL, config.reserved[3] = 5;
    refused(gru_stream_create_stack(good->stack, &config, &stream), GRU_BAD_ARGUMENT,
            "config.reserved[3] is 5");
    CHECK(!stream, "a stream came of it");
    CHECK(gru_stream_state_bytes(NULL) == 0, "a stream that is NULL has states");
    stack_fixture_free(good), stack_fixture_free(two), stack_fixture_free(back), stack_fixture_free(no_x);
    gru_context_release(context);
}

TEST(stream, wrong_data_is_refused_and_nothing_moves) {
    static const layer_spec specs[] = {{.hidden = 4}};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, specs, 1, (stack_fixture_sizes){.T = 1, .N = 1, .I = 4});
    stepper s = stepper_make(fixture, 1);
    float memory[12] = {0}, state[4];
    const void *odd = (const char *)memory + 1;
    memset(state, 0xFF, sizeof state);
    refused(gru_stream_step(NULL, memory, NULL), GRU_BAD_ARGUMENT, "stream is NULL");
    refused(gru_stream_step(s.stream, NULL, memory), GRU_BAD_ARGUMENT, "x is NULL, expected 16 bytes");
    refused(gru_stream_step(s.stream, odd, NULL), GRU_BAD_ARGUMENT, "x is ");
    refused(gru_stream_step(s.stream, memory + 4, (char *)memory + 2), GRU_BAD_ARGUMENT, "y is ");
    refused(gru_stream_step(s.stream, memory, memory), GRU_BAD_ARGUMENT, "overlaps y");
    refused(gru_stream_step(s.stream, memory + 4, memory + 1), GRU_BAD_ARGUMENT, "overlaps y");
    refused(gru_stream_step(s.stream, memory, memory + 3), GRU_BAD_ARGUMENT, "overlaps y");
    refused(gru_stream_reset(NULL, 0), GRU_BAD_ARGUMENT, "stream is NULL");
    refused(gru_stream_reset(s.stream, 1), GRU_BAD_ARGUMENT, "row is 1, expected -1 (all) to 0");
    refused(gru_stream_reset(s.stream, -2), GRU_BAD_ARGUMENT, "row is -2");
    refused(gru_stream_read_state(s.stream, NULL), GRU_BAD_ARGUMENT, "state is NULL, expected 16 bytes");
    refused(gru_stream_write_state(s.stream, NULL), GRU_BAD_ARGUMENT, "state is NULL");
    refused(gru_stream_read_state(NULL, state), GRU_BAD_ARGUMENT, "stream is NULL");
    REQUIRE(gru_stream_read_state(s.stream, state) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < 4; i++) CHECK(state[i] == 0, "a refused step changed the state");
    CHECK(gru_stream_step(s.stream, memory, memory + 4) == GRU_OK, "side by side: %s", gru_last_error());
    stepper_free(&s);
    gru_stream_release(NULL);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* ---- two steps that meet ---- */

/* Steps the stream while a step of it is running on this pool. */
typedef struct nested {
    gru_stream *stream;
    const float *x;
    gru_status status;
    int32_t calls;
} nested;

static void step_inside(void *user, int32_t count, void (*task)(void *argument, int32_t index),
                        void *argument) {
    nested *n = user;
    (void)count, (void)task, (void)argument;
    n->calls++;
    n->status = gru_stream_step(n->stream, n->x, NULL);
}

/* The pool runs none of its tasks: what the step gives does not matter here. */
TEST(stream, two_steps_at_once_are_refused) {
    enum { WIDE = 2048 };
    nested n = {.status = GRU_OK};
    gru_context_config config = {
        .backend = GRU_BACKEND_CPU, .threads = 2, .parallel = step_inside, .parallel_user = &n};
    gru_context *context = NULL;
    float *numbers = calloc(3 * WIDE * WIDE, sizeof *numbers);
    const gru_layer_config layer_config = {.inputs = 1, .hidden = WIDE};
    const gru_weights weights = {.W = numbers, .R = numbers};
    gru_layer *layer = NULL;
    REQUIRE(numbers && gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_create(context, &layer_config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stream_create(layer, NULL, &n.stream) == GRU_OK, "%s", gru_last_error());
    n.x = numbers;
    (void)gru_stream_step(n.stream, numbers, NULL);
    CHECK(n.calls == 1, "the step used the pool %d times", n.calls);
    refused(n.status, GRU_BAD_ARGUMENT, "in use by another thread");
    gru_stream_release(n.stream);
    gru_layer_release(layer);
    gru_context_release(context);
    free(numbers);
}

/* ---- allocation failures ---- */

TEST(stream, every_allocation_may_fail) {
    const float numbers[3 * 4 * 4] = {0};
    const gru_layer_config layer_config = {.inputs = 4, .hidden = 4};
    const gru_weights weights = {.W = numbers, .R = numbers};
    ledger l = LEDGER_INIT;
    gru_context_config config = {.backend = GRU_BACKEND_CPU, .threads = 1};
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    int failed = 0;
    config.allocator = ledger_allocator(&l);
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_create(context, &layer_config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    const size_t before = l.bytes;
    for (;; failed++) {
        gru_stream *stream = NULL;
        l.left = failed;
        const gru_status status = gru_stream_create(layer, NULL, &stream);
        CHECK(status == GRU_OK || (status == GRU_OUT_OF_MEMORY && !stream), "allocation %d: %s", failed,
              gru_status_name(status));
        gru_stream_release(stream);
        CHECK(l.bytes == before, "allocation %d failed, and %zu bytes are held instead of %zu", failed,
              l.bytes, before);
        if (status == GRU_OK) break;
    }
    CHECK(failed >= 3, "only %d allocations: the stream, its memory and its zeros need more", failed);
    gru_layer_release(layer);
    gru_context_release(context);
    CHECK(l.bytes == 0, "%zu bytes are left", l.bytes);
}
