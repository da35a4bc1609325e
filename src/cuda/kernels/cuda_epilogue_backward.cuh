/* cuda_epilogue_backward.cuh: what a launch of the sweep makes of one unit's product: the gradients of its step, and what goes on
 * to the step before.
 *
 * part: GRU_CUDA_ALL_GATES with reset AFTER and ALL. With BEFORE the candidate's part takes up what the step behind handed on,
 * and the gates' part the gradient of r h that follows from the candidate. */
#ifndef GRU_CUDA_EPILOGUE_BACKWARD_CUH
#define GRU_CUDA_EPILOGUE_BACKWARD_CUH

#include "cuda_cell.cuh"
#include "cuda_mainloop_small.cuh"
#include "cuda_output.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* The groups of k that a part's product sums: dc of all gates, of r and z, or of n. */
GRU_DEVICE Slice part_groups(gru_cuda_gate_set part, int groups) {
    return {part == GRU_CUDA_RESET_UPDATE ? GATE_N * groups : 0,
            part == GRU_CUDA_CANDIDATE ? GATE_N * groups : GATES * groups};
}

/* What a part's product reads: the gates' what the candidate's part of this step has published, the others what the step
 * behind has. */
GRU_DEVICE const void *read_exchange(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part) {
    return step.sequence[blockIdx.z].exchange[(step.s + (part == GRU_CUDA_RESET_UPDATE ? 0 : 1)) % 2];
}

/* Whether a part finds da of gate g. */
GRU_DEVICE bool finds_gate(gru_cuda_gate_set part, int g) {
    return part == GRU_CUDA_ALL_GATES || (part == GRU_CUDA_RESET_UPDATE) == (g == GATE_R);
}

/* One unit of a step, as a thread has it before its product is there. */
struct SweepUnit {
    Output o;
    bool last;                /* the row's last step: nothing comes from behind but dhT */
    float a[GATES], c[GATES]; /* both sides' sums, biases apart */
    float h, w, dy, dhT;      /* the entering state, attention, gradients that the caller gave */
    Slopes slopes;
    float direct; /* from the launch before; all else no launch of the sweep writes */
};

GRU_DEVICE int64_t dense_index(const gru_cuda_sequence &q, const Output &o) {
    return int64_t(o.n) * q.H + o.unit;
}

/* All that no launch of the sweep writes. */
GRU_DEVICE void load_unit(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part, int n, int unit,
                          SweepUnit &u) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    u.o = output_at(q, step.s, n, unit);
    if (!u.o.active) return;
    u.last = step.s == row_length(q, n) - 1;
    if (u.last && w.dhT) u.dhT = load_number(w.dhT, q.state_type, dense_index(q, u.o));
    if (step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (finds_gate(part, g)) {
        u.a[g] = projected_at(step.input[blockIdx.z], u.o, g);
        u.c[g] = projected_at(step.recurrent[blockIdx.z], u.o, g);
    }
    u.h = q.reserve[(step.s * q.N + n) * q.H + unit];
    if (w.dy.data)
        u.dy = load_number(w.dy.data, q.io_type,
                           view_index(w.dy.time_stride, w.dy.batch_stride, u.o.t, n) + unit);
    if (q.attention.data) u.w = attention_at(q, u.o);
}

template <class M>
GRU_DEVICE void find_slopes(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part, SweepUnit &u) {
    const gru_cuda_sequence &q = step.sequence[blockIdx.z].forward;
    if (!u.o.active || step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (finds_gate(part, g)) {
        u.a[g] = input_side(step.input[blockIdx.z], u.o, g, u.a[g]);
        u.c[g] = input_side(step.recurrent[blockIdx.z], u.o, g, u.c[g]);
    }
    if (part == GRU_CUDA_ALL_GATES) return whole_slopes<M>(q, u.slopes, u.a, u.c, u.h, u.w);
    if (part == GRU_CUDA_CANDIDATE) return candidate_slopes<M>(q, u.slopes, u.a, u.c, u.h, u.w);
    reset_slopes<M>(q, u.slopes, u.a, u.c, u.h);
}

/* Past L1: blocks of another launch wrote it. */
GRU_DEVICE void load_direct(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part, SweepUnit &u) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    if (u.o.active && (part == GRU_CUDA_RESET_UPDATE || !u.last))
        u.direct = __ldcg(w.direct + state_index(w.forward, u.o));
}

/* The gradient of the state that leaves the step, by way of the steps behind it. Where those start a segment it belongs to
 * h_restart. */
GRU_DEVICE float carried_gradient(const gru_cuda_backward_step_args &step, const SweepUnit &u,
                                  float product) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    const float carried = u.last ? u.dhT : u.direct + product;
    const bool starts = u.o.starts && !u.last;
    float sum = 0.0f;
    if (w.restart_sum && (u.last || starts || step.s < 0)) {
        float *const at = w.restart_sum + state_index(q, u.o);
        if (!u.last) sum = __ldcg(at);
        if (starts) sum += carried;
        *at = sum;
    }
    if (step.s < 0 && w.dh_restart) store_number(w.dh_restart, q.state_type, dense_index(q, u.o), sum);
    return starts ? 0.0f : carried;
}

/* A plane of the step's row of gate gradients, tails included. */
template <class M>
GRU_DEVICE void store_plane(const gru_cuda_backward_step_args &step, const Output &o, int plane,
                            float gradient) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    const int64_t row = (step.s * q.N + o.n) * gradient_planes(q) + plane;
    M::store(w.rows, row * q.octets * 8 + o.unit, gradient);
}

GRU_DEVICE void store_projected(const gru_cuda_backward_step_args &step, const Output &o, int g, float da) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_view &to = w.dprojected;
    if (to.data && o.exists)
        store_number(
            to.data, w.forward.io_type,
            view_index(to.time_stride, to.batch_stride, o.t, o.n) + int64_t(g) * w.forward.H + o.unit, da);
}

/* Gradients of gate g: da to the GEMMs and to the caller, dc to the next product. */
template <class M>
GRU_DEVICE void hand_out(const gru_cuda_backward_step_args &step, const Output &o, int g, float da,
                         float dc) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const int groups = w.forward.groups;
    store_plane<M>(step, o, g, da);
    store_projected(step, o, g, da);
    M::store(w.exchange[step.s % 2], tile_index<M>(o.n, g * groups * GROUP<M> + o.unit, GATES * groups), dc);
}

/* Of what is not there: padding of rows, and steps that a row does not have. What products read of it is zero already. */
template <class M>
GRU_DEVICE void store_zeros(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part,
                            const Output &o) {
    const gru_cuda_sequence &q = step.sequence[blockIdx.z].forward;
    if (o.n >= q.N || o.unit >= q.octets * 8 || step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (finds_gate(part, g)) {
        store_plane<M>(step, o, g, 0.0f);
        store_projected(step, o, g, 0.0f);
    }
    if (q.reset_mode == GRU_RESET_AFTER) store_plane<M>(step, o, GRU_CUDA_DC_N, 0.0f);
}

/* The end of a unit; returns its part of the gradient of attention. */
template <class M>
GRU_DEVICE float finish_unit(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part,
                             const SweepUnit &u, float product) {
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    if (!u.o.active) {
        store_zeros<M>(step, part, u.o);
        return 0.0f;
    }
    if (part == GRU_CUDA_RESET_UPDATE) {
        w.direct[state_index(q, u.o)] = __fmaf_rn(product, u.slopes.h, u.direct);
        hand_out<M>(step, u.o, GATE_R, product * u.slopes.r, product * u.slopes.r);
        return 0.0f;
    }
    const float carried = carried_gradient(step, u, product);
    if (step.s < 0) {
        if (w.dh0) store_number(w.dh0, q.state_type, dense_index(q, u.o), carried);
        return 0.0f;
    }
    const float dh = carried + u.dy;
    w.direct[state_index(q, u.o)] = dh * u.slopes.h;
    if (part == GRU_CUDA_ALL_GATES) hand_out<M>(step, u.o, GATE_R, dh * u.slopes.r, dh * u.slopes.r);
    hand_out<M>(step, u.o, GATE_Z, dh * u.slopes.z, dh * u.slopes.z);
    hand_out<M>(step, u.o, GATE_N, dh * u.slopes.n, dh * u.slopes.c_n);
    if (q.reset_mode == GRU_RESET_AFTER) store_plane<M>(step, u.o, GRU_CUDA_DC_N, dh * u.slopes.c_n);
    return dh * u.slopes.attention;
}

/* Adds the eight units of an octet, which are neighbours in a warp, and stores their sum. All threads of the warp call it. */
GRU_DEVICE void store_attention(const gru_cuda_backward_step_args &step, gru_cuda_gate_set part,
                                const Output &o, float dw) {
    float *const octets = step.attention[blockIdx.z];
    if (!octets || part == GRU_CUDA_RESET_UPDATE) return;
    GRU_UNROLL for (int i = 1; i < 8; i *= 2) dw += __shfl_xor_sync(0xffffffffu, dw, i);
    if (o.active && o.unit % 8 == 0)
        octets[int64_t(o.n) * step.sequence[blockIdx.z].forward.octets + o.unit / 8] = dw;
}

} // namespace
#endif
