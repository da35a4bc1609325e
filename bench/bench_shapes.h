/* bench_shapes.h: the shapes that the command line asks for.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include <stddef.h>
#include <stdint.h>

typedef struct bench_shape {
    char name[40];
    int64_t T, N, I, H;
    int64_t whole_T; /* T before it was cut; time is linear in T */
} bench_shape;

enum { BENCH_SHAPES = 128 };

/* text: names of bench_shapes.def, T100,N8,I512,H512 (in this order), "default", "quick", "all" or "grid", joined by '/' or ','.
 * "grid" has 8 sizes H = I by 6 batches, none of them tuned for. "default", "quick" and "grid" cut T where one run would take
 * long (some 10, 1 and 1 GFLOP), the others never.
 * Returns how many were put into shapes[BENCH_SHAPES]; -1 with a sentence on standard error. */
int bench_shapes_parse(const char *text, bench_shape *shapes);

#endif
