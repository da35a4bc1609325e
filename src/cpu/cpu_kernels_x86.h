/* cpu_kernels_x86.h: the part of the vector vocabulary whose AVX2 and AVX-512 intrinsics differ only in their prefix.
 *
 * The file that includes it defines vec, and MM(operation), which adds the prefix; in f32 also isum, ipairs and MM_INTEGER,
 * which adds the suffix for whole registers of integers, too. */
#ifndef GRU_CPU_KERNELS_X86_H
#define GRU_CPU_KERNELS_X86_H

#include <string.h>

#ifdef GRU_CPU_F64
#define MM_REAL(operation) MM(operation##_pd)
#else
#define MM_REAL(operation) MM(operation##_ps)
#endif

static inline vec vec_load(const real *p) {
    return MM_REAL(loadu)(p);
}
static inline void vec_store(real *p, vec v) {
    MM_REAL(storeu)(p, v);
}
static inline vec vec_set1(real v) {
    return MM_REAL(set1)(v);
}
static inline vec vec_add(vec a, vec b) {
    return MM_REAL(add)(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return MM_REAL(sub)(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return MM_REAL(mul)(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return MM_REAL(div)(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return MM_REAL(fmadd)(a, b, c);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return MM_REAL(fnmadd)(a, b, c);
}
static inline vec vec_min(vec a, vec b) {
    return MM_REAL(min)(a, b);
}
static inline vec vec_max(vec a, vec b) {
    return MM_REAL(max)(a, b);
}

#ifndef GRU_CPU_F64
static inline isum isum_zero(void) {
    return MM_INTEGER(setzero)();
}
static inline ipairs ipairs_set1(const int16_t *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return MM(set1_epi32)(both);
}
static inline isum isum_add(isum sum, ipairs w, ipairs u) {
#ifdef __AVX512VNNI__
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(u)); /* gcc 12 copies the sums of its intrinsic */
    return sum;
#else
    return MM(add_epi32)(sum, MM(madd_epi16)(w, u));
#endif
}
static inline isum isum_join(isum a, isum b) {
    return MM(add_epi32)(a, b);
}
static inline vec vec_from_isum(isum sum) {
    return MM_REAL(cvtepi32)(sum);
}

/* The low and the high half of each pair of neighbouring floats, taken from a and b in turn. */
static inline vec pair_lo(vec a, vec b) {
    return MM(castpd_ps)(MM(unpacklo_pd)(MM(castps_pd)(a), MM(castps_pd)(b)));
}
static inline vec pair_hi(vec a, vec b) {
    return MM(castpd_ps)(MM(unpackhi_pd)(MM(castps_pd)(a), MM(castps_pd)(b)));
}

#endif

#endif
