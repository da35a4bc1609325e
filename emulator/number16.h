// f16, bf16 and TF32 as bits: conversions from and to f32, rounded to nearest, ties to even (TF32: ties away
// from zero, as cvt.rna does), with subnormals, infinities and NaN.
#ifndef EMU_NUMBER16_H
#define EMU_NUMBER16_H
#include <cmath>
#include <cstdint>

namespace emu {
constexpr uint32_t EXPONENT = 0x7F800000u;
inline uint32_t f32_bits(float f) {
    return __builtin_bit_cast(uint32_t, f);
}
inline float f32_from_bits(uint32_t bits) {
    return __builtin_bit_cast(float, bits);
}
inline bool not_a_number(uint32_t bits) {
    return (bits & 0x7FFFFFFFu) > EXPONENT;
}

inline uint16_t bf16_from_f32(float f) {
    const uint32_t bits = f32_bits(f);
    if (not_a_number(bits)) return 0x7FFF; // the device's canonical NaN
    return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
inline float f32_from_bf16(uint16_t bits) {
    return f32_from_bits(uint32_t(bits) << 16);
}

inline uint16_t f16_from_f32(float f) {
    const uint32_t bits = f32_bits(f);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    if (not_a_number(bits)) return 0x7FFF;
    const float size = std::fabs(f);
    if (size >= 65520.0f) return uint16_t(sign | 0x7C00);
    if (size < 0x1p-14f) // subnormal: a whole number of 2^-24, rounded by the addition of 2^23
        return uint16_t(sign | (f32_bits(size * 0x1p24f + 0x1p23f) - f32_bits(0x1p23f)));
    const uint32_t rounded = (bits & 0x7FFFFFFFu) + 0xFFF + (bits >> 13 & 1);
    return uint16_t(sign | ((rounded >> 13) - (112u << 10))); // exponent bias 127 becomes 15
}
inline float f32_from_f16(uint16_t bits) {
    const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3FF;
    if (exponent == 0) return f32_from_bits(sign | f32_bits(float(fraction) * 0x1p-24f));
    return f32_from_bits(sign | (exponent == 31 ? EXPONENT : (exponent + 112) << 23) | fraction << 13);
}

inline uint32_t tf32_from_f32(float f) {
    const uint32_t bits = f32_bits(f);
    return not_a_number(bits) ? 0x7FFFFFFFu : (bits + 0x1000u) & ~0x1FFFu;
}
// What a tensor core reads of a TF32 operand: the low 13 bits do not reach the multiplier.
inline float f32_from_tf32(uint32_t bits) {
    return f32_from_bits(bits & ~0x1FFFu);
}
} // namespace emu
#endif
