/* test_backward.c: every engine's gradients against the exact reference, with its own reserve and with the reserve of cpu_reference. */
#include <math.h>
#include <string.h>

#include "core/number.h"
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
        problem *p = problem_of_variants(i, CPU_TYPES, draw, training_options(draw + 3000));
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
        problem *p = problem_of_shapes(i, CPU_TYPES, DRAWS, draw, training_options(draw));
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
        problem_types(&config, i % 2 ? (int)(tester_random(4, draw) % CPU_TYPES) : 0);
        problem *p = problem_make(&sizes, &config, training_options(draw), draw);
        check_backward(p, context, 1);
        problem_free(p);
    }
    gru_context_release(context);
}

/* Norm of the difference relative to the norm. */
static double relative_error(const gradients *got, const gradients *exact, int which) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < got->count[which]; i++) {
        const double expected = gru_load_double(exact->data[which], exact->type[which], i);
        const double error = gru_load_double(got->data[which], got->type[which], i) - expected;
        difference += error * error, norm += expected * expected;
    }
    return sqrt(difference / norm);
}

/* The limits are the largest errors of PyTorch 2.15's GRU in f32, on CPUs, beside its own in double precision: 16 problems of
 * this size, with numbers drawn as here. */
ENGINE_TEST(backward, is_as_exact_as_pytorch) {
    static const struct {
        int which;
        double limit;
    } pytorch[] = {{GRAD_X, 1.84e-7}, {GRAD_H0, 1.17e-7}, {GRAD_W, 2.64e-7},
                   {GRAD_R, 2.17e-7}, {GRAD_BW, 1.34e-7}, {GRAD_BR, 2.06e-7}};
    const shape sizes = {64, 8, 64, 64, "long sums"};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1), *reference = tester_context("cpu_reference", 1);
    problem *p = problem_make(&sizes, &(gru_layer_config){0}, PROBLEM_TRAIN | PROBLEM_H0, 1);
    problem *exact = problem_exact(p);
    result r, exact_r;
    gradients g, exact_g;
    problem_run(p, context, &r), problem_run(exact, reference, &exact_r);
    gradients_make(p, &g), gradients_make(exact, &exact_g);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s", gru_last_error());
    REQUIRE(problem_backward(exact, &exact_r, 0, &exact_g) == GRU_OK, "%s", gru_last_error());
    for (size_t i = 0; i < sizeof pytorch / sizeof *pytorch; i++) {
        const double error = relative_error(&g, &exact_g, pytorch[i].which);
        CHECK(error <= pytorch[i].limit, "%s: relative error %.3g, PyTorch's is %.3g",
              gradient_names[pytorch[i].which], error, pytorch[i].limit);
    }
    gradients_free(&g), gradients_free(&exact_g);
    result_free(&r), result_free(&exact_r);
    problem_free(p), problem_free(exact);
    gru_context_release(context), gru_context_release(reference);
}
