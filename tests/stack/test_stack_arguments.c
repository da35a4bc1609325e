/* test_stack_arguments.c: every wrong argument of a stack gets its status and a sentence, and nothing is written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const layer_spec two[] = {{.hidden = 4, .bidirectional = 1}, {.hidden = 3, .bidirectional = 1}};

/* ---- creation ---- */

static void refuse_config(gru_context *context, const gru_stack_config *config, const char *expected) {
    gru_stack *stack = NULL;
    const gru_status status = gru_stack_create(context, config, &stack);
    CHECK(status == GRU_BAD_ARGUMENT, "expected a refusal with \"%s\", got %s", expected,
          gru_status_name(status));
    CHECK(strstr(gru_last_error(), expected), "expected \"%s\" in: %s", expected, gru_last_error());
    CHECK(!stack, "a stack came of it");
}

#define REFUSE_CONFIG(change, expected)                 \
    do {                                                \
        gru_stack_layer layers[2];                      \
        gru_stack_config config = fixture->config;      \
        memcpy(layers, fixture->layers, sizeof layers); \
        config.layers = layers;                         \
        change;                                         \
        refuse_config(context, &config, expected);      \
    } while (0)

TEST(stack_arguments, wrong_configurations_are_refused) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, two, COUNT(two), (stack_fixture_sizes){.T = 1, .N = 1, .I = 2});
    gru_stack *stack = NULL;
    refuse_config(NULL, &fixture->config, "context is NULL");
    refuse_config(context, NULL, "config is NULL");
    CHECK(gru_stack_create(context, &fixture->config, NULL) == GRU_BAD_ARGUMENT,
          "a place for the stack is NULL");
    REFUSE_CONFIG(config.count = 0, "config.count is 0");
    REFUSE_CONFIG(config.count = -3, "config.count is -3");
    REFUSE_CONFIG(config.layers = NULL, "config.layers is NULL");
    REFUSE_CONFIG(config.dropout = 1, "config.dropout is 1");
    REFUSE_CONFIG(config.dropout = -0.5f, "config.dropout is -0.5");
    REFUSE_CONFIG(config.dropout = NAN, "config.dropout is nan");
    REFUSE_CONFIG(config.reserved[7] = 9, "config.reserved[7] is 9");
    REFUSE_CONFIG(layers[1].bidirectional = 2, "layers[1].bidirectional is 2");
    REFUSE_CONFIG(layers[0].merge = 5, "layers[0].merge is 5, expected 0 to 4");
    REFUSE_CONFIG(layers[0].merge = GRU_MERGE_SEPARATE, "only the last layer, 1");
    REFUSE_CONFIG(layers[0].merge = GRU_MERGE_SUM,
                  "layers[1].config.inputs is 8, expected the outputs of the layer below: 4");
    REFUSE_CONFIG(layers[0].config.inputs = -1, "layer 0, forward: config.inputs is -1");
    REFUSE_CONFIG(layers[0].reverse_config.clip = 1, "layers[0].reverse_config.hidden is 0");
    REFUSE_CONFIG((layers[0].reverse_config = layers[0].config, layers[0].reverse_config.inputs = 3),
                  "layers[0].reverse_config.inputs is 3, expected config.inputs: 2");
    REFUSE_CONFIG((layers[1].reverse_config = layers[1].config, layers[1].reverse_config.io_type = GRU_F16),
                  "layers[1].reverse_config.io_type is f16");
    REFUSE_CONFIG((layers[1].reverse_config = layers[1].config, layers[1].reverse_config.gate = 7),
                  "layer 1, reverse: config.gate is 7");
    REFUSE_CONFIG((layers[1].reverse_config = layers[1].config, layers[1].reverse_config.hidden = 5,
                   layers[1].merge = GRU_MERGE_MULTIPLY),
                  "layers[1].reverse_config.hidden is 5, expected config.hidden, 3");
    REFUSE_CONFIG((layers[1].reverse_config = layers[1].config, layers[1].bidirectional = 0),
                  "layers[1].reverse_config is given, but the layer has one direction");
    REFUSE_CONFIG((layers[0].reverse_config = layers[0].config, layers[0].reverse_config.hidden = 5),
                  "layers[1].config.inputs is 8, expected the outputs of the layer below: 9");
    REFUSE_CONFIG(layers[1].config.inputs = 7, "layers[1].config.inputs is 7");
    REFUSE_CONFIG(layers[1].config.io_type = GRU_BF16, "layers[1].config.io_type is bf16");
    REFUSE_CONFIG(layers[1].config.state_type = GRU_F64, "layers[1].config.state_type is f64");
    REFUSE_CONFIG(layers[1].config.hidden = 0, "layer 1, forward: config.hidden is 0");
    REFUSE_CONFIG(layers[0].weights[1].R = NULL, "layer 0, reverse: weights.R is NULL");
    REFUSE_CONFIG(layers[1].config.clip = -1, "layer 1, forward: config.clip is -1");
    CHECK(gru_stack_sublayer(NULL, 0, NULL, NULL) == GRU_BAD_ARGUMENT, "stack is NULL");
    gru_stack_config found;
    CHECK(gru_stack_describe(NULL, &found, NULL) == GRU_BAD_ARGUMENT, "stack is NULL");
    CHECK(gru_stack_describe(fixture->stack, NULL, NULL) == GRU_BAD_ARGUMENT, "config is NULL");
    CHECK(gru_stack_sizes(NULL, 1, 1, &fixture->needed) == GRU_BAD_ARGUMENT, "stack is NULL");
    CHECK(gru_stack_sizes(fixture->stack, 1, 1, NULL) == GRU_BAD_ARGUMENT, "sizes is NULL");
    CHECK(gru_stack_sublayers(NULL) == 0 && gru_stack_inputs(NULL) == 0 && gru_stack_outputs(NULL) == 0,
          "stack is NULL");
    CHECK(!stack, "a stack came of it");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* ---- forward ---- */

static void untouched(const stack_fixture *fixture, const char *when) {
    CHECK(tester_untouched(fixture->y, stack_fixture_y_count(fixture) * stack_fixture_io_bytes(fixture)),
          "y was written although %s", when);
    for (int32_t k = 0; k < fixture->sublayers; k++)
        CHECK(tester_untouched(fixture->hT[k],
                               stack_fixture_states(fixture, k) * stack_fixture_state_bytes(fixture)),
              "hT[%d] was written although %s", k, when);
}

static void refuse_run(const stack_fixture *fixture, const gru_stack_run *run, gru_status status,
                       const char *expected) {
    const gru_status got = gru_stack_forward(fixture->stack, run);
    CHECK(got == status, "expected %s with \"%s\", got %s", gru_status_name(status), expected,
          gru_status_name(got));
    CHECK(strstr(gru_last_error(), expected), "expected \"%s\" in: %s", expected, gru_last_error());
    untouched(fixture, expected);
}

/* The change may use run, data, and the arrays h0, hT, strides of this run's own. */
#define REFUSE_AS(status, change, expected)                                     \
    do {                                                                        \
        gru_stack_run run = fixture->run;                                       \
        gru_run *data = &run.data;                                              \
        void *h0[STACK_FIXTURE_SUBLAYERS], *hT[STACK_FIXTURE_SUBLAYERS];        \
        int64_t strides[STACK_FIXTURE_SUBLAYERS] = {0};                         \
        const void *packed[STACK_FIXTURE_SUBLAYERS] = {0};                      \
        memcpy(h0, fixture->h0, sizeof h0), memcpy(hT, fixture->hT, sizeof hT); \
        run.h0 = (const void *const *)h0, run.hT = hT, run.h_strides = strides; \
        (void)data, (void)packed;                                               \
        change;                                                                 \
        refuse_run(fixture, &run, status, expected);                            \
    } while (0)
#define REFUSE(change, expected) REFUSE_AS(GRU_BAD_ARGUMENT, change, expected)

TEST(stack_arguments, wrong_runs_are_refused) {
    static const int32_t long_one[] = {1, 4, 3}, negative[] = {3, -1, 0}, slots[] = {0, 1, 5},
                         twice[] = {0, 2, 2};
    static const int64_t falling[] = {0, 2, 1, 3};
    static _Alignas(64) char aligned[64];
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, two, COUNT(two), (stack_fixture_sizes){.T = 3, .N = 3, .I = 2});
    CHECK(gru_stack_forward(NULL, &fixture->run) == GRU_BAD_ARGUMENT, "stack is NULL");
    CHECK(gru_stack_forward(fixture->stack, NULL) == GRU_BAD_ARGUMENT, "run is NULL");
    REFUSE(run.reserved[0] = 1, "reserved[0] is 1");
    REFUSE(data->reserved[3] = 1, "reserved[3] is 1");
    REFUSE(data->T = -1, "run.T is -1");
    REFUSE(data->N = -1, "run.N is -1");
    REFUSE(data->T = INT64_MAX, "more bytes than there are addresses");
    REFUSE(data->mode = 3, "run.mode is 3");
    REFUSE(data->h0 = fixture->h0[0], "run.data.h0 is given");
    REFUSE(data->hT = fixture->hT[0], "run.data.hT is given");
    REFUSE(data->h0_stride = 4, "run.data.h0_stride is given");
    REFUSE(data->hT_stride = 4, "run.data.hT_stride is given");
    REFUSE(data->h_restart = fixture->h0[0], "run.data.h_restart is given");
    REFUSE(data->projected.data = fixture->x, "layer 0, forward: run.x and run.projected are both given");
    REFUSE((data->projected.data = (const char *)fixture->x + 1, data->x.data = NULL),
           "run.data.projected is ");
    REFUSE((data->projected.data = fixture->x, data->x.data = NULL, data->projected.time_stride = -1),
           "run.data.projected.time_stride is -1");
    REFUSE((packed[2] = aligned + 8, run.packed = packed), "layer 1, forward: run.packed is ");
    REFUSE((packed[1] = fixture->y, run.packed = packed), "layer 0, reverse: run.packed");
    REFUSE(data->packed = aligned, "run.data.packed is given");
    REFUSE(data->x.data = NULL, "layer 0, forward: run.x is NULL");
    REFUSE(data->x.data = (const char *)fixture->x + 1, "run.data.x is ");
    REFUSE(data->x.time_stride = -6, "run.data.x.time_stride is -6");
    REFUSE(data->y.batch_stride = 3, "run.data.y");
    REFUSE(data->y.time_stride = INT64_MAX / 2, "run.data.y");
    REFUSE(run.y_reverse.data = fixture->y, "run.y_reverse is given");
    REFUSE(data->stream = aligned, "run.stream");
    REFUSE(data->workspace = NULL, "run.data.workspace is NULL");
    REFUSE(data->workspace = (char *)data->workspace + 8, "run.data.workspace is ");
    REFUSE(data->workspace_size -= 1, "run.data.workspace_size is ");
    REFUSE(data->mode = GRU_TRAIN, "run.data.reserve_size is 0");
    REFUSE((data->mode = GRU_TRAIN, data->reserve_size = SIZE_MAX), "run.data.reserve is NULL");
    REFUSE_AS(GRU_BAD_DATA, data->lengths = long_one, "run.lengths[1] is 4");
    REFUSE_AS(GRU_BAD_DATA, data->lengths = negative, "run.lengths[1] is -1");
    REFUSE_AS(GRU_BAD_DATA, (data->h0_slots = slots, data->slot_count = 5), "run.h0_slots[2] is 5");
    REFUSE_AS(GRU_BAD_DATA, (data->hT_slots = twice, data->slot_count = 3), "run.hT_slots has 2 twice");
    REFUSE((data->lengths = twice, data->mask.data = twice), "run.lengths and run.mask are both given");
    REFUSE(data->ragged_rows = 1, "run.ragged_rows is 1, expected 0");
    REFUSE_AS(GRU_BAD_DATA, (data->offsets = falling, data->ragged_rows = 3), "run.offsets[2] is 1");
    REFUSE((data->offsets = falling, data->ragged_rows = 3, data->x.batch_stride = 6),
           "run.data.x.batch_stride is 6, expected 0: the batch is ragged");
    REFUSE(strides[2] = 2, "layer 1, forward: run.h0_stride is 2");
    REFUSE(h0[3] = (char *)h0[3] + 2, "layer 1, reverse: run.h0 is ");
    REFUSE((h0[1] = NULL, data->h0_slots = twice, data->slot_count = 3),
           "layer 0, reverse: run.h0_slots is given");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack_arguments, overlapping_buffers_are_refused) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, two, COUNT(two), (stack_fixture_sizes){.T = 3, .N = 3, .I = 2});
    REFUSE(data->y.data = fixture->x, "run.data.x");
    REFUSE(data->y.data = fixture->run.data.workspace, "run.data.workspace");
    REFUSE(h0[0] = data->workspace, "layer 0, forward");
    REFUSE(hT[3] = fixture->x, "layer 1, reverse");
    REFUSE(hT[2] = fixture->y, "overlaps run.");
    REFUSE(hT[1] = hT[0], "layer 0, forward: run.hT[0]");
    REFUSE(hT[0] = h0[1], "run.h0[1]");
    REFUSE(hT[3] = h0[0], "layer 0, forward: run.h0[0]");
    REFUSE(h0[2] = fixture->y, "overlaps run.");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack_arguments, states_of_cells_may_be_shared_where_they_are_only_read) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, two, COUNT(two), (stack_fixture_sizes){.T = 3, .N = 3, .I = 2});
    fixture->h0[1] = fixture->h0[0], fixture->h0[3] = fixture->h0[2];
    CHECK(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack_arguments, dropout_needs_a_seed) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture =
        stack_fixture_make(context, two, COUNT(two),
                           (stack_fixture_sizes){.T = 3, .N = 3, .I = 2, .dropout = 0.5f, .mode = GRU_TRAIN});
    REFUSE(run.dropout_seed = NULL, "run.dropout_seed is NULL");
    REFUSE(run.dropout_seed = (const uint64_t *)(const void *)((const char *)fixture->x + 4),
           "run.dropout_seed is ");
    REFUSE(data->y.data = fixture->dropout_seed, "run.dropout_seed");
    REFUSE(hT[2] = fixture->dropout_seed, "run.dropout_seed");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack_arguments, a_seed_is_not_read_without_dropout) {
    gru_context *context = tester_context(NULL, 1);
    const stack_fixture_sizes inference = {.T = 3, .N = 3, .I = 2, .dropout = 0.5f},
                              zero = {.T = 3, .N = 3, .I = 2, .mode = GRU_TRAIN},
                              alone = {.T = 3, .N = 3, .I = 2, .dropout = 0.5f, .mode = GRU_TRAIN};
    const stack_fixture_sizes sizes[] = {inference, zero, alone};
    for (int i = 0; i < COUNT(sizes); i++) {
        stack_fixture *fixture = stack_fixture_make(context, two, i < 2 ? COUNT(two) : 1, sizes[i]);
        fixture->run.dropout_seed = i ? NULL : (const void *)((const char *)fixture->x + 1);
        CHECK(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

/* ---- backward ---- */

/* One gradient of each kind, which no refused call may write. */
typedef struct outputs {
    float *dx, *dR[STACK_FIXTURE_SUBLAYERS], *dh0[STACK_FIXTURE_SUBLAYERS];
    gru_stack_gradients gradients;
} outputs;

static void outputs_make(stack_fixture *fixture, outputs *o) {
    memset(o, 0, sizeof *o);
    o->dx = stack_fixture_allocate(fixture, 18 * sizeof(float));
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const size_t H = (size_t)fixture->configs[k].hidden;
        o->dR[k] = stack_fixture_allocate(fixture, 3 * H * H * sizeof(float));
        o->dh0[k] = stack_fixture_allocate(fixture, stack_fixture_states(fixture, k) * sizeof(float));
    }
    o->gradients.data.dx.data = o->dx;
    o->gradients.dR = (void *const *)o->dR;
    o->gradients.dh0 = (void *const *)o->dh0;
}

static void refuse_backward(const stack_fixture *fixture, const outputs *o, const gru_stack_run *run,
                            const gru_stack_gradients *gradients, const char *expected) {
    const gru_status status = gru_stack_backward(fixture->stack, run, gradients);
    CHECK(status == GRU_BAD_ARGUMENT, "expected a refusal with \"%s\", got %s", expected,
          gru_status_name(status));
    CHECK(strstr(gru_last_error(), expected), "expected \"%s\" in: %s", expected, gru_last_error());
    CHECK(tester_untouched(o->dx, 18 * sizeof(float)), "dx was written although %s", expected);
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const size_t H = (size_t)fixture->configs[k].hidden;
        CHECK(tester_untouched(o->dR[k], 3 * H * H * sizeof(float)), "dR was written although %s", expected);
        CHECK(tester_untouched(o->dh0[k], stack_fixture_states(fixture, k) * sizeof(float)),
              "dh0 was written although %s", expected);
    }
}

#define REFUSE_BACKWARD(change, expected)                                 \
    do {                                                                  \
        gru_stack_run run = backward;                                     \
        gru_stack_gradients gradients = o.gradients;                      \
        void *dR[STACK_FIXTURE_SUBLAYERS], *dh0[STACK_FIXTURE_SUBLAYERS]; \
        memcpy(dR, o.dR, sizeof dR), memcpy(dh0, o.dh0, sizeof dh0);      \
        gradients.dR = dR, gradients.dh0 = dh0;                           \
        (void)run.data.T;                                                 \
        change;                                                           \
        refuse_backward(fixture, &o, &run, &gradients, expected);         \
    } while (0)

TEST(stack_arguments, wrong_gradients_are_refused) {
    gru_context *context = tester_context("cpu_reference", 1);
    stack_fixture *fixture = stack_fixture_make(
        context, two, COUNT(two), (stack_fixture_sizes){.T = 3, .N = 3, .I = 2, .mode = GRU_TRAIN});
    outputs o;
    gru_stack_run backward;
    outputs_make(fixture, &o);
    backward = fixture->run;
    backward.data.workspace = stack_fixture_allocate(fixture, fixture->needed.backward_workspace);
    backward.data.workspace_size = fixture->needed.backward_workspace;
    REFUSE_BACKWARD((void)0, "run.reserve was not written by a training run");
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_backward(fixture->stack, &backward, NULL) == GRU_BAD_ARGUMENT, "gradients is NULL");
    CHECK(gru_stack_backward(NULL, &backward, &o.gradients) == GRU_BAD_ARGUMENT, "stack is NULL");
    CHECK(gru_stack_backward(fixture->stack, NULL, &o.gradients) == GRU_BAD_ARGUMENT, "run is NULL");
    REFUSE_BACKWARD(run.data.mode = GRU_INFERENCE, "run.data.mode is GRU_INFERENCE");
    REFUSE_BACKWARD(run.data.workspace_size -= 1, "run.data.workspace_size is ");
    REFUSE_BACKWARD(run.data.reserve_size -= 1, "run.data.reserve_size is ");
    REFUSE_BACKWARD(gradients.reserved[1] = 1, "gradients.reserved[1] is 1");
    REFUSE_BACKWARD(gradients.data.reserved[1] = 1, "gradients.data.reserved[1] is 1");
    REFUSE_BACKWARD(gradients.data.parts = 8, "gradients.parts is 0x8");
    REFUSE_BACKWARD(gradients.data.parts = GRU_GRAD_WEIGHTS, "does not hold the data part");
    REFUSE_BACKWARD(gradients.data.dR = dR[0], "gradients.data.dR is given");
    REFUSE_BACKWARD(gradients.data.dh0 = dh0[0], "gradients.data.dh0 is given");
    REFUSE_BACKWARD(gradients.data.dhT = dh0[0], "gradients.data.dhT is given");
    REFUSE_BACKWARD(gradients.data.dprojected.data = fixture->y,
                    "layer 0, forward: gradients.dprojected is given, but the run has no projected input");
    REFUSE_BACKWARD(gradients.data.dattention.data = fixture->y,
                    "layer 0, forward: gradients.dattention is given, but the run has no attention");
    REFUSE_BACKWARD(gradients.dy_reverse.data = fixture->y, "gradients.dy_reverse is given");
    REFUSE_BACKWARD(gradients.data.dy.data = o.dx, "gradients.data.dx");
    REFUSE_BACKWARD(dR[3] = dR[0], "layer 0, forward: gradients.dR[0] ");
    REFUSE_BACKWARD(dh0[2] = dR[0], "layer 0, forward: gradients.dR[0] ");
    REFUSE_BACKWARD(dR[1] = (float *)run.data.reserve, "layer 0, reverse");
    REFUSE_BACKWARD(run.data.T = 2, "run.reserve was");
    float *scale = stack_fixture_allocate(fixture, 2 * sizeof *scale);
    scale[0] = 1;
    REFUSE_BACKWARD(gradients.data.loss_scale = (float *)(void *)((char *)scale + 2),
                    "gradients.data.loss_scale is ");
    REFUSE_BACKWARD((gradients.data.loss_scale = scale, dh0[2] = scale), "gradients.loss_scale");
    REFUSE_BACKWARD((gradients.data.loss_scale = scale, gradients.data.dx.data = scale),
                    "gradients.data.loss_scale");
    gru_stack_gradients wrong = o.gradients;
    wrong.data.loss_scale = scale + 1; /* NaN */
    CHECK(gru_stack_backward(fixture->stack, &backward, &wrong) == GRU_BAD_DATA &&
              strstr(gru_last_error(), "gradients.loss_scale[0] is "),
          "a loss scale that is not a number: %s", gru_last_error());
    stack_fixture_free(fixture);
    gru_context_release(context);
}
