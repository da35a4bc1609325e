/* cpu_kernels_avx512.h: the vector vocabulary in AVX-512, for f32 or for f64. */
#ifndef GRU_CPU_KERNELS_AVX512_H
#define GRU_CPU_KERNELS_AVX512_H

#define ROWS 8

#ifdef GRU_CPU_F64
#define LANES 8
#define WIDE(rows) ((rows) <= 4 ? 2 : 1)
typedef __m512d vec;
#else
#define LANES 16
#define WIDE(rows) 1
typedef __m512 vec;
#ifdef __AVX512VNNI__
#define INT8_ROWS 8
#else
#define INT8_ROWS 4 /* a product needs a register of its own beside the sums */
#endif
typedef __m512i isum, ipairs;
#endif
#define MM(operation) _mm512_##operation
#define MM_INTEGER(operation) _mm512_##operation##_si512
#include "cpu_kernels_x86.h"

static inline vec vec_abs(vec v) {
    return MM_REAL(abs)(v);
}

#ifdef GRU_CPU_F64

static inline vec vec_if_less(vec a, vec b, vec x, vec y) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), y, x);
}

/* As in f32. */
static inline vec vec_copysign(vec m, vec s) {
    const __m512i sign = _mm512_set1_epi64(INT64_MIN);
    return _mm512_castsi512_pd(
        _mm512_ternarylogic_epi64(_mm512_castpd_si512(m), _mm512_castpd_si512(s), sign, 0xd8));
}

static inline vec vec_power(vec t) {
    const __m512i n = _mm512_add_epi64(_mm512_castpd_si512(t), _mm512_set1_epi64(1023));
    return _mm512_castsi512_pd(_mm512_slli_epi64(n, 52));
}

/* Blocks of 2 x 2 within quarters of a register, then the quarters: 0x88 picks those with even numbers, 0xdd the odd. */
static inline void vec_transpose(vec *v) {
    vec t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        u[i] = _mm512_shuffle_f64x2(t[i], t[2 + i], 0x88);
        u[2 + i] = _mm512_shuffle_f64x2(t[i], t[2 + i], 0xdd);
        u[4 + i] = _mm512_shuffle_f64x2(t[4 + i], t[6 + i], 0x88);
        u[6 + i] = _mm512_shuffle_f64x2(t[4 + i], t[6 + i], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f64x2(u[i], u[4 + i], 0x88);
        v[4 + i] = _mm512_shuffle_f64x2(u[i], u[4 + i], 0xdd);
    }
}

#else

static inline vec vec_if_less(vec a, vec b, vec x, vec y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
/* 0xd8 picks, where the mask has a one, the sign of s, else m. */
static inline vec vec_copysign(vec m, vec s) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_castps_si512(m), _mm512_castps_si512(s), sign, 0xd8));
}

static inline vec vec_power(vec t) {
    const __m512i n = _mm512_add_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(n, 23));
}

static inline vec vec_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline vec vec_load_bf16(const uint16_t *pairs, int odd) {
    const __m512i bits = _mm512_loadu_si512(pairs);
    return _mm512_castsi512_ps(odd ? _mm512_and_si512(bits, _mm512_set1_epi32(-0x10000))
                                   : _mm512_slli_epi32(bits, 16));
}

static inline void vec_store_low_bits(int16_t *p, vec v) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_castps_si512(v)));
}
static inline ipairs ipairs_load(const int8_t *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* Blocks of 4 x 4 within quarters of a register, then the quarters: 0x88 picks those with even numbers, 0xdd the odd. */
static inline void vec_transpose(vec *v) {
    vec t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        v[i] = pair_lo(t[i], t[i + 2]);
        v[i + 1] = pair_hi(t[i], t[i + 2]);
        v[i + 2] = pair_lo(t[i + 1], t[i + 3]);
        v[i + 3] = pair_hi(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(v[i], v[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(v[i], v[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_f32x4(v[8 + i], v[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_f32x4(v[8 + i], v[12 + i], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
        v[4 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0x88);
        v[8 + i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd);
        v[12 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

#endif

#endif
