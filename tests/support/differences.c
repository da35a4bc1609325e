/* differences.c: central differences: steps every number of a problem up and down, and runs the naive GRU for both. */
#include "differences.h"

#include <math.h>

#include "naive_gru.h"

problem *difference_problem(int variant, uint32_t options, uint64_t seed) {
    return difference_problem_of(problem_variant(variant), 5, options, seed);
}

problem *difference_problem_of(gru_layer_config config, double factor, uint32_t options, uint64_t seed) {
    const shape small = {4, 3, 2, 3, "small enough for differences of every number"};
    config.io_type = config.state_type = config.weight_type = GRU_F64;
    problem *p = problem_make(&small, &config, options | PROBLEM_TRAIN, seed);
    const int projected = p->run.projected.data != NULL;
    double *input = (double *)(uintptr_t)(projected ? p->run.projected.data : p->run.x.data);
    const int64_t row = projected ? 3 * p->shape.H : p->shape.I;
    for (int64_t i = 0; i < p->shape.T * p->shape.N * row; i++) input[i] *= factor;
    return p;
}

/* The numbers of the problem that gradient g belongs to. */
static double *numbers_of(const problem *p, int g) {
    const void *const data[GRADS] = {p->run.x.data, p->run.projected.data, p->run.attention.data,
                                     p->run.h0,     p->run.h_restart,      p->weights.W,
                                     p->weights.R,  p->weights.bW,         p->weights.bR};
    return (double *)(uintptr_t)data[g];
}

/* The derivative of the naive GRU's value by one number; 0 if a kink lies within the difference. */
static int difference(const problem *p, double *number, double *slope) {
    const double before = *number, step = 1e-5;
    uint64_t above_sides, below_sides;
    *number = before + step;
    const double above = naive_gru_run(p, NULL, NULL, &above_sides);
    *number = before - step;
    const double below = naive_gru_run(p, NULL, NULL, &below_sides);
    *number = before;
    *slope = (above - below) / (2 * step);
    return above_sides == below_sides;
}

static void compare_gradient(const problem *p, int g, const gradients *backward, differences *out) {
    const double scale = g >= GRAD_W && p->loss_scale ? (double)*p->loss_scale : 1;
    double *numbers = numbers_of(p, g);
    const double *got = backward->data[g];
    for (size_t i = 0; i < backward->count[g]; i++) {
        double slope;
        if (!difference(p, &numbers[i], &slope)) {
            out->skipped++;
            continue;
        }
        out->compared++;
        const double expected = slope / scale, value = got[i] - (g >= GRAD_W ? 1 : 0);
        double error = fabs(value - expected) / fmax(1, fabs(expected));
        if (isnan(error)) error = HUGE_VAL;
        if (error <= out->worst) continue;
        out->worst = error, out->gradient = g, out->at = i;
        out->got = value, out->expected = expected;
    }
}

void compare_differences(problem *p, gru_context *context, differences *out) {
    result r;
    gradients g;
    *out = (differences){0};
    problem_run(p, context, &r);
    gradients_make(p, &g);
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; g.data[i] && k < g.count[i]; k++) ((double *)g.data[i])[k] = 1;
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int i = 0; i < GRADS; i++)
        if (g.data[i]) compare_gradient(p, i, &g, out);
    gradients_free(&g);
    result_free(&r);
}
