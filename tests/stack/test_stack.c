/* test_stack.c: stacks against their cells run one by one, and what a stack promises about states and sizes. */
#include <stdlib.h>
#include <string.h>

#include "support/device_mirror.h"
#include "core/number.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const tower_floor concat_twice[] = {{.hidden = 17, .bidirectional = 1},
                                           {.hidden = 5, .bidirectional = 1}};
static const tower_floor sum_then_concat[] = {{.hidden = 6, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                              {.hidden = 9, .bidirectional = 1}};
static const tower_floor concat_then_sum[] = {{.hidden = 6, .bidirectional = 1},
                                              {.hidden = 9, .bidirectional = 1, .merge = GRU_MERGE_SUM}};
static const tower_floor separate_last[] = {{.hidden = 4},
                                            {.hidden = 7, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const tower_floor alternating[] = {{.hidden = 8},
                                          {.hidden = 3, .direction = GRU_REVERSE},
                                          {.hidden = 12},
                                          {.hidden = 5, .direction = GRU_REVERSE}};
static const tower_floor upwards[] = {{.hidden = 8}, {.hidden = 3}, {.hidden = 12}};
static const tower_floor alone[] = {{.hidden = 8}};

static const struct building {
    const char *name;
    const tower_floor *floors;
    int32_t count;
} buildings[] = {
    {"two bidirectional layers", concat_twice, COUNT(concat_twice)},
    {"a sum below", sum_then_concat, COUNT(sum_then_concat)},
    {"a sum on top", concat_then_sum, COUNT(concat_then_sum)},
    {"separate outputs", separate_last, COUNT(separate_last)},
    {"alternating directions", alternating, COUNT(alternating)},
    {"forward only", upwards, COUNT(upwards)},
    {"one layer", alone, COUNT(alone)},
};

static void compare_by_hand(gru_context *context, tower_sizes sizes) {
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count, sizes);
        tower_outputs hand;
        tower_by_hand(t, &hand);
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s: %s", buildings[i].name,
                gru_last_error());
        check_tower(t, buildings[i].name, &hand);
        tower_free(t);
    }
}

ENGINE_TEST(stack, equals_its_cells) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (tower_sizes){.T = 6, .N = 5, .I = 7});
    compare_by_hand(context, (tower_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1});
    compare_by_hand(context, (tower_sizes){.T = 1, .N = 1, .I = 3});
    gru_context_release(context);
}

ENGINE_TEST(stack, equals_its_cells_in_16_bits) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (tower_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_BF16});
    compare_by_hand(context, (tower_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_F16});
    gru_context_release(context);
}

TEST(stack, equals_its_cells_in_f64) {
    gru_context *context = tester_context(NULL, 1);
    compare_by_hand(context, (tower_sizes){.T = 5, .N = 3, .I = 7, .lengths = 1, .type = GRU_F64});
    gru_context_release(context);
}

ENGINE_TEST(stack, training_gives_the_same_outputs) {
    gru_context *context = tester_context(engine, 1);
    compare_by_hand(context, (tower_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1, .mode = GRU_TRAIN});
    compare_by_hand(context,
                    (tower_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1, .mode = GRU_TRAIN_RECOMPUTE});
    gru_context_release(context);
}

TEST(stack, segments_and_attention_reach_every_cell) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = 6, .N = 5, .I = 7, .lengths = 1});
        tower_outputs plain, hand;
        tower_by_hand(t, &plain);
        uint8_t *reset = tower_allocate(t, 30);
        float *attention = tower_allocate(t, 30 * sizeof *attention);
        for (uint64_t s = 0; s < 30; s++) {
            reset[s] = s % 4 == 1;
            attention[s] = (float)(0.5 + 0.5 * tester_uniform(3, s));
        }
        t->run.data.restart.data = reset, t->run.data.attention.data = attention;
        tower_by_hand(t, &hand);
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        check_tower(t, buildings[i].name, &hand);
        CHECK(memcmp(plain.y, t->y, tower_y_count(t) * sizeof(float)) != 0,
              "segments and attention changed nothing");
        tower_free(t);
    }
    gru_context_release(context);
}

/* ---- states ---- */

ENGINE_TEST(stack, chunks_give_the_same_bits) {
    static const int64_t cuts[] = {5, 1, 6};
    const tower_sizes sizes = {.T = 12, .N = 3, .I = 7};
    gru_context *context = tester_context(engine, 1);
    tower *t = tower_make(context, upwards, COUNT(upwards), sizes);
    tower_outputs whole;
    tower_by_hand(t, &whole);
    t->run.hT = t->h0; /* in place: each chunk starts where the last ended */
    for (int64_t i = 0, t0 = 0; i < COUNT(cuts); t0 += cuts[i++]) {
        t->run.data.T = cuts[i];
        t->run.data.x.data = (const float *)t->x + t0 * sizes.N * sizes.I;
        t->run.data.y.data = (float *)t->y + t0 * sizes.N * t->outputs;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
    }
    for (int32_t k = 0; k < t->cells; k++) memcpy(t->hT[k], t->h0[k], tower_states(t, k) * sizeof(float));
    check_tower(t, "three chunks", &whole);
    tower_free(t);
    gru_context_release(context);
}

TEST(stack, final_states_may_overwrite_initial_ones) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = 4, .N = 3, .I = 2, .lengths = 1});
        tower_outputs hand;
        tower_by_hand(t, &hand);
        t->run.hT = t->h0;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        for (int32_t k = 0; k < t->cells; k++) memcpy(t->hT[k], t->h0[k], tower_states(t, k) * sizeof(float));
        check_tower(t, buildings[i].name, &hand);
        tower_free(t);
    }
    gru_context_release(context);
}

TEST(stack, states_of_all_cells_lie_in_one_pool) {
    enum { SLOTS = 9, N = 3 };
    static const int32_t from[N] = {7, 0, 4}, to[N] = {4, 7, 8};
    gru_context *context = tester_context(NULL, 1);
    tower *t = tower_make(context, concat_twice, COUNT(concat_twice), (tower_sizes){.T = 4, .N = N, .I = 2});
    tower_outputs hand;
    int64_t width = 0, strides[TOWER_CELLS];
    void *columns[TOWER_CELLS];
    tower_by_hand(t, &hand);
    for (int32_t k = 0; k < t->cells; k++) width += t->cell[k].hidden;
    float *pool = tower_allocate(t, (size_t)(SLOTS * width) * sizeof *pool), *column = pool;
    for (int32_t k = 0; k < t->cells; k++) {
        const int64_t H = t->cell[k].hidden;
        for (int64_t n = 0; n < N; n++)
            memcpy(column + from[n] * width, (float *)t->h0[k] + n * H, (size_t)H * sizeof *pool);
        columns[k] = column, strides[k] = width;
        column += H;
    }
    t->run.h0 = (const void *const *)columns, t->run.hT = columns, t->run.h_strides = strides;
    t->run.data.h0_slots = from, t->run.data.hT_slots = to, t->run.data.slot_count = SLOTS;
    REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
    for (int32_t k = 0; k < t->cells; k++)
        for (int64_t n = 0, H = t->cell[k].hidden; n < N; n++)
            memcpy((float *)t->hT[k] + n * H, (float *)columns[k] + to[n] * width, (size_t)H * sizeof *pool);
    check_tower(t, "a pool", &hand);
    CHECK(tester_untouched(pool + 5 * width, (size_t)width * sizeof *pool), "a slot of nobody was written");
    tower_free(t);
    gru_context_release(context);
}

TEST(stack, missing_states_are_zeros_and_missing_outputs_are_not_wanted) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = 4, .N = 3, .I = 2, .lengths = 1});
        tower_outputs hand;
        void *hT[TOWER_CELLS] = {0};
        t->run.h0 = NULL;
        tower_by_hand(t, &hand);
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        check_tower(t, buildings[i].name, &hand);
        const void *no_h0[TOWER_CELLS] = {0};
        memset(t->hT[0], 0xFF, tower_states(t, 0) * sizeof(float));
        hT[0] = t->hT[0];
        t->run.data.y.data = NULL, t->run.y_reverse.data = NULL, t->run.h0 = no_h0, t->run.hT = hT;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        check_tower(t, buildings[i].name, &hand);
        tower_free(t);
    }
    gru_context_release(context);
}

TEST(stack, without_steps_or_rows_states_pass_through) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = 4, .N = 3, .I = 2});
        t->run.data.N = 0;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        CHECK(tester_untouched(t->hT[0], tower_states(t, 0) * sizeof(float)), "hT was written for no row");
        t->run.data.N = 3, t->run.data.T = 0, t->run.data.x.data = NULL;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        for (int32_t k = 0; k < t->cells; k++)
            CHECK(memcmp(t->hT[k], t->h0[k], tower_states(t, k) * sizeof(float)) == 0, "hT[%d] is not h0", k);
        CHECK(tester_untouched(t->y, tower_y_count(t) * sizeof(float)), "y was written although T or N is 0");
        tower_free(t);
    }
    gru_context_release(context);
}

/* ---- strides ---- */

TEST(stack, outputs_may_be_batch_major_columns) {
    enum { T = 4, N = 3, GAP = 3 };
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = T, .N = N, .I = 2, .lengths = 1});
        tower_outputs hand;
        const int64_t D = t->outputs, row = D + GAP;
        float *wide = tower_allocate(t, (size_t)(T * N * row) * sizeof *wide), *y = t->y;
        tower_by_hand(t, &hand);
        t->run.data.y.data = wide, t->run.data.y.time_stride = row, t->run.data.y.batch_stride = T * row;
        REQUIRE(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
        for (int64_t s = 0; s < T; s++)
            for (int64_t n = 0; n < N; n++) {
                const float *from = wide + s * row + n * T * row;
                memcpy(y + (s * N + n) * D, from, (size_t)D * sizeof *y);
                CHECK(tester_untouched(from + D, GAP * sizeof *y), "the gap after row %d, %d was written",
                      (int)s, (int)n);
            }
        check_tower(t, buildings[i].name, &hand);
        tower_free(t);
    }
    gru_context_release(context);
}

/* ---- description and sizes ---- */

TEST(stack, describes_its_cells_in_order) {
    gru_context *context = tester_context(NULL, 1);
    for (int32_t i = 0; i < COUNT(buildings); i++) {
        tower *t = tower_make(context, buildings[i].floors, buildings[i].count,
                              (tower_sizes){.T = 1, .N = 1, .I = 2});
        gru_layer_config config, same;
        gru_layer *layer = NULL;
        CHECK(gru_stack_sublayers(t->stack) == t->cells, "%d cells", gru_stack_sublayers(t->stack));
        CHECK(gru_stack_inputs(t->stack) == 2, "%d inputs", gru_stack_inputs(t->stack));
        CHECK(gru_stack_outputs(t->stack) == t->outputs, "%d outputs", gru_stack_outputs(t->stack));
        for (int32_t k = 0; k < t->cells; k++) {
            REQUIRE(gru_stack_sublayer(t->stack, k, &config, &layer) == GRU_OK, "%s", gru_last_error());
            REQUIRE(gru_layer_describe(layer, &same) == GRU_OK, "%s", gru_last_error());
            CHECK(memcmp(&config, &same, sizeof same) == 0, "cell %d describes itself in two ways", k);
            CHECK(config.inputs == t->cell[k].inputs && config.hidden == t->cell[k].hidden &&
                      config.direction == t->cell[k].direction,
                  "cell %d is another", k);
        }
        CHECK(gru_stack_sublayer(t->stack, 0, NULL, NULL) == GRU_OK, "%s", gru_last_error());
        CHECK(gru_stack_sublayer(t->stack, t->cells, &config, NULL) == GRU_BAD_ARGUMENT,
              "a cell past the last");
        CHECK(gru_stack_sublayer(t->stack, -1, &config, NULL) == GRU_BAD_ARGUMENT, "a cell before the first");
        tower_free(t);
    }
    gru_context_release(context);
}

TEST(stack, memory_grows_with_T_and_N_and_saturates) {
    static const int64_t sizes[] = {0, 1, 2, 3, 17, 100, 1000, 1 << 20, 1ll << 40, INT64_MAX / 2, INT64_MAX};
    gru_context *context = tester_context(NULL, 1);
    tower *t = tower_make(context, concat_twice, COUNT(concat_twice), (tower_sizes){.T = 1, .N = 1, .I = 2});
    int refused = 0;
    for (int32_t i = 0; i < COUNT(sizes); i++)
        for (int32_t j = 1; j < COUNT(sizes); j++) {
            gru_sizes less, more;
            for (int swap = 0; swap < 2; swap++) {
                const int64_t T = sizes[swap ? j : i], N = sizes[swap ? i : j];
                const int64_t T0 = sizes[swap ? j - 1 : i], N0 = sizes[swap ? i : j - 1];
                if (gru_stack_sizes(t->stack, T, N, &more) != GRU_OK) {
                    refused++;
                    continue;
                }
                REQUIRE(gru_stack_sizes(t->stack, T0, N0, &less) == GRU_OK, "%s", gru_last_error());
                CHECK(less.workspace <= more.workspace && less.reserve <= more.reserve &&
                          less.backward_workspace <= more.backward_workspace,
                      "T %lld, N %lld needs less than T %lld, N %lld", (long long)T, (long long)N,
                      (long long)T0, (long long)N0);
                CHECK(more.packed == 0, "packed is %zu", more.packed);
            }
        }
    CHECK(refused > 0, "sizes past all memory were accepted");
    CHECK(gru_stack_sizes(t->stack, -1, 1, &t->memory) == GRU_BAD_ARGUMENT, "T = -1");
    CHECK(gru_stack_sizes(t->stack, 1, -1, &t->memory) == GRU_BAD_ARGUMENT, "N = -1");
    tower_free(t);
    gru_context_release(context);
}

TEST(stack, objects_are_released_in_any_order) {
    gru_context *context = tester_context(NULL, 1);
    tower *t = tower_make(context, concat_twice, COUNT(concat_twice), (tower_sizes){.T = 2, .N = 2, .I = 2});
    gru_context_release(context);
    CHECK(mirror_stack_forward(t->stack, &t->run) == GRU_OK, "%s", gru_last_error());
    tower_free(t);
    gru_stack_release(NULL);
}

/* ---- allocation failures ---- */

typedef struct meter {
    int left;  /* allocations until one fails */
    long live; /* bytes */
} meter;

static void *metered_allocate(void *user, size_t bytes, size_t alignment, int32_t device) {
    meter *m = user;
    (void)device;
    if (m->left-- == 0) return NULL;
    m->live += (long)bytes;
    return aligned_alloc(alignment, bytes);
}

static void metered_release(void *user, void *memory, size_t bytes, int32_t device) {
    (void)device;
    ((meter *)user)->live -= (long)bytes;
    free(memory);
}

TEST(stack, every_allocation_may_fail) {
    gru_context *plain = tester_context(NULL, 1);
    tower *t = tower_make(plain, concat_twice, COUNT(concat_twice), (tower_sizes){.T = 1, .N = 1, .I = 2});
    int failed = 0;
    for (int n = 0;; n++) {
        meter m = {.left = n};
        gru_context_config config = GRU_INIT;
        gru_context *context = NULL;
        gru_stack *stack = NULL;
        config.backend = GRU_BACKEND_CPU;
        config.threads = 1;
        config.allocator.allocate = metered_allocate;
        config.allocator.release = metered_release;
        config.allocator.user = &m;
        gru_status status = gru_context_create(&config, &context);
        if (status == GRU_OK) status = gru_stack_create(context, &t->config, &stack);
        CHECK(status == GRU_OK || (status == GRU_OUT_OF_MEMORY && !stack), "allocation %d: %s", n,
              gru_status_name(status));
        gru_stack_release(stack);
        gru_context_release(context);
        CHECK(m.live == 0, "allocation %d failed, and %ld bytes are still held", n, m.live);
        if (status == GRU_OK) break;
        failed++;
    }
    CHECK(failed >= 10, "only %d allocations: the stack's four layers need more", failed);
    tower_free(t);
    gru_context_release(plain);
}
