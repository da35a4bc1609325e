/* covering_array.h: few rows of choices in which every two values of every two dimensions stand together somewhere.
 *
 *     static covering_row rows[COVERING_ROWS];
 *     const int count = covering_array_make(&plan, seed, rows);
 *     CHECK(covering_array_missing(&plan, rows, count) == 0, ...);
 *
 * Most faults need two circumstances to show; all combinations of all dimensions would take years. */
#ifndef COVERING_H
#define COVERING_H

#include <stdint.h>

enum { COVERING_DIMENSIONS = 32, COVERING_LEVELS = 16, COVERING_ROWS = 512 };

typedef struct covering_array {
    int dimensions;
    const int *levels; /* [dimensions] how many values each has */
    /* Whether level la of dimension a and level lb of dimension b cannot stand together; asked with a < b. */
    int (*excludes)(int a, int la, int b, int lb);
} covering_array;

typedef struct covering_row {
    uint8_t level[COVERING_DIMENSIONS];
} covering_row;

/* Fills rows, greedily, another set for each seed; returns how many, or 0 if they are too many. */
int covering_array_make(const covering_array *plan, uint64_t seed, covering_row rows[COVERING_ROWS]);
/* Pairs that stand in no row although they could. */
int covering_array_missing(const covering_array *plan, const covering_row *rows, int count);

#endif
