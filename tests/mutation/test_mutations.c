/* test_mutations.c: the gradients are found to be wrong with any one mutation of mutations.txt: those of cpu_reference by finite
 * differences, those of the engines in f32 by cpu_reference. */
#include <math.h>
#include <string.h>

#include "support/differences.h"
#include "core/number.h"

extern const char *const gru_mutations[]; /* names.c */
extern const char *const gru_mutation_sources[];
extern const int gru_mutation_count;
/* Read by the mutated files; -1: no mutation. */
extern int gru_mutation;
int gru_mutation = -1;

static const float scale = 8;

static const uint32_t option_sets[] = {
    PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_ATTENTION,
    PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_PROJECTED,
    0,
};
enum { OPTION_SETS = sizeof option_sets / sizeof *option_sets };

/* How far a backward pass is off in this variant, relative to the budget of its tests. */
typedef double (*measure)(gru_context *context, int variant, uint32_t options);

/* The number of variants looked at until one is over the budget by a factor of a hundred; 0: none is. */
static int variants_until_found(const char *engine, measure error_of) {
    gru_context *context = tester_context(engine, 1);
    int found = 0;
    for (int i = 0; i < OPTION_SETS * VARIANTS && !found; i++)
        if (error_of(context, i % VARIANTS, option_sets[i / VARIANTS]) > 100) found = i + 1;
    gru_context_release(context);
    return found;
}

static int is_of_reference(int mutation) {
    return strstr(gru_mutation_sources[mutation], "cpu_reference") != NULL;
}

/* Every mutation of the reference engine, or of the others, is found; and nothing is where there is none. */
static void find_mutations(int of_reference, const char *engine, measure error_of) {
    for (gru_mutation = 0; gru_mutation < gru_mutation_count; gru_mutation++)
        if (is_of_reference(gru_mutation) == of_reference)
            CHECK(variants_until_found(engine, error_of) > 0, "nothing shows the mutation %s",
                  gru_mutations[gru_mutation]);
    gru_mutation = -1;
    CHECK(variants_until_found(engine, error_of) == 0, "the backward pass without a mutation is wrong");
}

/* ---- cpu_reference ----------------------------------------------------------------------------------------------- */

static double reference_error(gru_context *context, int variant, uint32_t options) {
    problem *p = difference_problem(variant, options, (uint64_t)variant + 1);
    differences found;
    if (variant % 2) p->loss_scale = &scale;
    compare_differences(p, context, &found);
    problem_free(p);
    return found.worst / DIFFERENCE_BUDGET;
}

TEST(mutations, of_the_reference_are_found) {
    find_mutations(1, "cpu_reference", reference_error);
}

/* ---- engines in f32 ---------------------------------------------------------------------------------------------- */

/* Inputs four times as large reach the ends of hard sigmoids. */
static void enlarge(problem *p) {
    const int projected = p->run.projected.data != NULL;
    void *input = (void *)(uintptr_t)(projected ? p->run.projected.data : p->run.x.data);
    const int64_t row = projected ? 3 * p->shape.H : p->shape.I;
    for (size_t i = 0; i < (size_t)(p->shape.T * p->shape.N * row); i++)
        gru_store_double(input, p->config.io_type, i, 4 * gru_load_double(input, p->config.io_type, i));
}

/* The gradients of p; those of weights are added to ones. */
static void differentiate(problem *p, gru_context *context, gradients *g) {
    result r;
    enlarge(p);
    problem_run(p, context, &r);
    gradients_make(p, g);
    for (int i = GRAD_W; i < GRADS; i++)
        for (size_t k = 0; g->data[i] && k < g->count[i]; k++) gru_store_double(g->data[i], g->type[i], k, 1);
    REQUIRE(problem_backward(p, &r, 0, g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    result_free(&r);
}

/* The largest error of a number of one gradient, relative to the largest number, and 1. */
static double worst_error(const gradients *got, const gradients *exact, int gradient) {
    const double *expected = exact->data[gradient];
    double largest = 1, worst = 0;
    for (size_t k = 0; k < got->count[gradient]; k++) {
        const double error = fabs(gru_load_double(got->data[gradient], got->type[gradient], k) - expected[k]);
        worst = isnan(error) ? HUGE_VAL : fmax(worst, error);
        largest = fmax(largest, fabs(expected[k]));
    }
    return worst / largest;
}

static double f32_error(gru_context *context, int variant, uint32_t options) {
    const shape sizes = {4, 3, 5, 19, "a panel and three units"};
    const gru_layer_config config = problem_variant(variant);
    gru_context *reference = tester_context("cpu_reference", 1);
    problem *p = problem_make(&sizes, &config, options | PROBLEM_TRAIN, (uint64_t)variant + 1);
    problem *exact = problem_exact(p);
    gradients g, exact_g;
    double worst = 0;
    if (variant % 2) p->loss_scale = exact->loss_scale = &scale;
    differentiate(p, context, &g);
    differentiate(exact, reference, &exact_g);
    for (int i = 0; i < GRADS; i++)
        if (g.data[i]) worst = fmax(worst, worst_error(&g, &exact_g, i));
    worst /= problem_budget(p, NULL, GRU_F32, 0, 1);
    gradients_free(&g), gradients_free(&exact_g);
    problem_free(p), problem_free(exact);
    gru_context_release(reference);
    return worst;
}

TEST(mutations, of_the_engines_in_f32_are_found) {
    find_mutations(0, "cpu_scalar", f32_error);
}
