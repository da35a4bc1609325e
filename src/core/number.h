/* number.h: element types: their sizes, and exact conversions between f32 and the 16-bit formats. */
#ifndef GRU_NUMBER_H
#define GRU_NUMBER_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#include "gru/gru.h"
#include "platform.h"

/* A function of the host that CUDA kernels call too. */
#if defined(__CUDACC__)
#define GRU_EVERYWHERE static __host__ __device__ inline
#else
#define GRU_EVERYWHERE static inline
#endif

/* Bytes of one element; 0 for anything that is not a type. */
static inline size_t gru_type_bytes(int32_t type) {
    static const uint8_t bytes[] = {4, 2, 2, 8, 1};
    return type >= 0 && type <= GRU_INT8 ? bytes[type] : 0;
}

static inline const char *gru_type_name(int32_t type) {
    static const char *const names[] = {"f32", "f16", "bf16", "f64", "int8"};
    return type >= 0 && type <= GRU_INT8 ? names[type] : "unknown";
}

static inline float gru_float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t gru_bits_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float gru_float_from_bf16(uint16_t bits) {
    return gru_float_from_bits((uint32_t)bits << 16);
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t gru_bf16_from_float(float value) {
    const uint32_t bits = gru_bits_from_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float gru_float_from_f16(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) /* infinity, NaN (made quiet, as the hardware does) */
        return gru_float_from_bits(sign | 0x7f800000u | magnitude << 13 |
                                   (magnitude > 0x7c00u ? 0x400000u : 0));
    if (magnitude >= 0x0400u) return gru_float_from_bits(sign | ((magnitude << 13) + (112u << 23)));
    /* zero and subnormal: magnitude * 2^-24, exact */
    return gru_float_from_bits(sign | gru_bits_from_float((float)magnitude * 0x1p-24f));
}

/* To nearest, ties to even; overflow to infinity; NaN stays NaN. */
static inline uint16_t gru_f16_from_float(float value) {
    const uint32_t bits = gru_bits_from_float(value), magnitude = bits & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude <
        0x38800000u) { /* below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits */
        const float shifted = gru_float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (gru_bits_from_float(shifted) - 0x3f000000u));
    }
    return (uint16_t)(sign | ((magnitude - (112u << 23) + 0x0fffu + (magnitude >> 13 & 1u)) >> 13));
}

/* Element i of an array of any type but int8, as f32 (f64 is rounded) and as f64 (exact). */
static inline float gru_load_float(const void *data, int32_t type, size_t i) {
    switch (type) {
    case GRU_F16:
        return gru_float_from_f16(((const uint16_t *)data)[i]);
    case GRU_BF16:
        return gru_float_from_bf16(((const uint16_t *)data)[i]);
    case GRU_F64:
        return (float)((const double *)data)[i];
    default:
        return ((const float *)data)[i];
    }
}

static inline double gru_load_double(const void *data, int32_t type, size_t i) {
    return type == GRU_F64 ? ((const double *)data)[i] : (double)gru_load_float(data, type, i);
}

/* Rounds to the array's type; a 16-bit type through f32. */
static inline void gru_store_float(void *data, int32_t type, size_t i, float value) {
    switch (type) {
    case GRU_F16:
        ((uint16_t *)data)[i] = gru_f16_from_float(value);
        break;
    case GRU_BF16:
        ((uint16_t *)data)[i] = gru_bf16_from_float(value);
        break;
    case GRU_F64:
        ((double *)data)[i] = (double)value;
        break;
    default:
        ((float *)data)[i] = value;
        break;
    }
}

static inline void gru_store_double(void *data, int32_t type, size_t i, double value) {
    if (type == GRU_F64)
        ((double *)data)[i] = value;
    else
        gru_store_float(data, type, i, (float)value);
}

/* Whether a finite number would become infinite in an array of this type. */
static inline int gru_overflows(double number, int32_t type) {
    const double magnitude = number < 0 ? -number : number;
    if (!(magnitude >= 65504 && magnitude <= DBL_MAX)) return 0; /* f16 holds 65504, the others more */
    double room;
    gru_store_double(&room, type, 0, number);
    const double rounded = gru_load_double(&room, type, 0);
    return !(rounded >= -DBL_MAX && rounded <= DBL_MAX);
}

/* Whole rows between an array of any type but int8 and f32; the type is chosen outside the loop. */
static inline void gru_load_floats(const void *data, int32_t type, size_t first, float *row, size_t count) {
    if (type == GRU_F32)
        memcpy(row, (const float *)data + first, count * sizeof *row);
    else if (type == GRU_F16)
        for (size_t i = 0; i < count; i++) row[i] = gru_float_from_f16(((const uint16_t *)data)[first + i]);
    else if (type == GRU_BF16)
        for (size_t i = 0; i < count; i++) row[i] = gru_float_from_bf16(((const uint16_t *)data)[first + i]);
    else
        for (size_t i = 0; i < count; i++) row[i] = (float)((const double *)data)[first + i];
}

static inline void gru_store_floats(void *data, int32_t type, size_t first, const float *row, size_t count) {
    if (type == GRU_F32)
        memcpy((float *)data + first, row, count * sizeof *row);
    else if (type == GRU_F16)
        for (size_t i = 0; i < count; i++) ((uint16_t *)data)[first + i] = gru_f16_from_float(row[i]);
    else if (type == GRU_BF16)
        for (size_t i = 0; i < count; i++) ((uint16_t *)data)[first + i] = gru_bf16_from_float(row[i]);
    else
        for (size_t i = 0; i < count; i++) ((double *)data)[first + i] = (double)row[i];
}

/* Sizes in bytes that stay at SIZE_MAX once they overflow, so that one check at the end is enough. */
static inline size_t gru_size_times(size_t a, size_t b) {
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static inline size_t gru_size_plus(size_t a, size_t b) {
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* Rounded up to whole cache lines. */
static inline size_t gru_size_lines(size_t bytes) {
    return bytes > SIZE_MAX - 63 ? SIZE_MAX : (bytes + 63) / 64 * 64;
}

#endif
