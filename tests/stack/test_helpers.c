/* test_helpers.c: the functions that save a program loops: memory of runs, states of stacks, weights read out and replaced. */
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "support/device_mirror.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const layer_spec both[] = {{.hidden = 17, .bidirectional = 1},
                                  {.hidden = 5, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
static const stack_fixture_sizes small = {.T = 4, .N = 3, .I = 2};

static void refused(gru_status got, gru_status status, const char *expected) {
    CHECK(got == status, "expected %s with \"%s\", got %s", gru_status_name(status), expected,
          gru_status_name(got));
    CHECK(strstr(gru_last_error(), expected), "expected \"%s\" in: %s", expected, gru_last_error());
}

/* ---- memory of runs ---- */

TEST(helpers, a_run_gets_the_memory_of_its_mode) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), small);
    gru_layer *layer = NULL;
    REQUIRE(gru_stack_sublayer(fixture->stack, 1, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    for (int whole = 0; whole < 2; whole++)
        for (int32_t mode = GRU_INFERENCE; mode <= GRU_TRAIN_RECOMPUTE; mode++) {
            gru_run run = {.T = 4, .N = 3, .mode = mode};
            gru_sizes sizes = fixture->needed;
            if (!whole) REQUIRE(gru_layer_sizes(layer, 4, 3, &sizes) == GRU_OK, "%s", gru_last_error());
            REQUIRE((whole ? gru_stack_allocate(fixture->stack, &run) : gru_layer_allocate(layer, &run)) ==
                        GRU_OK,
                    "%s", gru_last_error());
            const size_t backward = mode ? sizes.backward_workspace : 0;
            const size_t most = backward > sizes.workspace ? backward : sizes.workspace;
            CHECK(run.workspace && run.workspace_size == most,
                  "mode %d: %zu bytes of workspace, expected %zu", mode, run.workspace_size, most);
            const size_t reserves[] = {0, sizes.reserve, sizes.reserve_recompute};
            CHECK(!run.reserve == (mode == 0) && run.reserve_size == reserves[mode],
                  "mode %d: %zu bytes of reserve, expected %zu", mode, run.reserve_size, reserves[mode]);
            memset(run.workspace, 1, run.workspace_size);
            if (mode) memset(run.reserve, 1, run.reserve_size);
            refused(gru_layer_allocate(layer, &run), GRU_BAD_ARGUMENT, "run.workspace is given");
            gru_run_free(context, &run);
            CHECK(!run.workspace && !run.reserve && run.workspace_size + run.reserve_size == 0,
                  "not all is free");
        }
    gru_run wrong = {.T = -1};
    refused(gru_layer_allocate(layer, &wrong), GRU_BAD_ARGUMENT, "T is -1");
    refused(gru_stack_allocate(fixture->stack, &wrong), GRU_BAD_ARGUMENT, "T is -1");
    wrong.T = 1, wrong.mode = 3;
    refused(gru_stack_allocate(fixture->stack, &wrong), GRU_BAD_ARGUMENT, "run.mode is 3");
    refused(gru_stack_allocate(fixture->stack, NULL), GRU_BAD_ARGUMENT, "run is NULL");
    refused(gru_layer_allocate(NULL, &wrong), GRU_BAD_ARGUMENT, "layer is NULL");
    refused(gru_stack_allocate(NULL, &wrong), GRU_BAD_ARGUMENT, "stack is NULL");
    gru_run_free(context, NULL);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* ---- states ---- */

TEST(helpers, states_go_on_where_the_last_run_ended) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), small);
    gru_states *states = NULL;
    stack_fixture_outputs hand;
    REQUIRE(gru_states_create(fixture->stack, small.N, &states) == GRU_OK, "%s", gru_last_error());
    for (int again = 0; again < 2; again++) {
        fixture->run.h0 = gru_states_initial(states), fixture->run.hT = gru_states_final(states);
        for (int32_t k = 0; k < fixture->sublayers; k++) /* what the run by hand starts from */
            memcpy(fixture->h0[k], fixture->run.h0[k], stack_fixture_states(fixture, k) * sizeof(float));
        CHECK(again || ((float *)fixture->h0[3])[14] == 0, "new states are not zero");
        REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        for (int32_t k = 0; k < fixture->sublayers; k++)
            memcpy(fixture->hT[k], fixture->run.hT[k], stack_fixture_states(fixture, k) * sizeof(float));
        fixture->run.h0 = (const void *const *)fixture->h0;
        stack_fixture_run_sublayers(fixture, &hand);
        stack_fixture_check(fixture, "a run of states", &hand);
    }
    REQUIRE(gru_states_reset(states, NULL) == GRU_OK, "%s", gru_last_error());
    for (int32_t k = 0; k < fixture->sublayers; k++)
        for (size_t i = 0; i < stack_fixture_states(fixture, k); i++)
            CHECK(((const float *)gru_states_initial(states)[k])[i] == 0,
                  "state %d of sublayer %d is not zero", (int)i, k);
    refused(gru_states_create(NULL, 1, &states), GRU_BAD_ARGUMENT, "stack is NULL");
    refused(gru_states_create(fixture->stack, -1, &states), GRU_BAD_ARGUMENT, "N is -1");
    refused(gru_states_create(fixture->stack, INT64_MAX, &states), GRU_BAD_ARGUMENT, "addresses");
    refused(gru_states_create(fixture->stack, 1, NULL), GRU_BAD_ARGUMENT, "states is NULL");
    refused(gru_states_reset(NULL, NULL), GRU_BAD_ARGUMENT, "states is NULL");
    CHECK(!gru_states_initial(NULL) && !gru_states_final(NULL), "states that are NULL have memory");
    gru_states_release(states);
    gru_states_release(NULL);
    REQUIRE(gru_states_create(fixture->stack, 0, &states) == GRU_OK, "no rows: %s", gru_last_error());
    gru_states_release(states);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* ---- weights ---- */

/* Each array of a sublayer read in a type, against the given numbers rounded to the packed type. */
static void check_weights(stack_fixture *fixture, gru_context *context, int32_t k, int32_t type) {
    const gru_layer_config *config = &fixture->configs[k];
    const gru_weights *given = fixture->weights[k];
    const size_t H = (size_t)config->hidden, I = (size_t)config->inputs;
    const size_t counts[4] = {3 * H * I, 3 * H * H, 3 * H, 3 * H};
    const void *const sources[4] = {given->W, given->R, given->bW, given->bR};
    void *out[4];
    gru_layer *layer = NULL;
    for (int i = 0; i < 4; i++) out[i] = stack_fixture_allocate(fixture, counts[i] * gru_type_bytes(type));
    const gru_weights_out wanted = {.W = out[0], .R = out[1], .bW = out[2], .bR = out[3], .type = type};
    REQUIRE(gru_stack_sublayer(fixture->stack, k, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_read(layer, &wanted, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, NULL) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < 4; i++)
        for (size_t at = 0; at < counts[i]; at++) {
            const double expected = gru_load_double(sources[i], given->type, at);
            const double got = gru_load_double(out[i], type, at);
            CHECK(got == (type == GRU_F32 ? (double)(float)expected : expected),
                  "array %d of sublayer %d, number %d: %.17g, expected %.17g", i, k, (int)at, got, expected);
        }
}

/* The given weights have the packed type, so that nothing is rounded. */
ENGINE_TEST(helpers, weights_are_read_out_as_they_were_given) {
    gru_context *context = tester_context(engine, 1);
    for (int32_t reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++)
        for (int32_t weights = GRU_F32; weights <= GRU_BF16; weights++) {
            stack_fixture_sizes sizes = small;
            sizes.weights = weights, sizes.reset_mode = reset;
            stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), sizes);
            for (int32_t k = 0; k < fixture->sublayers; k++)
                check_weights(fixture, context, k, k % 2 ? GRU_F64 : GRU_F32);
            stack_fixture_free(fixture);
        }
    gru_context_release(context);
}

TEST(helpers, weights_of_double_layers_are_read_out) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture_sizes sizes = small;
    sizes.type = GRU_F64;
    stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), sizes);
    for (int32_t k = 0; k < fixture->sublayers; k++)
        check_weights(fixture, context, k, k % 2 ? GRU_F64 : GRU_F32);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(helpers, wrong_places_for_weights_are_refused) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), small);
    float numbers[3 * 17];
    gru_layer *layer = NULL;
    gru_weights_out out = {.bR = numbers};
    REQUIRE(gru_stack_sublayer(fixture->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_layer_read(layer, &out, NULL) == GRU_OK, "one array alone: %s", gru_last_error());
    refused(gru_layer_read(NULL, &out, NULL), GRU_BAD_ARGUMENT, "layer is NULL");
    refused(gru_layer_read(layer, NULL, NULL), GRU_BAD_ARGUMENT, "weights is NULL");
    refused(gru_layer_read(layer, &out, layer), GRU_BAD_ARGUMENT, "stream is ");
    REQUIRE(gru_layer_create(context, &fixture->configs[0], NULL, &layer) == GRU_OK, "%s", gru_last_error());
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT, "layer was created without weights");
    gru_layer_release(layer);
    REQUIRE(gru_stack_sublayer(fixture->stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    out.type = GRU_BF16;
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT,
            "weights.type is bf16 (2), expected f32 or f64");
    out.type = GRU_INT8;
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT,
            "weights.type is int8 (4), expected f32 or f64: weight_type is not int8");
    out.type = GRU_F32, out.R_scale = numbers;
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT,
            "weights.R_scale is given, expected NULL: weights.type is f32, and scales go with int8");
    out.R_scale = NULL, out.bW = (char *)numbers + 1;
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT, "weights.bW is ");
    out.bW = NULL, out.reserved[2] = 1;
    refused(gru_layer_read(layer, &out, NULL), GRU_BAD_ARGUMENT, "weights.reserved[2] is 1");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

/* Two stacks of other numbers: after the update one computes what the other does. */
TEST(helpers, a_stack_is_updated_whole_or_not_at_all) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, both, COUNT(both), small);
    stack_fixture *other = stack_fixture_make(context, both, COUNT(both), small);
    gru_weights weights[4];
    stack_fixture_outputs hand;
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const size_t H = (size_t)fixture->configs[k].hidden;
        tester_fill((void *)(uintptr_t)other->weights[k]->R, GRU_F32, 3 * H * H, 0.5, 1000 + (uint64_t)k);
        weights[k] = *other->weights[k];
    }
    stack_fixture_run_sublayers(fixture, &hand);
    weights[3].R = NULL;
    refused(gru_stack_update(fixture->stack, weights, NULL), GRU_BAD_ARGUMENT,
            "layer 1, reverse: weights.R is NULL");
    const double zeros[3 * 5 * 34] = {0}, large[3 * 5 * 5] = {[3] = 1e39};
    weights[3] = (gru_weights){.W = zeros, .R = large, .type = GRU_F64};
    refused(gru_stack_update(fixture->stack, weights, NULL), GRU_BAD_DATA,
            "layer 1, reverse: weights.R[3] is 1e+39, which f32 cannot hold");
    refused(gru_stack_update(fixture->stack, NULL, NULL), GRU_BAD_ARGUMENT, "weights is NULL, expected [4]");
    refused(gru_stack_update(NULL, weights, NULL), GRU_BAD_ARGUMENT, "stack is NULL");
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_check(fixture, "after a refused update", &hand);
    weights[3] = *other->weights[3];
    REQUIRE(gru_stack_update(fixture->stack, weights, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    for (int32_t k = 0; k < fixture->sublayers; k++) fixture->weights[k] = other->weights[k];
    stack_fixture_run_sublayers(fixture, &hand);
    stack_fixture_check(fixture, "after the update", &hand);
    stack_fixture_free(fixture);
    stack_fixture_free(other);
    gru_context_release(context);
}
