/* cpu_kernels_avx512_vnni.c: products with int8 weights where AVX-512 has VNNI, which multiplies and adds in one instruction. */
#include "cpu_kernels.h"

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VNNI__)
#error "compile this file with -mavx512f -mavx512bw -mavx512vnni"
#endif
#include <immintrin.h>

#include "cpu_kernels_avx512.h"

#define PAIRS gru_cpu_int8_avx512_vnni
#include "cpu_cell.inl"
#include "cpu_int8.inl"
#include "cpu_pairs.inl"
#include "cpu_streaming.inl"
