// Stand-in for CUDA's cuda_bf16.h: the type __nv_bfloat16 as storage, its conversions (rounded to nearest
// even) and its bits. No arithmetic: kernels here compute in f32.
#ifndef EMU_CUDA_BF16_H
#define EMU_CUDA_BF16_H
#include "cuda_runtime.h"
#include "../number16.h"

struct __align__(2) __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float f) : bits(emu::bf16_from_f32(f)) {}
    operator float() const {
        return emu::f32_from_bf16(bits);
    }
};
struct __align__(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
inline __nv_bfloat16 __float2bfloat16(float f) {
    return __nv_bfloat16(f);
}
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
    return __nv_bfloat16(f);
}
inline float __bfloat162float(__nv_bfloat16 h) {
    return float(h);
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 h) {
    return h.bits;
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
    __nv_bfloat16 h;
    h.bits = bits;
    return h;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__nv_bfloat16(x), __nv_bfloat16(y)};
}
inline float __low2float(__nv_bfloat162 v) {
    return float(v.x);
}
inline float __high2float(__nv_bfloat162 v) {
    return float(v.y);
}
inline float2 __bfloat1622float2(__nv_bfloat162 v) {
    return make_float2(float(v.x), float(v.y));
}
#endif
