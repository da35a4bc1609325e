/* arithmetics.h: all types of input, state and weights that the CUDA engines run, as a dimension of a covering array. */
#ifndef GRU_TEST_ARITHMETICS_H
#define GRU_TEST_ARITHMETICS_H

static const struct {
    int types; /* of problem_types */
    int tf32;  /* the context allows TF32 */
} arithmetics[] = {
    {0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {0, 1}, {5, 1}, {8, 1},
};

enum { ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

#endif
