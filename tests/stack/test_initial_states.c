/* test_initial_states.c: stacks with learned initial states against the same stacks that are given these states. */
#include <math.h>
#include <string.h>

#include "support/device_mirror.h"
#include "core/number.h"
#include "support/stack_fixture.h"

static const layer_spec specs[] = {{.hidden = 17, .bidirectional = 1},
                                   {.hidden = 5, .direction = GRU_REVERSE},
                                   {.hidden = 6, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
enum { LAYERS = sizeof specs / sizeof *specs, SUBLAYERS = 5 };

/* Gives row 0 of each h0 to all rows, but sublayer 1 zeros; learned[] points to these rows, of sublayer 1 to NULL. */
static void share_states(stack_fixture *f, gru_stack_layer layers[LAYERS]) {
    memcpy(layers, f->layers, LAYERS * sizeof *layers);
    const size_t element = stack_fixture_state_bytes(f);
    for (int32_t k = 0, sublayer = 0; k < LAYERS; k++)
        for (int d = 0; d <= specs[k].bidirectional; d++, sublayer++) {
            char *rows = f->h0[sublayer];
            const size_t row = (size_t)f->configs[sublayer].hidden * element;
            if (sublayer == 1) memset(rows, 0, row);
            for (int64_t n = 1; n < f->sizes.N; n++) memcpy(rows + (size_t)n * row, rows, row);
            layers[k].h0[d] = sublayer == 1 ? NULL : rows;
        }
}

static void compare(gru_context *context, stack_fixture_sizes sizes) {
    stack_fixture *f = stack_fixture_make(context, specs, LAYERS, sizes);
    gru_stack_layer layers[LAYERS];
    share_states(f, layers);
    gru_stack *given = f->stack, *learned = NULL;
    REQUIRE(device_mirror_stack_forward(given, &f->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_outputs expected = {
        .y = tester_copy(f->y, stack_fixture_y_count(f) * stack_fixture_io_bytes(f))};
    for (int32_t k = 0; k < SUBLAYERS; k++) {
        const size_t bytes = stack_fixture_states(f, k) * stack_fixture_state_bytes(f);
        expected.hT[k] = tester_copy(f->hT[k], bytes);
        memset(f->hT[k], 0xff, bytes);
    }
    memset(f->y, 0xff, stack_fixture_y_count(f) * stack_fixture_io_bytes(f));
    f->config.layers = layers;
    REQUIRE(gru_stack_create(context, &f->config, &learned) == GRU_OK, "%s", gru_last_error());
    gru_sizes sizes_learned = GRU_INIT;
    REQUIRE(gru_stack_sizes(learned, sizes.T, sizes.N, &sizes_learned) == GRU_OK, "%s", gru_last_error());
    f->run.data.workspace = stack_fixture_allocate(f, sizes_learned.workspace);
    f->run.data.workspace_size = sizes_learned.workspace;
    f->run.h0 = NULL;
    REQUIRE(device_mirror_stack_forward(learned, &f->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_check(f, "no h0", &expected);
    /* a state that is given counts, also beside learned ones */
    const void *some[SUBLAYERS] = {f->h0[0], NULL, NULL, f->h0[3], NULL};
    f->run.h0 = some;
    REQUIRE(device_mirror_stack_forward(learned, &f->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_check(f, "some h0", &expected);
    gru_stack_release(learned);
    tester_free(expected.y);
    for (int32_t k = 0; k < SUBLAYERS; k++) tester_free(expected.hT[k]);
    stack_fixture_free(f);
}

ENGINE_TEST(initial_states, are_those_that_runs_start_from) {
    gru_context *context = tester_context(engine, 1);
    compare(context, (stack_fixture_sizes){.T = 4, .N = 5, .I = 7});
    compare(context, (stack_fixture_sizes){.T = 3, .N = 4, .I = 7, .lengths = 1});
    compare(context, (stack_fixture_sizes){.T = 1, .N = 1, .I = 3});
    compare(context, (stack_fixture_sizes){.T = 3, .N = 3, .I = 2, .mode = GRU_TRAIN});
    compare(context, (stack_fixture_sizes){.T = 3, .N = 3, .I = 2, .type = GRU_BF16});
    gru_context_release(context);
}

TEST(initial_states, of_doubles) {
    gru_context *context = tester_context(NULL, 1);
    compare(context, (stack_fixture_sizes){.T = 4, .N = 5, .I = 7, .type = GRU_F64});
    compare(context, (stack_fixture_sizes){.T = 0, .N = 3, .I = 3, .type = GRU_F64});
    gru_context_release(context);
}

/* Given as int8's f32, as f16 and as f64, and kept as f32 and as f16. */
TEST(initial_states, are_converted) {
    static const double weights[4] = {0};
    static const int8_t bytes[3] = {0};
    static const float scales[3] = {1, 1, 1};
    static const struct {
        int32_t given, state, io;
        double number, kept;
        const char *words; /* NULL: it is kept */
    } cases[] = {
        {GRU_INT8, GRU_F32, GRU_F32, 0.1f, 0.1f, NULL},
        {GRU_F16, GRU_F32, GRU_F32, 0.5, 0.5, NULL},
        {GRU_F64, GRU_F32, GRU_F32, 0.1, 0.1f, NULL},
        {GRU_F32, GRU_F16, GRU_F16, 1 + 0x1p-12, 1, NULL},
        {GRU_F32, GRU_F16, GRU_F16, 70000, 0, "layer 0: h0[0] is 70000, which f16 cannot hold"},
        {GRU_F64, GRU_F32, GRU_F32, 1e39, 0, "layer 0: h0[0] is 1e+39, which f32 cannot hold"},
    };
    gru_context *context = tester_context(NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double h0 = 0, hT = 0, x[2] = {0};
        gru_stack_layer layer = GRU_INIT;
        gru_stack_config config = GRU_INIT;
        gru_stack *stack = NULL;
        const int int8 = cases[i].given == GRU_INT8;
        gru_store_double(&h0, int8 ? GRU_F32 : cases[i].given, 0, cases[i].number);
        layer.config.inputs = layer.config.hidden = 1;
        layer.config.state_type = cases[i].state, layer.config.io_type = cases[i].io;
        layer.weights[0].W = layer.weights[0].R = int8 ? (const void *)bytes : weights;
        layer.weights[0].W_scale = layer.weights[0].R_scale = int8 ? scales : NULL;
        layer.weights[0].type = cases[i].given;
        layer.h0[0] = &h0;
        config.layers = &layer, config.count = 1;
        const gru_status status = gru_stack_create(context, &config, &stack);
        if (cases[i].words) {
            CHECK(status == GRU_BAD_DATA && strstr(gru_last_error(), cases[i].words), "case %zu: %s, \"%s\"",
                  i, gru_status_name(status), gru_last_error());
            continue;
        }
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
        gru_sizes sizes = GRU_INIT;
        gru_stack_run run = GRU_INIT;
        void *states[1] = {&hT};
        REQUIRE(gru_stack_sizes(stack, 1, 1, &sizes) == GRU_OK, "%s", gru_last_error());
        run.data.T = 0, run.data.N = 1, run.data.x.data = x; /* no step: hT is the state itself */
        run.hT = states;
        run.data.workspace = tester_allocate(sizes.workspace);
        run.data.workspace_size = sizes.workspace;
        REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
        CHECK(gru_load_double(&hT, cases[i].state, 0) == cases[i].kept, "case %zu: %g, expected %g", i,
              gru_load_double(&hT, cases[i].state, 0), cases[i].kept);
        tester_free(run.data.workspace);
        gru_stack_release(stack);
    }
    gru_context_release(context);
}

TEST(initial_states, that_are_refused) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *f =
        stack_fixture_make(context, specs, LAYERS, (stack_fixture_sizes){.T = 2, .N = 3, .I = 2});
    gru_stack *stack = NULL;
    const char *odd = (const char *)f->h0[0] + 2;
    f->layers[0].h0[1] = odd;
    CHECK(gru_stack_create(context, &f->config, &stack) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "layers[0].h0[1] is") && strstr(gru_last_error(), "multiple of 4"),
          "%s", gru_last_error());
    f->layers[0].h0[1] = NULL, f->layers[1].h0[1] = f->h0[0];
    CHECK(gru_stack_create(context, &f->config, &stack) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "layers[1].h0[1] is given, but the layer has one direction"),
          "%s", gru_last_error());
    CHECK(!stack, "a refused stack came out");
    f->layers[1].h0[1] = NULL, f->layers[1].h0[0] = f->h0[2];
    REQUIRE(gru_stack_create(context, &f->config, &stack) == GRU_OK, "%s", gru_last_error());
    const int32_t slots[3] = {2, 0, 1}; /* a pool of states has to be given */
    gru_sizes sizes = GRU_INIT;
    REQUIRE(gru_stack_sizes(stack, 2, 3, &sizes) == GRU_OK, "%s", gru_last_error());
    CHECK(sizes.workspace > f->needed.workspace, "no room for the rows");
    f->run.data.workspace = stack_fixture_allocate(f, sizes.workspace),
    f->run.data.workspace_size = sizes.workspace;
    f->run.data.h0_slots = slots, f->run.data.slot_count = 3, f->run.h0 = NULL;
    CHECK(gru_stack_forward(stack, &f->run) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "run.h0_slots is given, but run.h0 is NULL"),
          "%s", gru_last_error());
    gru_stack_release(stack);
    stack_fixture_free(f);
    gru_context_release(context);
}
