/* cpu_kernels_avx512.c: the kernels in AVX-512, for f32 or for f64. */
#include "cpu_kernels.h"

#if !defined(__AVX512F__) || !defined(__AVX512BW__)
#error "compile this file with -mavx512f -mavx512bw"
#endif
#include <immintrin.h>

#include "cpu_kernels_avx512.h"

#define KERNELS gru_cpu_kernels_avx512
#define PAIRS gru_cpu_int8_avx512
#include "cpu_kernels.inl"
