/* differences.h: compares gradients of the reference engine with central differences of the naive GRU, for every variant. */
#ifndef DIFFERENCES_H
#define DIFFERENCES_H

#include "problem.h"

/* A training problem in double precision, small enough for differences of every number, with inputs five times as large
 * as others, so that hard sigmoids and clips are reached. variant: of problem_variant. */
problem *difference_problem(int variant, uint32_t options, uint64_t seed);
/* The same of any variant, with inputs `factor` times as large. */
problem *difference_problem_of(gru_layer_config config, double factor, uint32_t options, uint64_t seed);

/* What compare_differences found. */
typedef struct differences {
    double
        worst; /* error of a number, relative to the larger of 1 and its difference; infinite: not a number */
    int gradient; /* GRAD_X ..., whose it is */
    size_t at;
    double got, expected;
    long compared, skipped; /* skipped: there is a kink within the difference */
} differences;

/* Runs p on the context, forward and backward, and compares every gradient. Gradients of weights are added to ones. p's
 * loss scale applies: data gradients are those of the value of the naive GRU, the others are divided by the scale. */
void compare_differences(problem *p, gru_context *context, differences *out);

/* The differences err by step^2 / 6 times a third derivative, and by 1e-16 / step: together some 1e-9. */
#define DIFFERENCE_BUDGET 1e-8

#endif
