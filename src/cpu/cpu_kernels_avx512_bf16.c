/* cpu_kernels_avx512_bf16.c: products of bf16 with bf16 in AVX-512, for layers of bf16 weights where the context allows it.
 *
 * A sum is one chain over pairs of k, from the bias. The instruction has its own rounding: it takes subnormal numbers as zeros. */
#include "cpu_kernels.h"

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512BF16__)
#error "compile this file with -mavx512f -mavx512bw -mavx512bf16"
#endif
#include <immintrin.h>

#include "cpu_kernels_avx512.h"

#define PAIRS gru_cpu_bf16_avx512
#define PAIR_TYPE GRU_BF16
#define PAIR_ROWS 8
#define PAIR_PARTS(rows) 1
enum { PAIR_BYTES = 4 };
typedef vec pair_sum;
typedef __m512i pair_numbers;

#include "cpu_cell.inl"

static void narrow(const float *row, size_t K, gru_cpu_narrow_row *to) {
    for (size_t k = 0; k < K; k += LANES)
        _mm256_storeu_si256((__m256i *)(void *)(to->values + k),
                            (__m256i)_mm512_cvtneps_pbh(load_numbers(row, K, k)));
}

INLINE pair_sum pair_start(const gru_cpu_panel *panel, size_t at) {
    return vec_load(panel->bias + at);
}
INLINE pair_numbers pair_load(const char *weights) {
    return _mm512_loadu_si512(weights);
}
INLINE pair_numbers pair_set1(const int16_t *pair) {
    return ipairs_set1(pair);
}
INLINE pair_sum pair_add(pair_sum sum, pair_numbers w, pair_numbers u) {
    __asm__("vdpbf16ps %2, %1, %0"
            : "+v"(sum)
            : "v"(w), "v"(u)); /* gcc 12 copies the sums of its intrinsic */
    return sum;
}
INLINE pair_sum pair_join(pair_sum a, pair_sum b) {
    return vec_add(a, b);
}
INLINE vec pair_end(const gru_cpu_panel *panel, size_t at, pair_sum sum, const gru_cpu_narrow_row *in) {
    (void)panel, (void)at, (void)in;
    return sum;
}

#include "cpu_pairs.inl"
#include "cpu_streaming.inl"
