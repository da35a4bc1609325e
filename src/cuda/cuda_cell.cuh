/* cuda_cell.cuh: the equations of the cell, once for all CUDA kernels; NaN passes through all of them. */
#ifndef GRU_CUDA_CELL_CUH
#define GRU_CUDA_CELL_CUH

#include "cuda_number.cuh"

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
    return candidate<M>(q, q.reset == GRU_RESET_AFTER ? __fmaf_rn(r, c, a) : r * (a + c));
}

} // namespace
#endif
