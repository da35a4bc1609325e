/* valid_run.h: a training run without errors. Tests of refusals change one thing of it each.
 *
 * On the CPU, f32, one thread. */
#ifndef VALID_RUN_H
#define VALID_RUN_H

#include "problem.h"

/* A training run without errors, with every option that a run may have. */
typedef struct valid_run {
    gru_context *context;
    problem *p;
    result r;
    gradients g;
    uint64_t hash; /* of all outputs: no refused call may change them */
    void *wide;    /* memory large enough for any tensor, and used for nothing else */
} valid_run;

enum { T = 4, N = 3, I = 2, H = 5 };

enum { VALID_RUN_WIDE = 1 << 16 }; /* bytes of wide */

/* Options of a problem: everything that a run may have at once. */
static const uint32_t all_options = PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SEGMENTS | PROBLEM_H_RESET |
                                    PROBLEM_ATTENTION | PROBLEM_SLOTS | PROBLEM_PACKED | PROBLEM_TRAIN;

/* options: of the problem; with PROBLEM_TRAIN a backward pass has run, so that its outputs are numbers too. */
void valid_run_make(valid_run *valid, uint32_t options);
void valid_run_release(valid_run *valid);
/* One check each: the status, a sentence with both words, and untouched outputs. what: for failures. */
void check_refused(const valid_run *valid, gru_status status, gru_status expected, const char *what,
                   const char *name, const char *value);
/* The number as text, until the next call. */
const char *text_of(long long value);

#endif
