// Stand-in for CUDA's cuda_fp16.h: the type __half as storage, its conversions (rounded to nearest even) and
// its bits. No arithmetic: kernels here compute in f32.
#ifndef EMU_CUDA_FP16_H
#define EMU_CUDA_FP16_H
#include "cuda_runtime.h"
#include "../number16.h"

struct __align__(2) __half {
    unsigned short bits;
    __half() = default;
    __half(float f) : bits(emu::f16_from_f32(f)) {}
    operator float() const {
        return emu::f32_from_f16(bits);
    }
};
struct __align__(4) __half2 {
    __half x, y;
};
inline __half __float2half(float f) {
    return __half(f);
}
inline __half __float2half_rn(float f) {
    return __half(f);
}
inline float __half2float(__half h) {
    return float(h);
}
inline unsigned short __half_as_ushort(__half h) {
    return h.bits;
}
inline __half __ushort_as_half(unsigned short bits) {
    __half h;
    h.bits = bits;
    return h;
}
using half = __half;
using half2 = __half2;
inline __half2 __floats2half2_rn(float x, float y) {
    return {__half(x), __half(y)};
}
inline float __low2float(__half2 v) {
    return float(v.x);
}
inline float __high2float(__half2 v) {
    return float(v.y);
}
inline float2 __half22float2(__half2 v) {
    return make_float2(float(v.x), float(v.y));
}
#endif
