/* bench_problem.c: names, sizes and operations of a problem.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_problem.h"

#include <stdlib.h>

const char *const bench_stage_names[BENCH_STAGES] = {"forward",   "train",    "recurrence",
                                                     "streaming", "backward", "both"};

void bench_problem_release(bench_problem *problem) {
    if (!problem) return;
    free((void *)problem->W), free((void *)problem->R), free((void *)problem->bW), free((void *)problem->bR);
    free((void *)problem->x), free((void *)problem->h0), free((void *)problem->projected);
    free(problem->y), free(problem->hT), free(problem->reference), free((void *)problem->dy);
    for (int i = 0; i < BENCH_GRADIENTS; i++)
        free(problem->gradients[i]), free(problem->gradient_reference[i]);
    free(problem);
}

int64_t bench_problem_gradient_count(const bench_shape *shape, int which) {
    const int64_t counts[BENCH_GRADIENTS] = {[BENCH_DX] = shape->T * shape->N * shape->I,
                                             [BENCH_DH0] = shape->N * shape->H,
                                             [BENCH_DW] = 3 * shape->H * shape->I,
                                             [BENCH_DR] = 3 * shape->H * shape->H,
                                             [BENCH_DBW] = 3 * shape->H,
                                             [BENCH_DBR] = 3 * shape->H};
    return counts[which];
}

double bench_problem_flops(const bench_problem *problem) {
    const int passes = problem->stage == BENCH_BACKWARD ? 2 : problem->stage == BENCH_BOTH ? 3 : 1;
    const bench_shape shape = problem->shape;
    const double terms = (double)(problem->stage == BENCH_RECURRENCE ? shape.H : shape.I + shape.H);
    return passes * 2 * (double)(bench_problem_gates(problem) * shape.H) * terms * (double)shape.N *
           (double)shape.T;
}
