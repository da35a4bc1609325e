/* bench_type.h: the types of a layer in the benchmark, and conversion to and from f32.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_TYPE_H
#define BENCH_TYPE_H

#include <stddef.h>
#include <stdint.h>

/* TF32: numbers are f32, products may be rounded to 11 bits by the tensor cores of a GPU. F64: arithmetic in f64 on numbers
 * that f32 holds. */
enum { BENCH_F32, BENCH_TF32, BENCH_F16, BENCH_BF16, BENCH_F64, BENCH_TYPES };
extern const char *const bench_type_names[BENCH_TYPES]; /* "f32" ... */

/* What an engine of the library holds weights in: as the problem has them, or rounded to fewer bits. BF16_PRODUCTS: with
 * GRU_ALLOW_BF16. */
enum {
    BENCH_WEIGHTS_SAME,
    BENCH_WEIGHTS_F16,
    BENCH_WEIGHTS_BF16,
    BENCH_WEIGHTS_BF16_PRODUCTS,
    BENCH_WEIGHTS_INT8,
    BENCH_WEIGHTS
};
extern const char *const bench_weights_names[BENCH_WEIGHTS]; /* "same" ... */
/* Largest error of a rounded weight relative to itself; int8: to the largest of its row, and so sqrt 3 times as large on average
 * as if it were relative to itself. With products of bf16 both operands are rounded. 0: none. */
double bench_weights_unit(int weights);

size_t bench_type_bytes(int type); /* of one number in memory */
double
bench_type_unit(int type); /* largest relative error of one rounding: 2^-24, 2^-11, 2^-11, 2^-8, 2^-53 */
/* That of states and of gradients of weights: f32, or f64 in a layer of f64. */
int bench_type_wide(int type);
/* numbers[count], rounded to nearest, ties to even, into what memory of this type holds; and back, rounded only from f64. */
void bench_type_narrow(const float *numbers, int64_t count, int type, void *to);
void bench_type_widen(const void *from, int64_t count, int type, float *numbers);
/* Rounds in place to what memory of this type can hold. */
void bench_type_round(float *numbers, int64_t count, int type);

#endif
