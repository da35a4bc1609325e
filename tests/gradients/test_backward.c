/* test_backward.c: every engine's gradients against the exact reference, with its own reserve and with the reserve of cpu_reference. */
#include <string.h>

#include "support/problem.h"

/* Trains p on the context and compares all gradients with those of double precision. other_reserve: backward reads the
 * reserve of a forward pass by cpu_reference. */
static void check_backward(const problem *p, gru_context *context, int other_reserve) {
    gru_context *reference = tester_context("cpu_reference", 1);
    problem *exact = problem_exact(p);
    result r, written, exact_r;
    gradients g, exact_g;
    problem_run(p, context, &r);
    problem_run(exact, reference, &exact_r);
    if (other_reserve) {
        problem_run(p, reference, &written);
        r.run.reserve = written.run.reserve;
    }
    gradients_make(p, &g);
    gradients_make(exact, &exact_g);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    REQUIRE(problem_backward(exact, &exact_r, 0, &exact_g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_gradients_close(p, r.layer, &g, &exact_g);
    gradients_free(&g), gradients_free(&exact_g);
    if (other_reserve) result_free(&written);
    result_free(&r), result_free(&exact_r);
    problem_free(exact);
    gru_context_release(reference);
}

static uint32_t training_options(uint64_t draw) {
    const uint32_t others = PROBLEM_TRAIN | PROBLEM_RECOMPUTE | PROBLEM_NO_Y | PROBLEM_NO_HT;
    return (problem_options(draw) & ~others) | (draw % 3 ? PROBLEM_TRAIN : PROBLEM_RECOMPUTE);
}

ENGINE_TEST(backward, agrees_on_every_variant) {
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < VARIANT_WALK; i++) {
        const uint64_t draw = (uint64_t)i;
        if (!tester_takes(draw)) continue;
        problem *p = problem_of_variants(i, draw, training_options(draw + 3000));
        check_backward(p, context, 0);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(backward, agrees_on_every_shape) {
    enum { DRAWS = 6 };
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < tester_shape_count * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 700;
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_shapes(i, DRAWS, draw, training_options(draw));
        check_backward(p, context, 0);
        problem_free(p);
    }
    gru_context_release(context);
}

/* The reserve of cpu_reference holds states only, and with other bits. */
ENGINE_TEST(backward, reads_the_reserve_of_cpu_reference) {
    const shape sizes = {5, 3, 4, 18, "a panel and two units"};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < VARIANTS; i++) {
        const uint64_t draw = (uint64_t)i + 9000;
        if (!tester_takes((uint64_t)i)) continue;
        gru_layer_config config = problem_variant(i);
        problem_types(&config, i % 2 ? (int)(tester_random(4, draw) % TYPES) : 0);
        problem *p = problem_make(&sizes, &config, training_options(draw), draw);
        check_backward(p, context, 1);
        problem_free(p);
    }
    gru_context_release(context);
}
