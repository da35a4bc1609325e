/* test_bits.c: the bits of a result do not depend on the batch (batch invariance), on cuts, threads, strides, slots, training mode
 * or instruction set; and the same call repeats them. */
#include <string.h>

#include "core/number.h"
#include "support/properties.h"

/* The property of drawn problems on every shape; `plain` is the result with no option but the mathematics. */
static void for_problems(gru_context *context, int32_t direction, property check) {
    enum { DRAWS = 4 };
    const uint64_t types = (uint64_t)problem_type_count(context);
    for (int i = 0; i < tester_shape_count * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 77;
        if (!tester_takes((uint64_t)i)) continue;
        gru_layer_config config = problem_variant(i % DRAWS ? (int)(tester_random(1, draw) % VARIANTS) : 0);
        problem_types(&config, i % 2 ? (int)(tester_random(2, draw) % types) : 0);
        if (direction >= 0) config.direction = direction;
        problem *p =
            problem_make(&tester_shapes[i / DRAWS], &config, problem_options(draw) & property_options, draw);
        result plain;
        problem_run(p, context, &plain);
        check(context, p, &plain);
        result_free(&plain);
        problem_free(p);
    }
}

static void for_engine(const char *engine, property check) {
    gru_context *context = tester_context(engine, 1);
    for_problems(context, -1, check);
    gru_context_release(context);
}

/* ---- calls and options ------------------------------------------------------------------------------------------- */

ENGINE_TEST(bits, repeated_calls) {
    for_engine(engine, property_repeated);
}

ENGINE_TEST(bits, training_strides_slots_and_packed_weights) {
    for_engine(engine, property_options_unseen);
}

/* ---- batch ------------------------------------------------------------------------------------------------------- */

ENGINE_TEST(bits, one_row_in_any_batch) {
    gru_context *context = tester_invariant_context(engine);
    for_problems(context, -1, property_rows);
    gru_context_release(context);
}

/* ---- cuts -------------------------------------------------------------------------------------------------------- */

ENGINE_TEST(bits, one_call_or_many) {
    gru_context *context = tester_invariant_context(engine);
    for_problems(context, GRU_FORWARD, property_cuts);
    gru_context_release(context);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static gru_context *two_threads, *four_threads;

static void check_threads(gru_context *context, const problem *p, const result *plain) {
    (void)context;
    property_elsewhere(two_threads, p, plain);
    property_elsewhere(four_threads, p, plain);
}

ENGINE_TEST(bits, one_two_or_four_threads) {
    ONLY_ON_THE_CPU(engine);
    two_threads = tester_context(engine, 2);
    four_threads = tester_context(engine, 4);
    for_engine(engine, check_threads);
    gru_context_release(two_threads);
    gru_context_release(four_threads);
}

/* ---- types of weights --------------------------------------------------------------------------------------------- */

/* Weights of 16 bits are widened in registers: a layer that holds the same numbers in f32 has the same bits. */
static void check_widened(gru_context *context, const problem *p, const result *plain) {
    problem wide = *p;
    result r;
    if (gru_type_bytes(p->config.weight_type) != 2) return;
    wide.config.weight_type = GRU_F32;
    problem_run(&wide, context, &r);
    check_same_results(p, plain, &r);
    result_free(&r);
}

ENGINE_TEST(bits, weights_of_16_bits_are_their_f32_numbers) {
    ONLY_ON_THE_CPU(engine);
    for_engine(engine, check_widened);
}

/* ---- instruction sets --------------------------------------------------------------------------------------------- */

/* Scalar against one other engine on the same problem, reserve included. */
static void compare_engines(gru_context *scalar, gru_context *other, const problem *p) {
    result a, b;
    problem_run(p, scalar, &a);
    problem_run(p, other, &b);
    check_same_results(p, &a, &b);
    if (a.run.reserve) {
        const int32_t type = p->config.io_type == GRU_F64 ? GRU_F64 : GRU_F32;
        const size_t head = 64, count = (a.run.reserve_size - head) / gru_type_bytes(type);
        check_same_array("reserve", p->text, type, (char *)a.run.reserve + head, (char *)b.run.reserve + head,
                         count);
    }
    result_free(&a);
    result_free(&b);
}

/* The draw's options and types over a variant and a shape. */
static void compare_drawn(gru_context *scalar, gru_context *other, int variant, const shape *sizes,
                          uint64_t draw) {
    gru_layer_config config = problem_variant(variant);
    problem_types(&config, draw % 2 ? (int)(tester_random(4, draw) % CPU_TYPES) : 0);
    problem *p = problem_make(sizes, &config, problem_options(draw), draw);
    compare_engines(scalar, other, p);
    problem_free(p);
}

/* Every variant on the small shapes, and every shape with drawn variants. */
ENGINE_TEST(bits, instruction_sets) {
    enum { SMALL = 8, DRAWS = 6 };
    ONLY_ON_THE_CPU(engine);
    if (strcmp(engine, "cpu_reference") == 0) SKIP("cpu_reference is exact, the others round in one order");
    gru_context *scalar = tester_context("cpu_scalar", 1), *other = tester_context(engine, 1);
    for (int i = 0; i < 4 * VARIANTS; i++)
        if (tester_takes((uint64_t)i))
            compare_drawn(scalar, other, i % VARIANTS, &tester_shapes[i % SMALL], (uint64_t)i);
    for (int i = 0; i < tester_shape_count * DRAWS; i++)
        if (tester_takes((uint64_t)i))
            compare_drawn(scalar, other, i % DRAWS ? (int)(tester_random(6, (uint64_t)i) % VARIANTS) : 0,
                          &tester_shapes[i / DRAWS], (uint64_t)i + 4 * VARIANTS);
    gru_context_release(scalar);
    gru_context_release(other);
}

/* ---- one row's NaN ------------------------------------------------------------------------------------------------ */

ENGINE_TEST(bits, nan_and_infinity_stay_in_their_row) {
    for_engine(engine, property_poison);
}
