/* cpu_kernels_scalar.c: the vocabulary in plain C, one lane wide, for f32 or for f64, then the body. */
#include "cpu_kernels.h"

#include <math.h>
#include <string.h>

#define KERNELS gru_cpu_kernels_scalar
#define PAIRS gru_cpu_int8_scalar
#define LANES 1
#define ROWS 1
#define WIDE(rows) 4

typedef real vec;

static inline vec vec_load(const real *p) {
    return *p;
}
static inline void vec_store(real *p, vec v) {
    *p = v;
}
static inline vec vec_set1(real v) {
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
#ifdef GRU_CPU_F64
/* The C library takes the instruction if the processor has it, and else rounds in software, which is slow: cpu_engine.c. */
static inline vec vec_fma(vec a, vec b, vec c) {
    return fma(a, b, c);
}
#elif defined(FP_FAST_FMAF)
static inline vec vec_fma(vec a, vec b, vec c) {
    return fmaf(a, b, c);
}
#else
/* a b + c rounded once, without the instruction and six times as fast as with the library's function. In double the
 * product is exact. Rounding the sum to double and then to f32 differs from rounding it once only where the double lies
 * halfway between two f32: then the sum's rounding error, which is known exactly too, decides, by moving the double to
 * its neighbour with an odd last bit (Boldo and Melquiond 2008). */
static vec round_once(double product, double sum, double c) {
    const double part = sum - product, error = (product - (sum - part)) + (c - part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if ((error < 0 || error > 0) && (bits & 1) == 0)
        bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX; /* the exact sum is larger, smaller in magnitude */
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
}

static inline vec vec_fma(vec a, vec b, vec c) {
    const double product = (double)a * (double)b, sum = product + (double)c;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    const int halfway = (bits & 0x1fffffff) == 0x10000000;
    const int subnormal = fabs(sum) < 0x1p-126; /* as f32: halfway lies elsewhere */
    return __builtin_expect(halfway || subnormal, 0) ? round_once(product, sum, (double)c) : (float)sum;
}
#endif
static inline vec vec_fnma(vec a, vec b, vec c) {
    return vec_fma(-a, b, c);
}
static inline vec vec_min(vec a, vec b) {
    return a < b ? a : b;
}
static inline vec vec_max(vec a, vec b) {
    return a > b ? a : b;
}
static inline vec vec_if_less(vec a, vec b, vec x, vec y) {
    return a < b ? x : y;
}
static inline void vec_transpose(vec *v) {
    (void)v;
}

#ifdef GRU_CPU_F64

static inline vec vec_abs(vec v) {
    return fabs(v);
}
static inline vec vec_copysign(vec m, vec s) {
    return copysign(m, s);
}
static inline vec vec_power(vec t) {
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&t, &bits, sizeof t);
    return t;
}

#else

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
static inline vec vec_load_bf16(const uint16_t *pairs, int odd) {
    return gru_float_from_bf16(pairs[odd]);
}

#define INT8_ROWS 1
typedef int32_t isum;
typedef struct ipairs {
    int32_t first, second;
} ipairs;

static inline void vec_store_low_bits(int16_t *p, vec v) {
    *p = (int16_t)gru_bits_from_float(v);
}
static inline isum isum_zero(void) {
    return 0;
}
static inline ipairs ipairs_load(const int8_t *p) {
    return (ipairs){p[0], p[1]};
}
static inline ipairs ipairs_set1(const int16_t *pair) {
    return (ipairs){pair[0], pair[1]};
}
static inline isum isum_add(isum sum, ipairs w, ipairs u) {
    return sum + w.first * u.first + w.second * u.second;
}
static inline isum isum_join(isum a, isum b) {
    return a + b;
}
static inline vec vec_from_isum(isum sum) {
    return (float)sum;
}

#endif

#include "cpu_kernels.inl"
