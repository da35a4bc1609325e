/* cpu_kernels_scalar.c: the vocabulary in plain C, one lane wide, then the body. */
#include "cpu_kernels.h"

#include <math.h>

#define KERNELS gru_cpu_kernels_scalar
#define LANES 1
#define TILE 1
#define WIDE(rows) 4

typedef float vec;

static inline vec vec_load(const float *p) {
    return *p;
}
static inline void vec_store(float *p, vec v) {
    *p = v;
}
static inline vec vec_set1(float v) {
    return v;
}
static inline vec vec_add(vec a, vec b) {
    return a + b;
}
static inline vec vec_sub(vec a, vec b) {
    return a - b;
}
static inline vec vec_mul(vec a, vec b) {
    return a * b;
}
static inline vec vec_div(vec a, vec b) {
    return a / b;
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return fmaf(a, b, c);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return fmaf(-a, b, c);
}
static inline vec vec_min(vec a, vec b) {
    return a < b ? a : b;
}
static inline vec vec_max(vec a, vec b) {
    return a > b ? a : b;
}
static inline vec vec_abs(vec v) {
    return fabsf(v);
}
static inline vec vec_copysign(vec m, vec s) {
    return copysignf(m, s);
}
static inline vec vec_power(vec t) {
    return gru_float_from_bits((gru_bits_from_float(t) + 127u) << 23);
}
static inline vec vec_load_f16(const uint16_t *p) {
    return gru_float_from_f16(*p);
}
static inline vec vec_load_bf16(const uint16_t *p) {
    return gru_float_from_bf16(*p);
}

#include "cpu_kernels.inl"
