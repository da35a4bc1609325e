/* test_bf16_products.c: GRU_ALLOW_BF16: rows rounded to bf16 stay within their bound, their bits do not depend on the way, and nothing
 * changes where it does not act. */
#include "cpu/cpu_features.h"
#include "support/properties.h"

static gru_context *make_context(const char *engine, int32_t threads, uint32_t flags) {
    const gru_context_config config = {
        .backend = GRU_BACKEND_CPU, .engine = engine, .threads = threads, .flags = flags};
    gru_context *context = NULL;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

static gru_context *allowing(const char *engine, int32_t threads) {
    return make_context(engine, threads, GRU_ALLOW_BF16);
}

static problem *make_problem(const shape *sizes, int variant, uint32_t options, uint64_t draw) {
    return problem_of_weights(GRU_BF16, sizes, variant, options, draw);
}

static problem *problem_of_shape(int number, uint32_t options) {
    const uint64_t draw = (uint64_t)number + 50;
    const int variant = number % 2 ? (int)(tester_random(1, draw) % VARIANTS) : 0;
    return make_problem(&tester_shapes[number], variant, options, draw);
}

ENGINE_TEST(bf16_products, agree_on_every_variant) {
    static const shape sizes = {4, 3, 5, 19, "a panel and three units"};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = allowing(engine, 1);
    for (int i = 0; i < VARIANTS; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = make_problem(&sizes, i, problem_options((uint64_t)i + 300), (uint64_t)i);
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(bf16_products, agree_on_every_shape) {
    ONLY_ON_THE_CPU(engine);
    gru_context *context = allowing(engine, 1);
    for (int i = 0; i < tester_shape_count; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_shape(i, problem_options((uint64_t)i + 900));
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

/* The property of a drawn problem on every shape, on a context with the flag. */
static void for_shapes(const char *engine, property check) {
    gru_context *context = allowing(engine, 1);
    for (int i = 0; i < tester_shape_count; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_shape(i, problem_options((uint64_t)i + 50) & property_options);
        result plain;
        problem_run(p, context, &plain);
        check(context, p, &plain);
        result_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}

static gru_context *two_threads, *four_threads, *without;

static void check_threads(gru_context *context, const problem *p, const result *plain) {
    (void)context;
    property_elsewhere(two_threads, p, plain), property_elsewhere(four_threads, p, plain);
}

ENGINE_TEST(bf16_products, bits_do_not_depend_on_threads) {
    ONLY_ON_THE_CPU(engine);
    two_threads = allowing(engine, 2), four_threads = allowing(engine, 4);
    for_shapes(engine, check_threads);
    gru_context_release(two_threads), gru_context_release(four_threads);
}

ENGINE_TEST(bf16_products, bits_do_not_depend_on_the_way) {
    ONLY_ON_THE_CPU(engine);
    for_shapes(engine, property_every_way);
}

/* ---- where it does not act --------------------------------------------------------------------------------------- */

/* Training, and a processor that has no such products. */
static void check_others(gru_context *context, const problem *p, const result *plain) {
    problem *training = problem_with(p, p->options | PROBLEM_TRAIN);
    result r;
    (void)plain;
    problem_run(training, without, &r);
    property_elsewhere(context, training, &r);
    tester_hide_also(GRU_CPU_AVX512_BF16);
    property_elsewhere(context, p, &r);
    tester_hide_also(0);
    result_free(&r);
    problem_free(training);
}

ENGINE_TEST(bf16_products, are_left_out_elsewhere) {
    ONLY_ON_THE_CPU(engine);
    without = make_context(engine, 1, 0);
    for_shapes(engine, check_others);
    gru_context_release(without);
}

/* Where the processor has the products they are made: a number that bf16 cannot hold is rounded. */
TEST(bf16_products, round_the_inputs) {
    const gru_layer_config config = {
        .inputs = 1, .hidden = 1, .weight_type = GRU_BF16, .candidate = GRU_CANDIDATE_LINEAR};
    const float W[3] = {0, 0, 1}, R[3] = {0}, x = 1 + 0x1p-9f + 0x1p-20f;
    gru_context *context = allowing(NULL, 1);
    gru_weights weights = {.W = W, .R = R};
    gru_layer *layer;
    float y = 0;
    if (!(gru_cpu_features() & GRU_CPU_AVX512_BF16)) {
        gru_context_release(context);
        SKIP("this processor has no products of bf16");
    }
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    gru_run run = {.T = 1, .N = 1, .x.data = &x, .y.data = &y};
    REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    CHECK(y == 0.5f, "y is %.9g, expected 0.5: x rounds to 1, z is a half", (double)y);
    gru_run_free(context, &run);
    gru_layer_release(layer);
    gru_context_release(context);
}
