/* test_stack.c: stacks against their sublayers run one by one, and what a stack promises about states and sizes. */
#include <stdlib.h>
#include <string.h>

#include "support/device_mirror.h"
#include "core/number.h"
#include "support/ledger.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const layer_spec concat_twice[] = {{.hidden = 17, .bidirectional = 1},
                                          {.hidden = 5, .bidirectional = 1}};
static const layer_spec sum_then_concat[] = {{.hidden = 6, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                             {.hidden = 9, .bidirectional = 1}};
static const layer_spec concat_then_sum[] = {{.hidden = 6, .bidirectional = 1},
                                             {.hidden = 9, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
static const layer_spec separate_last[] = {{.hidden = 4},
                                           {.hidden = 7, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const layer_spec average_then_product[] = {
    {.hidden = 6, .bidirectional = 1, .merge = GRU_MERGE_AVERAGE},
    {.hidden = 9, .bidirectional = 1, .merge = GRU_MERGE_MULTIPLY}};
static const layer_spec product_then_average[] = {
    {.hidden = 7, .bidirectional = 1, .merge = GRU_MERGE_MULTIPLY},
    {.hidden = 5, .bidirectional = 1, .merge = GRU_MERGE_AVERAGE}};
static const layer_spec other_variant[] = {
    {.hidden = 6, .bidirectional = 1, .reverse_hidden = 3, .reverse_reset = GRU_RESET_BEFORE},
    {.hidden = 9,
     .bidirectional = 1,
     .merge = GRU_MERGE_SUM,
     .reverse_hidden = 9,
     .reverse_candidate = GRU_CANDIDATE_RELU},
    {.hidden = 4,
     .bidirectional = 1,
     .merge = GRU_MERGE_SEPARATE,
     .reverse_hidden = 17,
     .reverse_reset = GRU_RESET_ALL}};
static const layer_spec alternating[] = {{.hidden = 8},
                                         {.hidden = 3, .direction = GRU_REVERSE},
                                         {.hidden = 12},
                                         {.hidden = 5, .direction = GRU_REVERSE}};
static const layer_spec upwards[] = {{.hidden = 8}, {.hidden = 3}, {.hidden = 12}};
static const layer_spec alone[] = {{.hidden = 8}};

static const struct stack_spec {
    const char *name;
    const layer_spec *specs;
    int32_t count;
} stacks[] = {
    {"two bidirectional layers", concat_twice, COUNT(concat_twice)},
    {"a sum below", sum_then_concat, COUNT(sum_then_concat)},
    {"a sum on top", concat_then_sum, COUNT(concat_then_sum)},
    {"separate outputs", separate_last, COUNT(separate_last)},
    {"an average below a product", average_then_product, COUNT(average_then_product)},
    {"a product below an average", product_then_average, COUNT(product_then_average)},
    {"directions of two variants", other_variant, COUNT(other_variant)},
    {"alternating directions", alternating, COUNT(alternating)},
    {"forward only", upwards, COUNT(upwards)},
    {"one layer", alone, COUNT(alone)},
};

/* A small stack of stacks[i] over sequences of different lengths. */
static stack_fixture *make_ragged(gru_context *context, int32_t i) {
    return stack_fixture_make(context, stacks[i].specs, stacks[i].count,
                              (stack_fixture_sizes){.T = 4, .N = 3, .I = 2, .lengths = 1});
}

/* Copies the final states of a run whose hT was h0 to where stack_fixture_check looks. */
static void take_states_in_place(stack_fixture *fixture) {
    for (int32_t k = 0; k < fixture->sublayers; k++)
        memcpy(fixture->hT[k], fixture->h0[k], stack_fixture_states(fixture, k) * sizeof(float));
}

static void compare_by_hand(gru_context *context, stack_fixture_sizes sizes) {
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = stack_fixture_make(context, stacks[i].specs, stacks[i].count, sizes);
        stack_fixture_outputs hand;
        stack_fixture_run_sublayers(fixture, &hand);
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s: %s",
                stacks[i].name, gru_last_error());
        stack_fixture_check(fixture, stacks[i].name, &hand);
        stack_fixture_free(fixture);
    }
}

ENGINE_TEST(stack, equals_its_cells) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 6, .N = 5, .I = 7});
    compare_by_hand(context, (stack_fixture_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1});
    compare_by_hand(context, (stack_fixture_sizes){.T = 1, .N = 1, .I = 3});
    gru_context_release(context);
}

ENGINE_TEST(stack, equals_its_cells_in_16_bits) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_BF16});
    compare_by_hand(context, (stack_fixture_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_F16});
    gru_context_release(context);
}

TEST(stack, equals_its_cells_in_f64) {
    gru_context *context = tester_context(NULL, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_F64});
    gru_context_release(context);
}

ENGINE_TEST(stack, training_gives_the_same_outputs) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1, .mode = GRU_TRAIN});
    compare_by_hand(context,
                    (stack_fixture_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1, .mode = GRU_TRAIN_RECOMPUTE});
    gru_context_release(context);
}

TEST(stack, segments_and_attention_reach_every_cell) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture =
            stack_fixture_make(context, stacks[i].specs, stacks[i].count,
                               (stack_fixture_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1});
        stack_fixture_outputs plain, hand;
        stack_fixture_run_sublayers(fixture, &plain);
        uint8_t *reset = stack_fixture_allocate(fixture, 30);
        float *attention = stack_fixture_allocate(fixture, 30 * sizeof *attention);
        for (uint64_t s = 0; s < 30; s++) {
            reset[s] = s % 4 == 1;
            attention[s] = (float)(0.5 + 0.5 * tester_uniform(3, s));
        }
        fixture->run.data.restart.data = reset, fixture->run.data.attention.data = attention;
        stack_fixture_run_sublayers(fixture, &hand);
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        stack_fixture_check(fixture, stacks[i].name, &hand);
        CHECK(memcmp(plain.y, fixture->y, stack_fixture_y_count(fixture) * sizeof(float)) != 0,
              "segments and attention changed nothing");
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

ENGINE_TEST(stack, projected_input_reaches_both_directions_of_the_first_layer) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 3, .N = 2, .I = 0, .lengths = 1, .projected = 1});
    if (!tester_device.watches) /* an emulator takes its time */
        compare_by_hand(context,
                        (stack_fixture_sizes){
                            .T = 6, .N = 5, .I = 7, .projected = 1, .mode = GRU_TRAIN, .type = GRU_BF16});
    gru_context_release(context);
}

ENGINE_TEST(stack, packed_weights_stand_in_for_those_of_every_cell) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (stack_fixture_sizes){.T = 1, .N = 1, .I = 7, .packed = 1});
    if (!tester_device.watches)
        compare_by_hand(context,
                        (stack_fixture_sizes){.T = 6, .N = 5, .I = 7, .packed = 1, .mode = GRU_TRAIN});
    gru_context_release(context);
}

/* ---- states ---- */

ENGINE_TEST(stack, chunks_give_the_same_bits) {
    static const int64_t cuts[] = {5, 1, 6};
    const stack_fixture_sizes sizes = {.T = 12, .N = 3, .I = 7};
    gru_context *context = tester_invariant_context(engine);
    stack_fixture *fixture = stack_fixture_make(context, upwards, COUNT(upwards), sizes);
    stack_fixture_outputs whole;
    stack_fixture_run_sublayers(fixture, &whole);
    fixture->run.hT = fixture->h0; /* in place: each chunk starts where the last ended */
    for (int64_t i = 0, t0 = 0; i < COUNT(cuts); t0 += cuts[i++]) {
        fixture->run.data.T = cuts[i];
        fixture->run.data.x.data = (const float *)fixture->x + t0 * sizes.N * sizes.I;
        fixture->run.data.y.data = (float *)fixture->y + t0 * sizes.N * fixture->outputs;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    }
    take_states_in_place(fixture);
    stack_fixture_check(fixture, "three chunks", &whole);
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack, final_states_may_overwrite_initial_ones) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = make_ragged(context, i);
        stack_fixture_outputs hand;
        stack_fixture_run_sublayers(fixture, &hand);
        fixture->run.hT = fixture->h0;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        take_states_in_place(fixture);
        stack_fixture_check(fixture, stacks[i].name, &hand);
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

TEST(stack, states_of_all_cells_lie_in_one_pool) {
    enum { SLOTS = 9, N = 3 };
    static const int32_t from[N] = {7, 0, 4}, to[N] = {4, 7, 8};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, concat_twice, COUNT(concat_twice),
                                                (stack_fixture_sizes){.T = 4, .N = N, .I = 2});
    stack_fixture_outputs hand;
    int64_t width = 0, strides[STACK_FIXTURE_SUBLAYERS];
    void *columns[STACK_FIXTURE_SUBLAYERS];
    stack_fixture_run_sublayers(fixture, &hand);
    for (int32_t k = 0; k < fixture->sublayers; k++) width += fixture->configs[k].hidden;
    float *pool = stack_fixture_allocate(fixture, (size_t)(SLOTS * width) * sizeof *pool), *column = pool;
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const int64_t H = fixture->configs[k].hidden;
        for (int64_t n = 0; n < N; n++)
            memcpy(column + from[n] * width, (float *)fixture->h0[k] + n * H, (size_t)H * sizeof *pool);
        columns[k] = column, strides[k] = width;
        column += H;
    }
    fixture->run.h0 = (const void *const *)columns, fixture->run.hT = columns,
    fixture->run.h_strides = strides;
    fixture->run.data.h0_slots = from, fixture->run.data.hT_slots = to, fixture->run.data.slot_count = SLOTS;
    REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    for (int32_t k = 0; k < fixture->sublayers; k++)
        for (int64_t n = 0, H = fixture->configs[k].hidden; n < N; n++)
            memcpy((float *)fixture->hT[k] + n * H, (float *)columns[k] + to[n] * width,
                   (size_t)H * sizeof *pool);
    stack_fixture_check(fixture, "a pool", &hand);
    CHECK(tester_untouched(pool + 5 * width, (size_t)width * sizeof *pool), "a slot of nobody was written");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack, missing_states_are_zeros_and_missing_outputs_are_not_wanted) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = make_ragged(context, i);
        stack_fixture_outputs hand;
        void *hT[STACK_FIXTURE_SUBLAYERS] = {0};
        fixture->run.h0 = NULL;
        stack_fixture_run_sublayers(fixture, &hand);
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        stack_fixture_check(fixture, stacks[i].name, &hand);
        const void *no_h0[STACK_FIXTURE_SUBLAYERS] = {0};
        memset(fixture->hT[0], 0xFF, stack_fixture_states(fixture, 0) * sizeof(float));
        hT[0] = fixture->hT[0];
        fixture->run.data.y.data = NULL, fixture->run.y_reverse.data = NULL, fixture->run.h0 = no_h0,
        fixture->run.hT = hT;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        stack_fixture_check(fixture, stacks[i].name, &hand);
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

TEST(stack, without_steps_or_rows_states_pass_through) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = stack_fixture_make(context, stacks[i].specs, stacks[i].count,
                                                    (stack_fixture_sizes){.T = 4, .N = 3, .I = 2});
        fixture->run.data.N = 0;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        CHECK(tester_untouched(fixture->hT[0], stack_fixture_states(fixture, 0) * sizeof(float)),
              "hT was written for no row");
        fixture->run.data.N = 3, fixture->run.data.T = 0, fixture->run.data.x.data = NULL;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        for (int32_t k = 0; k < fixture->sublayers; k++)
            CHECK(memcmp(fixture->hT[k], fixture->h0[k], stack_fixture_states(fixture, k) * sizeof(float)) ==
                      0,
                  "hT[%d] is not h0", k);
        CHECK(tester_untouched(fixture->y, stack_fixture_y_count(fixture) * sizeof(float)),
              "y was written although T or N is 0");
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

/* ---- strides ---- */

TEST(stack, outputs_may_be_batch_major_columns) {
    enum { T = 4, N = 3, GAP = 3 };
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture =
            stack_fixture_make(context, stacks[i].specs, stacks[i].count,
                               (stack_fixture_sizes){.T = T, .N = N, .I = 2, .lengths = 1});
        stack_fixture_outputs hand;
        const int64_t D = fixture->outputs, row = D + GAP;
        float *wide = stack_fixture_allocate(fixture, (size_t)(T * N * row) * sizeof *wide), *y = fixture->y;
        stack_fixture_run_sublayers(fixture, &hand);
        fixture->run.data.y.data = wide, fixture->run.data.y.time_stride = row,
        fixture->run.data.y.batch_stride = T * row;
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        for (int64_t s = 0; s < T; s++)
            for (int64_t n = 0; n < N; n++) {
                const float *from = wide + s * row + n * T * row;
                memcpy(y + (s * N + n) * D, from, (size_t)D * sizeof *y);
                CHECK(tester_untouched(from + D, GAP * sizeof *y), "the gap after row %d, %d was written",
                      (int)s, (int)n);
            }
        stack_fixture_check(fixture, stacks[i].name, &hand);
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

/* ---- description and sizes ---- */

TEST(stack, describes_its_cells_in_order) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = stack_fixture_make(context, stacks[i].specs, stacks[i].count,
                                                    (stack_fixture_sizes){.T = 1, .N = 1, .I = 2});
        gru_layer_config config, same;
        gru_layer *layer = NULL;
        CHECK(gru_stack_sublayers(fixture->stack) == fixture->sublayers, "%d sublayers",
              gru_stack_sublayers(fixture->stack));
        CHECK(gru_stack_inputs(fixture->stack) == 2, "%d inputs", gru_stack_inputs(fixture->stack));
        CHECK(gru_stack_outputs(fixture->stack) == fixture->outputs, "%d outputs",
              gru_stack_outputs(fixture->stack));
        for (int32_t k = 0; k < fixture->sublayers; k++) {
            REQUIRE(gru_stack_sublayer(fixture->stack, k, &config, &layer) == GRU_OK, "%s", gru_last_error());
            REQUIRE(gru_layer_describe(layer, &same) == GRU_OK, "%s", gru_last_error());
            CHECK(memcmp(&config, &same, sizeof same) == 0, "sublayer %d describes itself in two ways", k);
            CHECK(config.inputs == fixture->configs[k].inputs &&
                      config.hidden == fixture->configs[k].hidden &&
                      config.direction == fixture->configs[k].direction,
                  "sublayer %d is another", k);
        }
        CHECK(gru_stack_sublayer(fixture->stack, 0, NULL, NULL) == GRU_OK, "%s", gru_last_error());
        CHECK(gru_stack_sublayer(fixture->stack, fixture->sublayers, &config, NULL) == GRU_BAD_ARGUMENT,
              "a sublayer past the last");
        CHECK(gru_stack_sublayer(fixture->stack, -1, &config, NULL) == GRU_BAD_ARGUMENT,
              "a sublayer before the first");
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

/* Every word that the fixture gave comes back, and no pointer. */
static void check_described(const stack_fixture *fixture, const gru_stack_layer *layers) {
    for (int32_t k = 0; k < fixture->config.count; k++) {
        const gru_stack_layer *given = &fixture->layers[k], *found = &layers[k];
        gru_layer_config config = found->config;
        if (given->bidirectional) config.direction = given->config.direction; /* ignored in what was given */
        CHECK(found->bidirectional == given->bidirectional && found->merge == given->merge, "layer %d", k);
        CHECK(config.inputs == given->config.inputs && config.hidden == given->config.hidden &&
                  config.direction == given->config.direction &&
                  config.reset_mode == given->config.reset_mode,
              "layer %d has another configuration", k);
        CHECK(found->reverse_config.hidden == given->reverse_config.hidden &&
                  found->reverse_config.reset_mode == given->reverse_config.reset_mode,
              "layer %d has another reverse configuration", k);
        CHECK(!found->weights[0].R && !found->weights[1].R && !found->h0[0] && !found->h0[1],
              "layer %d has pointers", k);
    }
}

TEST(stack, says_what_it_was_created_from) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(stacks); i++) {
        stack_fixture *fixture = stack_fixture_make(
            context, stacks[i].specs, stacks[i].count,
            (stack_fixture_sizes){.T = 1, .N = 1, .I = 2, .reset_mode = GRU_RESET_AFTER, .dropout = 0.25f});
        gru_stack_config config, unasked;
        gru_stack_layer layers[STACK_FIXTURE_SUBLAYERS];
        memset(layers, 0xff, sizeof layers);
        REQUIRE(gru_stack_describe(fixture->stack, &config, layers) == GRU_OK, "%s", gru_last_error());
        CHECK(config.count == stacks[i].count && config.dropout == 0.25f && !config.layers, "%s",
              stacks[i].name);
        check_described(fixture, layers);
        CHECK(gru_stack_describe(fixture->stack, &unasked, NULL) == GRU_OK && unasked.count == config.count,
              "without layers");
        stack_fixture_free(fixture);
    }
    gru_context_release(context);
}

TEST(stack, memory_grows_with_T_and_N_and_saturates) {
    static const int64_t sizes[] = {0, 1, 2, 3, 17, 100, 1000, 1 << 20, 1ll << 40, INT64_MAX / 2, INT64_MAX};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, concat_twice, COUNT(concat_twice),
                                                (stack_fixture_sizes){.T = 1, .N = 1, .I = 2});
    int refused = 0;
    for (int32_t i = 0; i < COUNT(sizes); i++)
        for (int32_t j = 1; j < COUNT(sizes); j++) {
            gru_sizes less, more;
            for (int swap = 0; swap < 2; swap++) {
                const int64_t T = sizes[swap ? j : i], N = sizes[swap ? i : j];
                const int64_t T0 = sizes[swap ? j - 1 : i], N0 = sizes[swap ? i : j - 1];
                if (gru_stack_sizes(fixture->stack, T, N, &more) != GRU_OK) {
                    refused++;
                    continue;
                }
                REQUIRE(gru_stack_sizes(fixture->stack, T0, N0, &less) == GRU_OK, "%s", gru_last_error());
                CHECK(less.workspace <= more.workspace && less.reserve <= more.reserve &&
                          less.reserve_recompute <= more.reserve_recompute &&
                          more.reserve_recompute <= more.reserve &&
                          less.backward_workspace <= more.backward_workspace,
                      "T %lld, N %lld needs less than T %lld, N %lld", (long long)T, (long long)N,
                      (long long)T0, (long long)N0);
                CHECK(more.packed == 0, "packed is %zu", more.packed);
            }
        }
    CHECK(refused > 0, "sizes past all memory were accepted");
    CHECK(gru_stack_sizes(fixture->stack, -1, 1, &fixture->needed) == GRU_BAD_ARGUMENT, "T = -1");
    CHECK(gru_stack_sizes(fixture->stack, 1, -1, &fixture->needed) == GRU_BAD_ARGUMENT, "N = -1");
    stack_fixture_free(fixture);
    gru_context_release(context);
}

TEST(stack, objects_are_released_in_any_order) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, concat_twice, COUNT(concat_twice),
                                                (stack_fixture_sizes){.T = 2, .N = 2, .I = 2});
    gru_context_release(context);
    CHECK(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    stack_fixture_free(fixture);
    gru_stack_release(NULL);
}

/* ---- allocation failures ---- */

TEST(stack, every_allocation_may_fail) {
    gru_context *plain = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(plain, concat_twice, COUNT(concat_twice),
                                                (stack_fixture_sizes){.T = 1, .N = 1, .I = 2});
    int failed = 0;
    for (int n = 0;; n++) {
        ledger l = {.left = n};
        gru_context_config config = GRU_INIT;
        gru_context *context = NULL;
        gru_stack *stack = NULL;
        config.backend = GRU_BACKEND_CPU;
        config.threads = 1;
        config.allocator = ledger_allocator(&l);
        gru_status status = gru_context_create(&config, &context);
        if (status == GRU_OK) status = gru_stack_create(context, &fixture->config, &stack);
        CHECK(status == GRU_OK || (status == GRU_OUT_OF_MEMORY && !stack), "allocation %d: %s", n,
              gru_status_name(status));
        gru_stack_release(stack);
        gru_context_release(context);
        CHECK(l.bytes == 0, "allocation %d failed, and %zu bytes are still held", n, l.bytes);
        if (status == GRU_OK) break;
        failed++;
    }
    CHECK(failed >= 10, "only %d allocations: the stack's four layers need more", failed);
    stack_fixture_free(fixture);
    gru_context_release(plain);
}
