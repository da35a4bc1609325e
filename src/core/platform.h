/* platform.h: refuses platforms and compiler modes on which results or file formats would be wrong without a word. */
#ifndef GRU_PLATFORM_H
#define GRU_PLATFORM_H

#include <stdint.h>

#if defined(__FAST_MATH__)
#error "libgru must not be compiled with -ffast-math or -Ofast: engines would differ in their results"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "libgru supports little-endian platforms only: packed weights and safetensors files are little-endian"
#endif
#if UINTPTR_MAX < UINT64_MAX
#error "libgru supports 64-bit platforms only: sizes and offsets are 64-bit"
#endif

#endif
