/* bench_type.c: rounds to 16 bits by integer arithmetic, since C11 has no such type.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_type.h"

#include <math.h>
#include <string.h>

const char *const bench_type_names[BENCH_TYPES] = {"f32", "tf32", "f16", "bf16", "f64"};

const char *const bench_weights_names[BENCH_WEIGHTS] = {"same", "f16", "bf16", "bf16-products", "int8"};

double bench_weights_unit(int weights) {
    static const double units[BENCH_WEIGHTS] = {0, 0x1p-11, 0x1p-8, 1.5 * 0x1p-8, 1.75 / 254};
    return units[weights];
}

static int is_half(int type) {
    return type == BENCH_F16 || type == BENCH_BF16;
}

int bench_type_wide(int type) {
    return type == BENCH_F64 ? BENCH_F64 : BENCH_F32;
}

size_t bench_type_bytes(int type) {
    return type == BENCH_F64 ? sizeof(double) : is_half(type) ? 2 : 4;
}

double bench_type_unit(int type) {
    static const double units[BENCH_TYPES] = {0x1p-24, 0x1p-11, 0x1p-11, 0x1p-8, 0x1p-53};
    return units[type];
}

static uint32_t bits_of(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static float number_of(uint32_t bits) {
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static uint16_t to_bf16(float number) {
    const uint32_t bits = bits_of(number);
    if (isnan(number)) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Below 2^-14 the spacing is 2^-24; above, an f32 loses its last 13 bits. */
static uint16_t to_f16(float number) {
    const uint32_t sign = bits_of(number) >> 16 & 0x8000;
    const float size = fabsf(number);
    if (isnan(number)) return (uint16_t)(sign | 0x7e00);
    if (size >= 65520) return (uint16_t)(sign | 0x7c00);
    if (size < 0x1p-14f) return (uint16_t)(sign | (uint32_t)lrintf(size * 0x1p24f));
    const uint32_t bits = bits_of(size);
    return (uint16_t)(sign | (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112u << 10)));
}

static float from_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
                   fraction = half & 0x3ff;
    if (exponent == 31) return number_of(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return number_of(sign | bits_of((float)fraction * 0x1p-24f));
    return number_of(sign | (exponent + 112) << 23 | fraction << 13);
}

void bench_type_narrow(const float *numbers, int64_t count, int type, void *to) {
    uint16_t *halves = to;
    if (type == BENCH_F64)
        for (int64_t i = 0; i < count; i++) ((double *)to)[i] = (double)numbers[i];
    else if (!is_half(type))
        memcpy(to, numbers, (size_t)count * sizeof *numbers);
    for (int64_t i = 0; is_half(type) && i < count; i++)
        halves[i] = type == BENCH_F16 ? to_f16(numbers[i]) : to_bf16(numbers[i]);
}

void bench_type_widen(const void *from, int64_t count, int type, float *numbers) {
    const uint16_t *halves = from;
    if (type == BENCH_F64)
        for (int64_t i = 0; i < count; i++) numbers[i] = (float)((const double *)from)[i];
    else if (!is_half(type))
        memcpy(numbers, from, (size_t)count * sizeof *numbers);
    for (int64_t i = 0; is_half(type) && i < count; i++)
        numbers[i] = type == BENCH_F16 ? from_f16(halves[i]) : number_of((uint32_t)halves[i] << 16);
}

void bench_type_round(float *numbers, int64_t count, int type) {
    uint16_t half;
    for (int64_t i = 0; is_half(type) && i < count; i++) {
        bench_type_narrow(numbers + i, 1, type, &half);
        bench_type_widen(&half, 1, type, numbers + i);
    }
}
