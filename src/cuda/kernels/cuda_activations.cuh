/* cuda_activations.cuh: the activations beside those of cuda_cell.cuh, in f32 whatever the compute type.
 *
 * They are called, not inlined: kernels hold one copy, and the common path gives no registers for them. NaN passes. A limit keeps
 * -inf * 0 out. */
#ifndef GRU_CUDA_ACTIVATIONS_CUH
#define GRU_CUDA_ACTIVATIONS_CUH

#include "core/activation.h"
#include "cuda_math_types.cuh"

#define GRU_DEVICE_CALL static __device__ __attribute__((noinline, unused))

namespace {

GRU_DEVICE float logistic(float v) {
    return 1.0f / (1.0f + expf(-v));
}

GRU_DEVICE float between(float low, float v, float high) {
    return v < low ? low : v > high ? high : v;
}

GRU_DEVICE bool inside(float low, float v, float high) {
    return !(v < low || v > high);
}

/* What the normal distribution has below v. */
GRU_DEVICE float normal(float v) {
    return 0.5f * erfcf(-0.70710678f * v);
}

GRU_DEVICE float gelu_cubic(float v) {
    return v * __fmaf_rn(0.0713548163f, v * v, 1.59576912f);
}

/* The function of a row of core/activations.def at v. */
GRU_DEVICE_CALL float activation_value(gru_activation f, float v) {
    switch (f.row) {
    case GRU_ROW_OF_SIGMOID:
        return logistic(v);
    case GRU_ROW_OF_HARD_SIGMOID:
        return between(0.0f, __fmaf_rn(f.alpha, v, f.beta), 1.0f);
    case GRU_ROW_OF_TANH:
        return tanhf(v);
    case GRU_ROW_OF_RELU:
        return v < 0.0f ? 0.0f : v;
    case GRU_ROW_OF_LINEAR:
        return v;
    case GRU_ROW_OF_AFFINE:
        return __fmaf_rn(f.alpha, v, f.beta);
    case GRU_ROW_OF_LEAKY_RELU:
        return v < 0.0f ? f.alpha * v : v;
    case GRU_ROW_OF_THRESHOLDED_RELU:
        return v <= f.alpha ? 0.0f : v;
    case GRU_ROW_OF_SCALED_TANH:
        return f.alpha * tanhf(f.beta * v);
    case GRU_ROW_OF_ELU:
        return v < 0.0f ? f.alpha * expm1f(v) : v;
    case GRU_ROW_OF_SOFTSIGN:
        return v / (1.0f + fabsf(v));
    case GRU_ROW_OF_SOFTPLUS:
        return fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v)));
    case GRU_ROW_OF_SELU:
        return v < 0.0f ? 1.75809934f * expm1f(v) : 1.05070099f * v;
    case GRU_ROW_OF_SILU:
        return fmaxf(v, -104.0f) * logistic(v);
    case GRU_ROW_OF_GELU:
        return fmaxf(v, -14.0f) * normal(v);
    case GRU_ROW_OF_GELU_TANH:
        return fmaxf(v, -14.0f) * logistic(gelu_cubic(v));
    case GRU_ROW_OF_EXPONENTIAL:
        return expf(v);
    case GRU_ROW_OF_RELU6:
        return between(0.0f, v, 6.0f);
    case GRU_ROW_OF_HARD_TANH:
        return between(-1.0f, v, 1.0f);
    case GRU_ROW_OF_HARD_SILU:
        return fmaxf(v, -3.0f) * between(0.0f, __fmaf_rn(v, 1.0f / 6, 0.5f), 1.0f);
    default: /* mish */
        return fmaxf(v, -104.0f) * tanhf(log1pf(expf(v)));
    }
}

/* Slope of v s, where s is the logistic function of inner, whose slope is factor. */
GRU_DEVICE float gated_slope(float inner, float v, float factor) {
    return logistic(inner) * __fmaf_rn(v * logistic(-inner), factor, 1.0f);
}

/* Its derivative there; value is the function's. */
GRU_DEVICE_CALL float activation_slope(gru_activation f, float v, float value) {
    const float x = between(-104.0f, v, 104.0f), near = between(-14.0f, v, 14.0f);
    switch (f.row) {
    case GRU_ROW_OF_SIGMOID:
        return value * (1.0f - value);
    case GRU_ROW_OF_HARD_SIGMOID:
        return inside(0.0f, __fmaf_rn(f.alpha, v, f.beta), 1.0f) ? f.alpha : 0.0f;
    case GRU_ROW_OF_TANH:
        return __fmaf_rn(-value, value, 1.0f);
    case GRU_ROW_OF_RELU:
        return v < 0.0f ? 0.0f : 1.0f;
    case GRU_ROW_OF_LINEAR:
        return 1.0f;
    case GRU_ROW_OF_AFFINE:
        return f.alpha;
    case GRU_ROW_OF_LEAKY_RELU:
        return v < 0.0f ? f.alpha : 1.0f;
    case GRU_ROW_OF_THRESHOLDED_RELU:
        return v > f.alpha ? 1.0f : 0.0f;
    case GRU_ROW_OF_SCALED_TANH: {
        const float t = tanhf(f.beta * v);
        return f.alpha * f.beta * __fmaf_rn(-t, t, 1.0f);
    }
    case GRU_ROW_OF_ELU:
        return v < 0.0f ? value + f.alpha : 1.0f;
    case GRU_ROW_OF_SOFTSIGN: {
        const float q = 1.0f / (1.0f + fabsf(v));
        return q * q;
    }
    case GRU_ROW_OF_SOFTPLUS:
        return logistic(v);
    case GRU_ROW_OF_SELU:
        return v < 0.0f ? value + 1.75809934f : 1.05070099f;
    case GRU_ROW_OF_SILU:
        return gated_slope(x, x, 1.0f);
    case GRU_ROW_OF_GELU:
        return __fmaf_rn(0.398942280f * near, expf(-0.5f * near * near), normal(near));
    case GRU_ROW_OF_GELU_TANH:
        return gated_slope(gelu_cubic(near), near, __fmaf_rn(3.0f * 0.0713548163f, near * near, 1.59576912f));
    case GRU_ROW_OF_EXPONENTIAL:
        return value;
    case GRU_ROW_OF_RELU6:
        return inside(0.0f, v, 6.0f) ? 1.0f : 0.0f;
    case GRU_ROW_OF_HARD_TANH:
        return inside(-1.0f, v, 1.0f) ? 1.0f : 0.0f;
    case GRU_ROW_OF_HARD_SILU:
        return v < -3.0f ? 0.0f : v > 3.0f ? 1.0f : __fmaf_rn(v, 1.0f / 3, 0.5f);
    default: { /* mish */
        const float e = expf(fminf(x, 20.0f)), w = e * (e + 2.0f), t = w / (w + 2.0f);
        return __fmaf_rn(fminf(x, 20.0f) * logistic(x), 2.0f / (w + 2.0f) * (1.0f + t), t);
    }
    }
}

} // namespace
#endif
