/* test_activations.c: every activation of the table, as gate and as candidate: formulas, slopes, errors, bits, all engines. */
#include <math.h>
#include <string.h>

#include "core/number.h"
#include "cpu/cpu_best_kernels.h"
#include "cpu/cpu_reference_activation.h"
#include "support/differences.h"
#include "support/naive_gru.h"
#include "support/properties.h"

static const double bounds[GRU_ACTIVATIONS] = {
#define ACTIVATION(NAME, word, alpha, beta, sign, bound, ...) bound,
#include "core/activations.def"
#undef ACTIVATION
};

/* ---- the functions alone ----------------------------------------------------------------------------------------- */

/* Row `row` with numbers that differ from the defaults, or with the defaults, where it takes numbers. */
static gru_activation function_of(int32_t row, int defaults) {
    const gru_activation_facts *facts = gru_activation_facts_of(row);
    gru_activation f = {row, isnan(facts->alpha) ? 0 : 0.625f, isnan(facts->beta) ? 0 : 0.375f};
    if (defaults && f.alpha != 0) f.alpha = facts->alpha;
    if (defaults && !isnan(facts->beta)) f.beta = facts->beta;
    return f;
}

static double naive_value(const gru_activation *f, double v) {
    return naive_activation(GRU_ACTIVATION_FIRST + f->row, (double)f->alpha, (double)f->beta, v);
}

static void check_formula(const gru_activation *f) {
    const char *word = gru_activation_facts_of(f->row)->word;
    for (int i = -8000; i < 8000; i++) {
        const double v = i / 1000.0 + 0.0004,
                     step = 1e-5; /* no kink lies on, or a step beside, such a number */
        const double value = gru_reference_value(f, v), expected = naive_value(f, v);
        const double slope = gru_reference_slope(f, v, value);
        const double difference = (naive_value(f, v + step) - naive_value(f, v - step)) / (2 * step);
        CHECK(fabs(value - expected) <= 1e-14 * fmax(1, fabs(expected)), "%s(%g) is %.17g, expected %.17g",
              word, v, value, expected);
        CHECK(fabs(slope - difference) <= 1e-8 * fmax(1, fabs(slope)),
              "the slope of %s at %g is %.12g, by differences %.12g", word, v, slope, difference);
    }
}

TEST(activations, formulas_and_slopes_of_the_table) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        const gru_activation usual = function_of(row, 1), other = function_of(row, 0);
        check_formula(&usual);
        if (other.alpha != 0) check_formula(&other);
    }
}

/* What a kink itself has, and infinities. */
TEST(activations, slopes_at_kinks_and_limits) {
    static const struct {
        int32_t row;
        double v, value, slope;
    } cases[] = {
        {GRU_ROW_OF_RELU, 0, 0, 1},
        {GRU_ROW_OF_LEAKY_RELU, 0, 0, 1},
        {GRU_ROW_OF_ELU, 0, 0, 1},
        {GRU_ROW_OF_RELU6, 6, 6, 1},
        {GRU_ROW_OF_RELU6, 0, 0, 1},
        {GRU_ROW_OF_HARD_TANH, -1, -1, 1},
        {GRU_ROW_OF_THRESHOLDED_RELU, 1, 0, 0},
        {GRU_ROW_OF_SOFTPLUS, INFINITY, INFINITY, 1},
        {GRU_ROW_OF_SOFTPLUS, -INFINITY, 0, 0},
        {GRU_ROW_OF_EXPONENTIAL, INFINITY, INFINITY, INFINITY},
        {GRU_ROW_OF_EXPONENTIAL, -INFINITY, 0, 0},
        {GRU_ROW_OF_ELU, -INFINITY, -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gru_activation f = function_of(cases[i].row, 1);
        float v[PANEL], value[PANEL], slope[PANEL];
        for (int k = 0; k < PANEL; k++) v[k] = (float)cases[i].v;
        gru_cpu_best_kernels()->activation(&f, v, value, slope, PANEL);
        const double exact = gru_reference_value(&f, cases[i].v);
        CHECK(exact == cases[i].value && (double)value[0] == cases[i].value,
              "%s(%g) is %g and %g, expected %g", gru_activation_facts_of(f.row)->word, cases[i].v, exact,
              (double)value[0], cases[i].value);
        const double exact_slope = gru_reference_slope(&f, cases[i].v, exact);
        CHECK(exact_slope == cases[i].slope && ((double)slope[0] == exact_slope || slope[0] < 0x1p-24f),
              "the slope of %s at %g is %g and %g, expected %g", gru_activation_facts_of(f.row)->word,
              cases[i].v, exact_slope, (double)slope[0], cases[i].slope);
    }
}

/* Products of functions that vanish and of v, which does not: no infinity times zero, in the reference and in the kernels. */
TEST(activations, slopes_far_from_zero) {
    static const int32_t rows[] = {GRU_ROW_OF_SILU, GRU_ROW_OF_GELU, GRU_ROW_OF_GELU_TANH, GRU_ROW_OF_MISH};
    static const double far[] = {2000, 3e38, 3e190, INFINITY};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < 2 * sizeof far / sizeof *far; k++) {
            const gru_activation f = function_of(rows[i], 1);
            const double v = k % 2 ? -far[k / 2] : far[k / 2], expected = v > 0;
            const double exact = gru_reference_slope(&f, v, gru_reference_value(&f, v));
            float in[PANEL], value[PANEL], slope[PANEL];
            for (int j = 0; j < PANEL; j++)
                in[j] = fabs(v) < 1e39 ? (float)v : (k % 2 ? -INFINITY : INFINITY);
            gru_cpu_best_kernels()->activation(&f, in, value, slope, PANEL);
            CHECK(exact == expected && fabs((double)slope[0] - expected) < 0x1p-24,
                  "the slope of %s at %g is %g and %g, expected %g", gru_activation_facts_of(f.row)->word, v,
                  exact, (double)slope[0], expected);
        }
}

/* ---- their error in f32, and their bits --------------------------------------------------------------------------- */

enum {
    BLOCK = 256,
    STRIDE = 40009
}; /* every STRIDE-th float: 107,000 of them, with every exponent and both signs */

static double error_of(float got, double exact) {
    if (isnan(exact)) return isnan(got) ? 0 : HUGE_VAL;
    if (fabs(exact) > 0x1.fffffep127) return isinf(got) || fabs((double)got) > 0x1.fffff0p127 ? 0 : HUGE_VAL;
    const double error = fabs((double)got - exact) / (0x1p-24 * fmax(1, fabs(exact)));
    return isnan(error) ? HUGE_VAL : error;
}

static void check_floats(const gru_activation *f) {
    float v[BLOCK], value[BLOCK], slope[BLOCK], value_at = 0, slope_at = 0;
    double worst_value = 0, worst_slope = 0;
    for (uint64_t begin = 0; begin < 0x100000000u; begin += (uint64_t)BLOCK * STRIDE) {
        for (uint64_t i = 0; i < BLOCK; i++) v[i] = gru_float_from_bits((uint32_t)(begin + i * STRIDE));
        gru_cpu_best_kernels()->activation(f, v, value, slope, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            const double y = gru_reference_value(f, (double)v[i]);
            const double value_error = error_of(value[i], y);
            const double slope_error = error_of(slope[i], gru_reference_slope(f, (double)v[i], y));
            if (value_error > worst_value) worst_value = value_error, value_at = v[i];
            if (slope_error > worst_slope) worst_slope = slope_error, slope_at = v[i];
        }
    }
    const char *word = gru_activation_facts_of(f->row)->word;
    printf("%s: value %.2f at %g, slope %.2f at %g, in units of 2^-24\n", word, worst_value, (double)value_at,
           worst_slope, (double)slope_at);
    CHECK(worst_value <= bounds[f->row], "%s(%g): error %.3g, bound %g units of 2^-24", word,
          (double)value_at, worst_value, bounds[f->row]);
    CHECK(worst_slope <= bounds[f->row], "slope of %s at %g: error %.3g, bound %g units of 2^-24", word,
          (double)slope_at, worst_slope, bounds[f->row]);
}

TEST(activations, errors_are_within_the_bounds_of_the_table) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        const gru_activation usual = function_of(row, 1), other = function_of(row, 0);
        check_floats(&usual);
        if (other.alpha != 0) check_floats(&other);
    }
}

static uint64_t differences_of(const gru_cpu_kernels *a, const gru_cpu_kernels *b, const gru_activation *f) {
    float v[BLOCK], value[2][BLOCK], slope[2][BLOCK];
    uint64_t different = 0;
    for (uint64_t begin = 0; begin < 0x100000000u; begin += (uint64_t)BLOCK * STRIDE) {
        for (uint64_t i = 0; i < BLOCK; i++) v[i] = gru_float_from_bits((uint32_t)(begin + i * STRIDE));
        a->activation(f, v, value[0], slope[0], BLOCK);
        b->activation(f, v, value[1], slope[1], BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            different += gru_bits_from_float(value[0][i]) != gru_bits_from_float(value[1][i]) &&
                         !(isnan(value[0][i]) && isnan(value[1][i]));
            different += gru_bits_from_float(slope[0][i]) != gru_bits_from_float(slope[1][i]) &&
                         !(isnan(slope[0][i]) && isnan(slope[1][i]));
        }
    }
    return different;
}

TEST(activations, instruction_sets_have_the_same_bits) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        const gru_activation f = function_of(row, 0);
        const gru_cpu_kernels *best = gru_cpu_best_kernels();
        uint64_t different = differences_of(&gru_cpu_kernels_scalar, best, &f);
        CHECK(different == 0, "%s: %llu numbers of cpu_scalar differ", gru_activation_facts_of(row)->word,
              (unsigned long long)different);
#if defined(__x86_64__)
        if (best != &gru_cpu_kernels_avx512) continue;
        different = differences_of(&gru_cpu_kernels_avx2, best, &f);
        CHECK(different == 0, "%s: %llu numbers of AVX2 differ", gru_activation_facts_of(row)->word,
              (unsigned long long)different);
#endif
    }
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static const uint32_t everything = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET;

static void compare_with_differences(gru_context *context, int number, long *compared, long *skipped) {
    problem *p = difference_problem_of(problem_activation(number), 2, everything, (uint64_t)number + 1);
    double y[4 * 3 * 3], hT[3 * 3];
    uint64_t sides;
    differences found;
    result r;
    problem_run(p, context, &r);
    (void)naive_gru_run(p, y, hT, &sides);
    check_close(p, NULL, "y", r.y, y);
    check_close(p, NULL, "hT", r.hT, hT);
    result_free(&r);
    compare_differences(p, context, &found);
    CHECK(found.worst < DIFFERENCE_BUDGET, "%s[%zu] is %.12g, by differences %.12g: %s",
          gradient_names[found.gradient], found.at, found.got, found.expected, p->text);
    *compared += found.compared, *skipped += found.skipped;
    problem_free(p);
}

TEST(activations, reference_agrees_with_differences) {
    gru_context *context = tester_context("cpu_reference", 1);
    long compared = 0, skipped = 0;
    for (int i = 0; i < ACTIVATION_VARIANTS; i++) compare_with_differences(context, i, &compared, &skipped);
    CHECK(compared > 0 && skipped * 20 <= compared, "%ld numbers compared, %ld left out at kinks", compared,
          skipped);
    gru_context_release(context);
}

/* A training problem of each activation; odd ones with attention and drawn types, all with drawn options. */
static problem *problem_of_activation(int number, int types) {
    const shape sizes = {3, 5, 5, 19, "a panel and three units"};
    const uint64_t draw = (uint64_t)number + 400;
    const uint32_t others =
        PROBLEM_TRAIN | PROBLEM_RECOMPUTE | PROBLEM_NO_Y | PROBLEM_NO_HT | PROBLEM_ATTENTION;
    gru_layer_config config = problem_activation(number);
    uint32_t options = (problem_options(draw) & ~others) | PROBLEM_TRAIN;
    if (number % 2)
        problem_types(&config, (int)(tester_random(3, draw) % (uint64_t)types)), options |= PROBLEM_ATTENTION;
    return problem_make(&sizes, &config, options, draw);
}

typedef struct trained {
    result r;
    gradients g;
} trained;

static void train(const problem *p, gru_context *context, trained *t) {
    problem_run(p, context, &t->r);
    gradients_make(p, &t->g);
    REQUIRE(problem_backward(p, &t->r, 0, &t->g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

static void trained_free(trained *t) {
    gradients_free(&t->g);
    result_free(&t->r);
}

ENGINE_TEST(activations, engines_agree_with_the_reference) {
    gru_context *context = tester_context(engine, 1), *reference = tester_context("cpu_reference", 1);
    for (int i = 0; i < ACTIVATION_VARIANTS; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_activation(i, problem_type_count(context)), *exact = problem_exact(p);
        trained got, expected;
        train(p, context, &got);
        train(exact, reference, &expected);
        check_close(p, got.r.layer, "y", got.r.y, expected.r.y);
        check_close(p, got.r.layer, "hT", got.r.hT, expected.r.hT);
        check_gradients_close(p, got.r.layer, &got.g, &expected.g);
        trained_free(&got), trained_free(&expected);
        problem_free(p), problem_free(exact);
    }
    gru_context_release(context);
    gru_context_release(reference);
}

/* Forward and backward of p on the context give the bits of t. */
static void check_same_training(const problem *p, gru_context *context, const trained *t) {
    trained other;
    train(p, context, &other);
    check_same_results(p, &t->r, &other.r);
    check_same_gradients(p, &t->g, &other.g);
    trained_free(&other);
}

/* Another instruction set, two threads, a reserve of states only. */
ENGINE_TEST(activations, bits_do_not_depend_on_the_way) {
    ONLY_ON_THE_CPU(engine);
    const int exact = strcmp(engine, "cpu_reference") == 0;
    gru_context *one = tester_context(engine, 1), *two = tester_context(engine, 2);
    gru_context *scalar = tester_context(exact ? engine : "cpu_scalar", 1);
    for (int i = 0; i < ACTIVATION_VARIANTS; i++) {
        problem *p = problem_of_activation(i, TYPES + 1);
        problem *again = problem_with(p, (p->options & ~(uint32_t)PROBLEM_TRAIN) | PROBLEM_RECOMPUTE);
        trained t;
        train(p, one, &t);
        check_same_training(p, scalar, &t);
        check_same_training(p, two, &t);
        check_same_training(again, one, &t);
        trained_free(&t);
        problem_free(p), problem_free(again);
    }
    gru_context_release(one), gru_context_release(two), gru_context_release(scalar);
}

/* One step of one row does not take the streaming path; rows and cuts change nothing, and NaN stays in its row. */
ENGINE_TEST(activations, keep_the_properties_of_all_layers) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < ACTIVATION_VARIANTS; i++) {
        const shape sizes = {3, 3, 4, 18, "a panel and two units"};
        if (!tester_takes((uint64_t)i)) continue;
        gru_layer_config config = problem_activation(i);
        problem *p =
            problem_make(&sizes, &config, problem_options((uint64_t)i) & property_options, (uint64_t)i);
        result plain;
        problem_run(p, context, &plain);
        property_rows(context, p, &plain);
        property_poison(context, p, &plain);
        if (config.direction == GRU_FORWARD) property_cuts(context, p, &plain);
        result_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}

/* A function has the same bits under both of its constants, and the layer describes itself by one of them. */
ENGINE_TEST(activations, have_one_name_in_a_layer) {
    static const int32_t pairs[][2] = {{GRU_CANDIDATE_TANH, GRU_ACTIVATION_TANH},
                                       {GRU_CANDIDATE_RELU, GRU_ACTIVATION_RELU},
                                       {GRU_CANDIDATE_LINEAR, GRU_ACTIVATION_LINEAR}};
    const shape sizes = {3, 2, 4, 5, "any"};
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < 6; i++) {
        gru_layer_config old = GRU_INIT, new = GRU_INIT, old_said, new_said;
        old.candidate = pairs[i / 2][0], new.candidate = pairs[i / 2][1];
        old.gate = i % 2 ? GRU_GATE_HARD_SIGMOID : GRU_GATE_SIGMOID;
        new.gate = i % 2 ? GRU_ACTIVATION_HARD_SIGMOID : GRU_ACTIVATION_SIGMOID;
        if (i % 2) old.hard_slope = new.gate_alpha = 0.25f;
        if (i == 5) old.gate_beta = new.gate_beta = 0.75f;
        problem *p = problem_make(&sizes, &old, PROBLEM_H0, 3),
                *q = problem_make(&sizes, &new, PROBLEM_H0, 3);
        result a, b;
        problem_run(p, context, &a);
        problem_run(q, context, &b);
        check_same_results(p, &a, &b);
        REQUIRE(gru_layer_describe(a.layer, &old_said) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_describe(b.layer, &new_said) == GRU_OK, "%s", gru_last_error());
        CHECK(memcmp(&old_said, &new_said, sizeof old_said) == 0,
              "gate %d, candidate %d are described as %d and %d, others as %d and %d", old.gate,
              old.candidate, old_said.gate, old_said.candidate, new_said.gate, new_said.candidate);
        result_free(&a), result_free(&b);
        problem_free(p), problem_free(q);
    }
    gru_context_release(context);
}
