/* cuda_cell.cuh: the equations of the cell and their derivatives, once for all CUDA kernels; NaN passes through all of them. */
#ifndef GRU_CUDA_CELL_CUH
#define GRU_CUDA_CELL_CUH

#include "cuda_activations.cuh"

namespace {

/* The options of the cell, as a gru_cuda_sequence has them at run time: the variant of the default path, whose choices the
 * compiler makes. Both go through the same equations below. */
struct DefaultVariant {
    static constexpr int32_t gate = GRU_GATE_SIGMOID, candidate = GRU_CANDIDATE_TANH;
    static constexpr float clip = 0.0f, hard_slope = 0.0f;
    static constexpr gru_activation f = {}, g = {};
    static constexpr gru_const_view attention = {};
    int32_t reset_mode, update; /* AFTER or ALL; KEEP or WRITE */
};

template <bool FAST> GRU_DEVICE float sigmoid(float v) {
    return FAST ? __fdividef(1.0f, 1.0f + __expf(-v)) : 1.0f / (1.0f + expf(-v));
}

/* The fast version has an error of about 2^-23: doubling is exact, and the exponential saturates to 0 and inf. */
template <bool FAST> GRU_DEVICE float hyperbolic_tangent(float v) {
    return FAST ? 1.0f - __fdividef(2.0f, 1.0f + __expf(2.0f * v)) : tanhf(v);
}

template <class Variant> GRU_DEVICE float clipped(const Variant &seq, float v) {
    if (seq.clip == 0.0f) return v;
    return v > seq.clip ? seq.clip : v < -seq.clip ? -seq.clip : v;
}

/* The reset or update gate of a pre-activation: f. */
template <class M, class Variant> GRU_DEVICE float gate(const Variant &seq, float v) {
    v = clipped(seq, v);
    if (seq.gate == GRU_GATE_SIGMOID) return sigmoid<M::FAST>(v);
    if (seq.gate >= GRU_ACTIVATION_FIRST) return activation_value(seq.f, v);
    v = __fmaf_rn(seq.hard_slope, v, 0.5f);
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* The candidate of a pre-activation: g. */
template <class M, class Variant> GRU_DEVICE float candidate(const Variant &seq, float v) {
    v = clipped(seq, v);
    if (seq.candidate == GRU_CANDIDATE_TANH) return hyperbolic_tangent<M::FAST>(v);
    if (seq.candidate >= GRU_ACTIVATION_FIRST) return activation_value(seq.g, v);
    return seq.candidate == GRU_CANDIDATE_RELU && v < 0.0f ? 0.0f : v;
}

/* Attention w: KEEP z <- (1 - w) z, WRITE z <- 1 - (1 - w)(1 - z). */
template <class Variant> GRU_DEVICE float attended(const Variant &seq, float z, float w) {
    if (seq.update == GRU_UPDATE_KEEP) return (1.0f - w) * z;
    return 1.0f - (1.0f - w) * (1.0f - z);
}

/* The next state. */
template <class Variant> GRU_DEVICE float blend(const Variant &seq, float z, float n, float h) {
    return seq.update == GRU_UPDATE_KEEP ? __fmaf_rn(z, h, (1.0f - z) * n) : __fmaf_rn(z, n, (1.0f - z) * h);
}

/* The candidate with reset AFTER and ALL. */
template <class M, class Variant>
GRU_DEVICE float whole_candidate(const Variant &seq, float r, float a, float c) {
    return candidate<M>(seq, seq.reset_mode == GRU_RESET_AFTER ? __fmaf_rn(r, c, a) : r * (a + c));
}

/* ---- derivatives ---- */

template <class Variant> GRU_DEVICE bool clips(const Variant &seq, float v) {
    return seq.clip != 0.0f && (v > seq.clip || v < -seq.clip);
}

/* Derivative of a reset or update gate with respect to its pre-activation v. */
template <class Variant> GRU_DEVICE float gate_slope(const Variant &seq, float v, float value) {
    if (clips(seq, v)) return 0.0f;
    if (seq.gate == GRU_GATE_SIGMOID) return value * (1.0f - value);
    if (seq.gate >= GRU_ACTIVATION_FIRST) return activation_slope(seq.f, v, value);
    v = __fmaf_rn(seq.hard_slope, v, 0.5f);
    return v < 0.0f || v > 1.0f ? 0.0f : seq.hard_slope;
}

/* Derivative of the candidate. */
template <class Variant> GRU_DEVICE float candidate_slope(const Variant &seq, float v, float value) {
    if (clips(seq, v)) return 0.0f;
    if (seq.candidate == GRU_CANDIDATE_TANH) return __fmaf_rn(-value, value, 1.0f);
    if (seq.candidate >= GRU_ACTIVATION_FIRST) return activation_slope(seq.g, v, value);
    return seq.candidate == GRU_CANDIDATE_RELU && v < 0.0f ? 0.0f : 1.0f;
}

/* Every gradient of a unit and step is a factor times dh, the gradient of its next state. The factors do not depend on dh,
 * so kernels compute them before dh arrives. With reset BEFORE, the factors of the reset gate multiply the gradient of r h
 * instead. */
struct Slopes {
    float r, z, n;   /* da */
    float c_n;       /* dc of n */
    float h;         /* dh of the entering state, without the GEMM's share */
    float attention; /* dw */
};

/* Sets z, h and attention; z is the update gate before attention w. Returns n's factor without the candidate's slope. */
template <class Variant>
GRU_DEVICE float update_slopes(const Variant &seq, Slopes &slopes, float v_z, float z, float w, float n,
                               float h) {
    const float used = seq.attention.data ? attended(seq, z, w) : z;
    const bool keep = seq.update == GRU_UPDATE_KEEP;
    const float dz = keep ? h - n : n - h;
    slopes.z = dz * (1.0f - w) * gate_slope(seq, v_z, z);
    slopes.h = keep ? used : 1.0f - used;
    slopes.attention = keep ? -dz * z : dz * (1.0f - z);
    return keep ? 1.0f - used : used;
}

/* Reset AFTER and ALL, from a and c of all gates. */
template <class M, class Variant>
GRU_DEVICE void whole_slopes(const Variant &seq, Slopes &slopes, const float *a, const float *c, float h,
                             float w) {
    const float v_r = a[GATE_R] + c[GATE_R], r = gate<M>(seq, v_r);
    const float v_z = a[GATE_Z] + c[GATE_Z], z = gate<M>(seq, v_z);
    const bool after = seq.reset_mode == GRU_RESET_AFTER;
    const float side = after ? c[GATE_N] : a[GATE_N] + c[GATE_N]; /* what r multiplies */
    const float v_n = after ? __fmaf_rn(r, side, a[GATE_N]) : r * side, n = candidate<M>(seq, v_n);
    const float dv = update_slopes(seq, slopes, v_z, z, w, n, h) * candidate_slope(seq, v_n, n);
    slopes.r = dv * side * gate_slope(seq, v_r, r);
    slopes.c_n = dv * r;
    slopes.n = after ? dv : slopes.c_n;
}

/* Reset BEFORE: all but r, from a and c of z and n. */
template <class M>
GRU_DEVICE void candidate_slopes(const gru_cuda_sequence &seq, Slopes &slopes, const float *a, const float *c,
                                 float h, float w) {
    const float v_z = a[GATE_Z] + c[GATE_Z], v_n = a[GATE_N] + c[GATE_N], n = candidate<M>(seq, v_n);
    slopes.n = update_slopes(seq, slopes, v_z, gate<M>(seq, v_z), w, n, h) * candidate_slope(seq, v_n, n);
    slopes.c_n = slopes.n;
}

/* Reset BEFORE: factors of the gradient of r h, for da of r and for dh. */
template <class M>
GRU_DEVICE void reset_slopes(const gru_cuda_sequence &seq, Slopes &slopes, const float *a, const float *c,
                             float h) {
    const float v_r = a[GATE_R] + c[GATE_R];
    slopes.h = gate<M>(seq, v_r);
    slopes.r = h * gate_slope(seq, v_r, slopes.h);
}

} // namespace
#endif
