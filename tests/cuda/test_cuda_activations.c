/* test_cuda_activations.c: every activation as the CUDA kernels compute it, at many numbers: values, slopes, limits, NaN. */
#include <math.h>

#include "core/activation.h"
#include "core/layout.h"
#include "cpu/cpu_reference_activation.h"
#include "support/problem.h"

static const double bounds[GRU_ACTIVATIONS] = {
#define ACTIVATION(NAME, word, alpha, beta, sign, bound, ...) bound,
#include "core/activations.def"
#undef ACTIVATION
};

static const shape sizes = {1, 8, 0, 64, "512 numbers"};
enum { NUMBERS = 8 * 64 };

/* ---- the numbers ------------------------------------------------------------------------------------------------- */

/* Infinities, zeros, kinks and NaN; every exponent with both signs; the rest within 24 of zero, where functions bend. */
static float number(int i) {
    static const float special[] = {0,   -0.0f, 1,  -1,  3,        -3,        6,  0.625f,
                                    104, -104,  14, -14, INFINITY, -INFINITY, NAN};
    enum { SPECIAL = sizeof special / sizeof *special, EXPONENTS = 2 * 64 };
    if (i < SPECIAL) return special[i];
    i -= SPECIAL;
    if (i < EXPONENTS) return ldexpf(i % 2 ? -1.37f : 1.37f, 4 * (i / 2) - 126);
    return 24.0f * (float)tester_uniform(1, (uint64_t)i);
}

/* CUDA's erfc errs by 4 ulps, its other functions by less. An ulp is at most 2^-23 of a number; the table's bound is for all
 * else. */
static void check_number(const char *what, const gru_activation *f, float v, double got, double exact) {
    const double budget = (bounds[f->row] + 8) * 0x1p-24 * fmax(1, fabs(exact));
    const int right = isnan(exact)                   ? isnan(got)
                      : fabs(exact) > 0x1.fffffep127 ? fabs(got) > 0x1.ffffp127
                                                     : fabs(got - exact) <= budget;
    CHECK(right, "%s of %s (%g, %g) at %g is %.9g, exactly %.9g, budget %.3g", what,
          gru_activation_facts_of(f->row)->word, (double)f->alpha, (double)f->beta, (double)v, got, exact,
          budget);
}

/* ---- a layer whose output is one function of its input ------------------------------------------------------------ */

static void fill(const void *data, size_t count, float value) {
    float *numbers = (float *)(uintptr_t)data; /* the problem's own memory */
    for (size_t i = 0; i < count; i++) numbers[i] = value;
}

/* With zeros for weights, a linear gate and h0 = 0, y is the candidate. With a linear candidate and h0 = 1, it is the update
 * gate. The projected input is the pre-activation, and dprojected for dy = 1 its slope. */
static problem *make_problem(const gru_activation *f, int as_gate) {
    gru_layer_config config = GRU_INIT;
    config.gate = config.candidate = GRU_ACTIVATION_LINEAR;
    if (as_gate)
        config.gate = GRU_ACTIVATION_FIRST + f->row, config.gate_alpha = f->alpha, config.gate_beta = f->beta;
    else
        config.candidate = GRU_ACTIVATION_FIRST + f->row, config.candidate_alpha = f->alpha,
        config.candidate_beta = f->beta;
    problem *p =
        problem_make(&sizes, &config, PROBLEM_PROJECTED | PROBLEM_NO_BIAS | PROBLEM_H0 | PROBLEM_TRAIN, 1);
    const size_t H = (size_t)p->shape.H, gate = as_gate ? GATE_Z : GATE_N;
    float *projected = (float *)(uintptr_t)p->run.projected.data;
    fill(p->weights.R, GATES * H * H, 0);
    fill(p->run.h0, NUMBERS, as_gate ? 1 : 0);
    fill(p->run.projected.data, GATES * NUMBERS, 0);
    fill(p->dy.data, NUMBERS, 1);
    fill(p->dhT, NUMBERS, 0);
    for (size_t i = 0; i < NUMBERS; i++) projected[(i / H * GATES + gate) * H + i % H] = number((int)i);
    return p;
}

static void check_function(gru_context *context, const gru_activation *f, int as_gate) {
    problem *p = make_problem(f, as_gate);
    const size_t H = (size_t)p->shape.H, gate = as_gate ? GATE_Z : GATE_N;
    gradients g;
    result r;
    problem_run(p, context, &r);
    gradients_make(p, &g);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    const float *y = r.y, *slopes = g.data[GRAD_PROJECTED];
    for (size_t i = 0; i < NUMBERS; i++) {
        const float v = number((int)i);
        const double value = gru_reference_value(f, (double)v),
                     slope = gru_reference_slope(f, (double)v, value);
        if (as_gate && fabs(value) > 0x1.fffffep127) continue; /* 1 - z has no number then */
        check_number("value", f, v, (double)y[i], value);
        if (!isnan(slope) && !isnan(v))
            check_number("slope", f, v, (double)slopes[(i / H * GATES + gate) * H + i % H], slope);
    }
    gradients_free(&g);
    result_free(&r);
    problem_free(p);
}

/* With the defaults, and with other numbers. */
TEST(cuda_activations, values_and_slopes_are_those_of_the_table) {
    gru_context *context = tester_context("cuda_stepwise", 1);
    for (int i = 0; i < 4 * GRU_ACTIVATIONS; i++) {
        const int32_t row = i / 4;
        const gru_activation_facts *facts = gru_activation_facts_of(row);
        const int has_alpha = !isnan(facts->alpha), has_beta = !isnan(facts->beta), other = i / 2 % 2;
        gru_activation f = {row, has_alpha ? facts->alpha : 0, has_beta ? facts->beta : 0};
        if (other && has_alpha) f.alpha = 0.625f;
        if (other && has_beta) f.beta = 0.375f;
        if (!tester_takes((uint64_t)i) || (other && !has_alpha)) continue;
        check_function(context, &f, i % 2);
    }
    gru_context_release(context);
}
