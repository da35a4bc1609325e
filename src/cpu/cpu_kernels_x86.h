/* cpu_kernels_x86.h: the part of the vector vocabulary whose AVX2 and AVX-512 intrinsics differ only in their prefix.
 *
 * The file that includes it defines vec, isum, ipairs, MM(operation), which adds the prefix, and MM_INTEGER, which adds the
 * suffix for whole registers of integers, too. */
#ifndef GRU_CPU_KERNELS_X86_H
#define GRU_CPU_KERNELS_X86_H

#include <string.h>

static inline vec vec_load(const float *p) {
    return MM(loadu_ps)(p);
}
static inline void vec_store(float *p, vec v) {
    MM(storeu_ps)(p, v);
}
static inline vec vec_set1(float v) {
    return MM(set1_ps)(v);
}
static inline vec vec_add(vec a, vec b) {
    return MM(add_ps)(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return MM(sub_ps)(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return MM(mul_ps)(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return MM(div_ps)(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return MM(fmadd_ps)(a, b, c);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return MM(fnmadd_ps)(a, b, c);
}
static inline vec vec_min(vec a, vec b) {
    return MM(min_ps)(a, b);
}
static inline vec vec_max(vec a, vec b) {
    return MM(max_ps)(a, b);
}

static inline isum isum_zero(void) {
    return MM_INTEGER(setzero)();
}
static inline ipairs ipairs_set1(const int16_t *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return MM(set1_epi32)(both);
}
static inline isum isum_add(isum sum, ipairs w, ipairs u) {
    return MM(add_epi32)(sum, MM(madd_epi16)(w, u));
}
static inline vec vec_from_isum(isum sum) {
    return MM(cvtepi32_ps)(sum);
}

/* The low and the high half of each pair of neighbouring floats, taken from a and b in turn. */
static inline vec pair_lo(vec a, vec b) {
    return MM(castpd_ps)(MM(unpacklo_pd)(MM(castps_pd)(a), MM(castps_pd)(b)));
}
static inline vec pair_hi(vec a, vec b) {
    return MM(castpd_ps)(MM(unpackhi_pd)(MM(castps_pd)(a), MM(castps_pd)(b)));
}

#endif
