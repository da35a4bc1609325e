/* test_backward_bits.c: the bits of gradients do not depend on threads, instruction set or content of the reserve; and the same
 * call repeats them. */
#include <math.h>
#include <string.h>

#include "core/layout.h"
#include "core/number.h"
#include "support/problem.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* Besides the shapes of all tests: several chunks of steps, and a step of more rows than are summed together. */
static const shape long_shapes[] = {
    {300, 1, 5, 20, "two chunks of one row"},
    {90, 7, 17, 33, "three chunks, the last one shorter"},
    {3, 270, 4, 18, "more rows in a step than are summed together"},
    {2, 1, 3, 290, "units for several threads"},
};
enum { LONG_SHAPES = sizeof long_shapes / sizeof *long_shapes };

/* An engine whose gradients have the bits of cpu_scalar. */
static int canonical(const char *engine) {
    return strncmp(engine, "cpu_", 4) == 0 && strcmp(engine, "cpu_reference") != 0;
}

#define ONLY_CANONICAL(engine) \
    if (!canonical(engine)) SKIP("%s does not follow the canonical order", engine)

/* Gradients of p with r's reserve; NULL parts end with 0. */
static void differentiate(const problem *p, result *r, uint32_t parts, gradients *g) {
    gradients_make(p, g);
    REQUIRE(problem_backward(p, r, parts, g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

/* Trains p on the context. */
static void train(const problem *p, gru_context *context, gradients *g) {
    result r;
    problem_run(p, context, &r);
    differentiate(p, &r, 0, g);
    result_free(&r);
}

typedef void (*training_property)(gru_context *context, const problem *p, const gradients *plain);

static uint32_t training_options(uint64_t draw) {
    const uint32_t others = PROBLEM_TRAIN | PROBLEM_RECOMPUTE | PROBLEM_NO_Y | PROBLEM_NO_HT;
    return (problem_options(draw) & ~others) | PROBLEM_TRAIN;
}

/* The property of drawn problems on every shape. */
static void for_shapes(const char *engine, training_property check) {
    enum { DRAWS = 4 };
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < (tester_shape_count + LONG_SHAPES) * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 9000;
        const int k = i / DRAWS;
        const shape *sizes =
            k < tester_shape_count ? &tester_shapes[k] : &long_shapes[k - tester_shape_count];
        if (!tester_takes((uint64_t)i)) continue;
        gru_layer_config config = problem_variant(i % DRAWS ? (int)(tester_random(1, draw) % VARIANTS) : 0);
        config.reset_mode = i % 3;
        problem_types(&config, i % 2 ? (int)(tester_random(2, draw) % CPU_TYPES) : 0);
        problem *p = problem_make(sizes, &config, training_options(draw), draw);
        gradients plain;
        train(p, context, &plain);
        check(context, p, &plain);
        gradients_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}

/* ---- threads, instruction sets ------------------------------------------------------------------------------------ */

static gru_context *other_contexts[2];

static void compare_contexts(gru_context *context, const problem *p, const gradients *plain) {
    (void)context;
    for (int i = 0; i < 2; i++) {
        gradients g;
        if (!other_contexts[i]) continue;
        train(p, other_contexts[i], &g);
        check_same_gradients(p, plain, &g);
        gradients_free(&g);
    }
}

static void compare_with(const char *engine, gru_context *first, gru_context *second) {
    other_contexts[0] = first;
    other_contexts[1] = second;
    for_shapes(engine, compare_contexts);
    gru_context_release(first);
    gru_context_release(second);
}

ENGINE_TEST(backward_bits, one_two_or_four_threads) {
    ONLY_ON_THE_CPU(engine);
    compare_with(engine, tester_context(engine, 2), tester_context(engine, 4));
}

ENGINE_TEST(backward_bits, instruction_sets) {
    ONLY_CANONICAL(engine);
    compare_with(engine, tester_context("cpu_scalar", 1), NULL);
}

/* ---- what was kept, and by whom ----------------------------------------------------------------------------------- */

static void compare_recomputed(gru_context *context, const problem *p, const gradients *plain) {
    problem *other = problem_with(p, (p->options & ~(uint32_t)PROBLEM_TRAIN) | PROBLEM_RECOMPUTE);
    gradients g;
    train(other, context, &g);
    check_same_gradients(p, plain, &g);
    gradients_free(&g);
    problem_free(other);
}

ENGINE_TEST(backward_bits, kept_or_recomputed) {
    ONLY_ON_THE_CPU(engine);
    for_shapes(engine, compare_recomputed);
}

/* Backward on the context over a reserve that cpu_scalar wrote. */
static void compare_crossed(gru_context *context, const problem *p, const gradients *plain) {
    gru_context *scalar = tester_context("cpu_scalar", 1);
    result own, written;
    gradients g;
    problem_run(p, context, &own);
    problem_run(p, scalar, &written);
    own.run.reserve = written.run.reserve;
    differentiate(p, &own, 0, &g);
    check_same_gradients(p, plain, &g);
    gradients_free(&g);
    result_free(&own), result_free(&written);
    gru_context_release(scalar);
}

ENGINE_TEST(backward_bits, reserves_of_another_instruction_set) {
    ONLY_CANONICAL(engine);
    for_shapes(engine, compare_crossed);
}

/* ---- calls -------------------------------------------------------------------------------------------------------- */

/* Weight gradients that replace old ones, which are summed in place where nothing divides them. A power of two divides without
 * rounding. */
static void check_scaled(const problem *p, result *r, const gradients *plain) {
    static const float scale = 64;
    problem scaled = *p;
    gradients g;
    scaled.loss_scale = &scale;
    gradients_make(p, &g);
    REQUIRE(problem_backward(&scaled, r, GRU_GRAD_OVERWRITE, &g) == GRU_OK, "%s: %s", gru_last_error(),
            p->text);
    for (int i = 0; i < GRADS; i++)
        for (size_t k = 0; g.data[i] && k < g.count[i]; k++) {
            const double whole = gru_load_double(plain->data[i], g.type[i], k);
            const double expected = i < GRAD_W ? whole : whole / (double)scale;
            const double got = gru_load_double(g.data[i], g.type[i], k);
            CHECK(got == expected, "%s[%zu] is %.17g, expected %.17g with a loss scale: %s",
                  gradient_names[i], k, got, expected, p->text);
        }
    gradients_free(&g);
}

static void compare_calls(gru_context *context, const problem *p, const gradients *plain) {
    result r;
    gradients again, apart, over;
    problem_run(p, context, &r);
    differentiate(p, &r, 0, &again);
    check_same_gradients(p, plain, &again);
    gradients_free(&again);
    differentiate(p, &r, GRU_GRAD_DATA | GRU_GRAD_WEIGHTS, &again); /* a workspace that was used */
    check_same_gradients(p, plain, &again);
    differentiate(p, &r, GRU_GRAD_DATA, &apart);
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; apart.data[i] && k < apart.count[i]; k++)
            if (gru_load_double(apart.data[i], apart.type[i], k) != 0)
                CHECK(0, "the data part wrote %s[%zu]: %s", gradient_names[i], k, p->text);
    REQUIRE(problem_backward(p, &r, GRU_GRAD_WEIGHTS, &apart) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_same_gradients(p, plain, &apart);
    gradients_make(p, &over);
    for (int i = GRAD_W; i < GRADS; i++) /* NaN: overwritten, not added to */
        if (over.data[i]) memset(over.data[i], 0xFF, over.count[i] * gru_type_bytes(over.type[i]));
    REQUIRE(problem_backward(p, &r, GRU_GRAD_OVERWRITE, &over) == GRU_OK, "%s: %s", gru_last_error(),
            p->text);
    check_same_gradients(p, plain, &over);
    check_scaled(p, &r, plain);
    gradients_free(&again), gradients_free(&apart), gradients_free(&over);
    result_free(&r);
}

ENGINE_TEST(backward_bits, twice_in_parts_and_overwritten) {
    ONLY_ON_THE_CPU(engine);
    for_shapes(engine, compare_calls);
}

/* Adding to what stands there is one rounding of the sum. */
static void compare_added(gru_context *context, const problem *p, const gradients *plain) {
    result r;
    gradients g;
    problem_run(p, context, &r);
    gradients_make(p, &g);
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; g.data[i] && k < g.count[i]; k++) gru_store_double(g.data[i], g.type[i], k, 0.75);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; g.data[i] && k < g.count[i]; k++) {
            const double sum = 0.75 + gru_load_double(plain->data[i], g.type[i], k);
            const double expected = g.type[i] == GRU_F64 ? sum : (double)(float)sum;
            const double got = gru_load_double(g.data[i], g.type[i], k);
            CHECK(got == expected, "%s[%zu] is %.17g, expected %.17g: %s", gradient_names[i], k, got,
                  expected, p->text);
        }
    gradients_free(&g);
    result_free(&r);
}

ENGINE_TEST(backward_bits, weight_gradients_are_added) {
    ONLY_CANONICAL(engine);
    for_shapes(engine, compare_added);
}
