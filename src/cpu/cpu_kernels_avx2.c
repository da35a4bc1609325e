/* cpu_kernels_avx2.c: the vector vocabulary in AVX2 with FMA and F16C, for f32 or for f64, then the body. */
#include "cpu_kernels.h"

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "compile this file with -mavx2 -mfma -mf16c"
#endif
#include <immintrin.h>

#define KERNELS gru_cpu_kernels_avx2
#define PAIRS gru_cpu_int8_avx2
#define ROWS 4
#define WIDE(rows) ((rows) <= 2 ? 2 : 1)

#ifdef GRU_CPU_F64
#define LANES 4
typedef __m256d vec;
#else
#define LANES 8
typedef __m256 vec;
#define INT8_ROWS 3 /* a product needs a register of its own beside the sums */
typedef __m256i isum, ipairs;
#endif
#define MM(operation) _mm256_##operation
#define MM_INTEGER(operation) _mm256_##operation##_si256
#include "cpu_kernels_x86.h"

static inline vec vec_if_less(vec a, vec b, vec x, vec y) {
    return MM_REAL(blendv)(y, x, MM_REAL(cmp)(a, b, _CMP_LT_OQ));
}
static inline vec vec_abs(vec v) {
    return MM_REAL(andnot)(vec_set1(-0.0f), v);
}

static inline vec vec_copysign(vec m, vec s) {
    const vec sign = vec_set1(-0.0f);
    return MM_REAL(or)(MM_REAL(andnot)(sign, m), MM_REAL(and)(sign, s));
}

#ifdef GRU_CPU_F64

static inline vec vec_power(vec t) {
    const __m256i n = _mm256_add_epi64(_mm256_castpd_si256(t), _mm256_set1_epi64x(1023));
    return _mm256_castsi256_pd(_mm256_slli_epi64(n, 52));
}

/* Blocks of 2 x 2 within halves of a register, then the halves. */
static inline void vec_transpose(vec *v) {
    const vec a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    const vec c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#else

static inline vec vec_power(vec t) {
    const __m256i n = _mm256_add_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(n, 23));
}

static inline vec vec_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vec vec_load_bf16(const uint16_t *pairs, int odd) {
    const __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)pairs);
    return _mm256_castsi256_ps(odd ? _mm256_and_si256(bits, _mm256_set1_epi32(-0x10000))
                                   : _mm256_slli_epi32(bits, 16));
}

static inline void vec_store_low_bits(int16_t *p, vec v) {
    const __m256i low = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0xffff));
    const __m128i both = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storeu_si128((__m128i *)(void *)p, both);
}
static inline ipairs ipairs_load(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Blocks of 4 x 4 within halves of a register, then the halves. */
static inline void vec_transpose(vec *v) {
    vec t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        v[i] = pair_lo(t[i], t[i + 2]);
        v[i + 1] = pair_hi(t[i], t[i + 2]);
        v[i + 2] = pair_lo(t[i + 1], t[i + 3]);
        v[i + 3] = pair_hi(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(v[i], v[4 + i], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) v[i] = t[i];
}

#endif

#include "cpu_kernels.inl"
