/* test_mutations.c: a backward pass with any one of its terms left out or turned is found by the comparison with differences.
 * The list of mutations is mutations.cmake. */
#include <math.h>

#include "differences.h"

/* Made by mutations.cmake, which reads what this program chooses: -1: none. */
extern const char *const gru_mutations[];
extern const int gru_mutation_count;
extern int gru_mutation;
int gru_mutation;

static const uint32_t option_sets[] = {
    PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_ATTENTION,
    PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_PROJECTED,
    0,
};
enum { OPTION_SETS = sizeof option_sets / sizeof *option_sets };

/* How far the mutated backward pass is off in this variant. */
static double error_of(gru_context *context, int variant, uint32_t options) {
    static const float scale = 8;
    problem *p = difference_problem(variant, options, (uint64_t)variant + 1);
    differences found;
    if (variant % 2) p->loss_scale = &scale;
    compare_differences(p, context, &found);
    problem_free(p);
    return found.worst;
}

/* The number of variants looked at until one is over the budget of test_reference by a factor of a thousand; 0: none is. */
static int variants_until_found(gru_context *context) {
    for (int k = 0; k < OPTION_SETS; k++)
        for (int variant = 0; variant < VARIANTS; variant++)
            if (error_of(context, variant, option_sets[k]) > 1000 * DIFFERENCE_BUDGET)
                return k * VARIANTS + variant + 1;
    return 0;
}

TEST(mutations, each_is_found) {
    gru_context *context = tester_context("cpu_reference", 1);
    for (gru_mutation = 0; gru_mutation < gru_mutation_count; gru_mutation++)
        CHECK(variants_until_found(context) > 0, "nothing shows the mutation %s",
              gru_mutations[gru_mutation]);
    gru_context_release(context);
}

/* The copy is the library's backward pass: without a mutation nothing is found. */
TEST(mutations, none_is_right) {
    gru_context *context = tester_context("cpu_reference", 1);
    gru_mutation = -1;
    CHECK(variants_until_found(context) == 0, "the backward pass without a mutation is wrong");
    gru_context_release(context);
}
