/* cpu_kernels_neon.c: the vector vocabulary in NEON, for f32 or for f64, then the body. */
#include "cpu_kernels.h"

#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for AArch64"
#endif
#include <arm_neon.h>
#include <string.h>

#define KERNELS gru_cpu_kernels_neon
#define PAIRS gru_cpu_int8_neon
#define ROWS 8
#define WIDE(rows) ((rows) <= 2 ? 4 / (rows) : 1)

#ifdef GRU_CPU_F64
#define LANES 2
#define REAL_V(operation) operation##_f64
typedef float64x2_t vec;
#else
#define LANES 4
#define REAL_V(operation) operation##_f32
typedef float32x4_t vec;
#endif

static inline vec vec_load(const real *p) {
    return REAL_V(vld1q)(p);
}
static inline void vec_store(real *p, vec v) {
    REAL_V(vst1q)(p, v);
}
static inline vec vec_set1(real v) {
    return REAL_V(vdupq_n)(v);
}
static inline vec vec_add(vec a, vec b) {
    return REAL_V(vaddq)(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return REAL_V(vsubq)(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return REAL_V(vmulq)(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return REAL_V(vdivq)(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return REAL_V(vfmaq)(c, a, b);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return REAL_V(vfmsq)(c, a, b);
}
/* by comparison, not vminq: that one orders zeros and would differ from the other instruction sets */
static inline vec vec_min(vec a, vec b) {
    return REAL_V(vbslq)(REAL_V(vcltq)(a, b), a, b);
}
static inline vec vec_max(vec a, vec b) {
    return REAL_V(vbslq)(REAL_V(vcgtq)(a, b), a, b);
}
static inline vec vec_if_less(vec a, vec b, vec x, vec y) {
    return REAL_V(vbslq)(REAL_V(vcltq)(a, b), x, y);
}
static inline vec vec_abs(vec v) {
    return REAL_V(vabsq)(v);
}

#ifdef GRU_CPU_F64

static inline vec vec_copysign(vec m, vec s) {
    return vbslq_f64(vdupq_n_u64((uint64_t)1 << 63), s, m);
}

static inline vec vec_power(vec t) {
    const uint64x2_t n = vaddq_u64(vreinterpretq_u64_f64(t), vdupq_n_u64(1023));
    return vreinterpretq_f64_u64(vshlq_n_u64(n, 52));
}

static inline void vec_transpose(vec *v) {
    const vec low = vtrn1q_f64(v[0], v[1]);
    v[1] = vtrn2q_f64(v[0], v[1]);
    v[0] = low;
}

#else

static inline vec vec_copysign(vec m, vec s) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), s, m);
}

static inline vec vec_power(vec t) {
    const uint32x4_t n = vaddq_u32(vreinterpretq_u32_f32(t), vdupq_n_u32(127));
    return vreinterpretq_f32_u32(vshlq_n_u32(n, 23));
}

static inline vec vec_load_f16(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static inline vec vec_load_bf16(const uint16_t *pairs, int odd) {
    const uint32x4_t bits = vreinterpretq_u32_u16(vld1q_u16(pairs));
    return vreinterpretq_f32_u32(odd ? vandq_u32(bits, vdupq_n_u32(0xffff0000u)) : vshlq_n_u32(bits, 16));
}

#define INT8_ROWS 4
typedef int32x4x2_t isum; /* each sum in two neighbouring parts, added at the end */
typedef int16x8_t ipairs;

static inline void vec_store_low_bits(int16_t *p, vec v) {
    vst1_s16(p, vmovn_s32(vreinterpretq_s32_f32(v)));
}
static inline isum isum_zero(void) {
    return (isum){{vdupq_n_s32(0), vdupq_n_s32(0)}};
}
static inline ipairs ipairs_load(const int8_t *p) {
    return vmovl_s8(vld1_s8(p));
}
static inline ipairs ipairs_set1(const int16_t *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return vreinterpretq_s16_s32(vdupq_n_s32(both));
}
static inline isum isum_add(isum sum, ipairs w, ipairs u) {
    return (isum){
        {vmlal_s16(sum.val[0], vget_low_s16(w), vget_low_s16(u)), vmlal_high_s16(sum.val[1], w, u)}};
}
static inline isum isum_join(isum a, isum b) {
    return (isum){{vaddq_s32(a.val[0], b.val[0]), vaddq_s32(a.val[1], b.val[1])}};
}
static inline vec vec_from_isum(isum sum) {
    return vcvtq_f32_s32(vpaddq_s32(sum.val[0], sum.val[1]));
}

static inline vec pair_lo(vec a, vec b) {
    return vreinterpretq_f32_f64(vtrn1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
static inline vec pair_hi(vec a, vec b) {
    return vreinterpretq_f32_f64(vtrn2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

static inline void vec_transpose(vec *v) {
    const vec a = vtrn1q_f32(v[0], v[1]), b = vtrn2q_f32(v[0], v[1]);
    const vec c = vtrn1q_f32(v[2], v[3]), d = vtrn2q_f32(v[2], v[3]);
    v[0] = pair_lo(a, c);
    v[1] = pair_lo(b, d);
    v[2] = pair_hi(a, c);
    v[3] = pair_hi(b, d);
}

#endif

#include "cpu_kernels.inl"
