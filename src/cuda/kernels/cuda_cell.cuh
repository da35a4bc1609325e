/* cuda_cell.cuh: the equations of the cell and their derivatives, once for all CUDA kernels; NaN passes through all of them. */
#ifndef GRU_CUDA_CELL_CUH
#define GRU_CUDA_CELL_CUH

#include "cuda_math_types.cuh"

namespace {

template <bool FAST> GRU_DEVICE float sigmoid(float v) {
    return FAST ? __fdividef(1.0f, 1.0f + __expf(-v)) : 1.0f / (1.0f + expf(-v));
}

/* The fast one errs by some 2^-23 of 1: its argument is doubled exactly, and the exponential saturates to 0 and inf. */
template <bool FAST> GRU_DEVICE float hyperbolic_tangent(float v) {
    return FAST ? 1.0f - __fdividef(2.0f, 1.0f + __expf(2.0f * v)) : tanhf(v);
}

GRU_DEVICE float clipped(const gru_cuda_sequence &q, float v) {
    if (q.clip == 0.0f) return v;
    return v > q.clip ? q.clip : v < -q.clip ? -q.clip : v;
}

/* f of a pre-activation: a reset or update gate. */
template <class M> GRU_DEVICE float gate(const gru_cuda_sequence &q, float v) {
    v = clipped(q, v);
    if (q.gate == GRU_GATE_SIGMOID) return sigmoid<M::FAST>(v);
    v = __fmaf_rn(q.hard_slope, v, 0.5f);
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* g of a pre-activation. */
template <class M> GRU_DEVICE float candidate(const gru_cuda_sequence &q, float v) {
    v = clipped(q, v);
    if (q.candidate == GRU_CANDIDATE_TANH) return hyperbolic_tangent<M::FAST>(v);
    return q.candidate == GRU_CANDIDATE_RELU && v < 0.0f ? 0.0f : v;
}

/* Attention w: KEEP z <- (1 - w) z, WRITE z <- 1 - (1 - w)(1 - z). */
GRU_DEVICE float attended(const gru_cuda_sequence &q, float z, float w) {
    if (q.update == GRU_UPDATE_KEEP) return (1.0f - w) * z;
    return 1.0f - (1.0f - w) * (1.0f - z);
}

/* The next state. */
GRU_DEVICE float blend(const gru_cuda_sequence &q, float z, float n, float h) {
    return q.update == GRU_UPDATE_KEEP ? __fmaf_rn(z, h, (1.0f - z) * n) : __fmaf_rn(z, n, (1.0f - z) * h);
}

/* The candidate of reset AFTER and ALL from both sides' sums. */
template <class M> GRU_DEVICE float whole_candidate(const gru_cuda_sequence &q, float r, float a, float c) {
    return candidate<M>(q, q.reset_mode == GRU_RESET_AFTER ? __fmaf_rn(r, c, a) : r * (a + c));
}

/* ---- derivatives ---- */

GRU_DEVICE bool clips(const gru_cuda_sequence &q, float v) {
    return q.clip != 0.0f && (v > q.clip || v < -q.clip);
}

/* Of a reset or update gate, by its pre-activation. */
GRU_DEVICE float gate_slope(const gru_cuda_sequence &q, float v, float value) {
    if (clips(q, v)) return 0.0f;
    if (q.gate == GRU_GATE_SIGMOID) return value * (1.0f - value);
    v = __fmaf_rn(q.hard_slope, v, 0.5f);
    return v < 0.0f || v > 1.0f ? 0.0f : q.hard_slope;
}

/* Of the candidate. */
GRU_DEVICE float candidate_slope(const gru_cuda_sequence &q, float v, float value) {
    if (clips(q, v)) return 0.0f;
    if (q.candidate == GRU_CANDIDATE_TANH) return __fmaf_rn(-value, value, 1.0f);
    return q.candidate == GRU_CANDIDATE_RELU && v < 0.0f ? 0.0f : 1.0f;
}

/* All gradients of a unit's step are multiples of dh, the gradient of its next state; these are the factors, which do not
 * depend on dh and so can be there before it. With reset BEFORE r and, besides dh's part of h, r of h are multiples of the
 * gradient of r h instead. */
struct Slopes {
    float r, z, n;   /* da */
    float c_n;       /* dc of n */
    float h;         /* dh of the entering state, besides the products */
    float attention; /* dw */
};

/* z, h and attention from the update gate before attention w; value: n's factor, without the candidate's slope. */
GRU_DEVICE float update_slopes(const gru_cuda_sequence &q, Slopes &d, float v_z, float z, float w, float n,
                               float h) {
    const float used = q.attention.data ? attended(q, z, w) : z;
    const bool keep = q.update == GRU_UPDATE_KEEP;
    const float dz = keep ? h - n : n - h;
    d.z = dz * (1.0f - w) * gate_slope(q, v_z, z);
    d.h = keep ? used : 1.0f - used;
    d.attention = keep ? -dz * z : dz * (1.0f - z);
    return keep ? 1.0f - used : used;
}

/* Reset AFTER and ALL, from both sides' sums of all gates. */
template <class M>
GRU_DEVICE void whole_slopes(const gru_cuda_sequence &q, Slopes &d, const float *a, const float *c, float h,
                             float w) {
    const float v_r = a[GATE_R] + c[GATE_R], r = gate<M>(q, v_r);
    const float v_z = a[GATE_Z] + c[GATE_Z], z = gate<M>(q, v_z);
    const bool after = q.reset_mode == GRU_RESET_AFTER;
    const float side = after ? c[GATE_N] : a[GATE_N] + c[GATE_N]; /* what r multiplies */
    const float v_n = after ? __fmaf_rn(r, side, a[GATE_N]) : r * side, n = candidate<M>(q, v_n);
    const float dv = update_slopes(q, d, v_z, z, w, n, h) * candidate_slope(q, v_n, n);
    d.r = dv * side * gate_slope(q, v_r, r);
    d.c_n = dv * r;
    d.n = after ? dv : d.c_n;
}

/* Reset BEFORE, all but r, from the sums of z and n. */
template <class M>
GRU_DEVICE void candidate_slopes(const gru_cuda_sequence &q, Slopes &d, const float *a, const float *c,
                                 float h, float w) {
    const float v_z = a[GATE_Z] + c[GATE_Z], v_n = a[GATE_N] + c[GATE_N], n = candidate<M>(q, v_n);
    d.n = update_slopes(q, d, v_z, gate<M>(q, v_z), w, n, h) * candidate_slope(q, v_n, n);
    d.c_n = d.n;
}

/* Reset BEFORE, of the gradient of r h: da of r, and dh. */
template <class M>
GRU_DEVICE void reset_slopes(const gru_cuda_sequence &q, Slopes &d, const float *a, const float *c, float h) {
    const float v_r = a[GATE_R] + c[GATE_R];
    d.h = gate<M>(q, v_r);
    d.r = h * gate_slope(q, v_r, d.h);
}

} // namespace
#endif
