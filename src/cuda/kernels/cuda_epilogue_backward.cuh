/* cuda_epilogue_backward.cuh: the epilogue of every backward step kernel: from the sum of a unit to the gradients of its
 * step, and to what step s - 1 needs.
 *
 * Gate set: all gates with reset AFTER and ALL. With BEFORE the launch of update and candidate starts from what step s + 1
 * stored; the launch of the reset gate starts from the gradient of r h, which follows from the candidate's. */
#ifndef GRU_CUDA_EPILOGUE_BACKWARD_CUH
#define GRU_CUDA_EPILOGUE_BACKWARD_CUH

#include "cuda_cell.cuh"
#include "cuda_mainloop_small.cuh"
#include "cuda_output.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* The groups of k that the main loop sums: dc of all gates, of r and z, or of n. */
GRU_DEVICE Slice gate_set_groups(gru_cuda_gate_set gate_set, int groups) {
    return {gate_set == GRU_CUDA_RESET_GATE ? GATE_N * groups : 0,
            gate_set == GRU_CUDA_UPDATE_CANDIDATE ? GATE_N * groups : GATES * groups};
}

/* The exchange buffer that the main loop reads: of this step for the reset gate, of step s + 1 otherwise. */
GRU_DEVICE const void *read_exchange(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set) {
    return step.sequence[blockIdx.z].exchange[(step.s + (gate_set == GRU_CUDA_RESET_GATE ? 0 : 1)) % 2];
}

/* Whether the gate set includes gate g. */
GRU_DEVICE bool has_gate(gru_cuda_gate_set gate_set, int g) {
    return gate_set == GRU_CUDA_ALL_GATES || (gate_set == GRU_CUDA_RESET_GATE) == (g == GATE_R);
}

/* One unit of a step: what a thread loads and computes before its sum is complete. */
struct BackwardCell {
    Output out;
    bool last;                /* the row's last step: dh starts from dhT */
    float a[GATES], c[GATES]; /* first without biases, then with them */
    float h, w, dy, dhT;      /* entering state, attention weight, the caller's gradients */
    Slopes slopes;
    float direct; /* written by the previous launch; backward steps write none of the others */
};

GRU_DEVICE int64_t dense_index(const gru_cuda_sequence &seq, const Output &out) {
    return int64_t(out.n) * seq.H + out.unit;
}

/* Loads what no backward step writes. */
GRU_DEVICE void load_cell(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set, int n,
                          int unit, BackwardCell &cell) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    cell.out = output_at(seq, step.s, n, unit);
    if (!cell.out.active) return;
    cell.last = step.s == row_length(seq, n) - 1;
    if (cell.last && bwd.dhT) cell.dhT = load_number(bwd.dhT, seq.state_type, dense_index(seq, cell.out));
    if (step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (has_gate(gate_set, g)) {
        cell.a[g] = projected_at(step.input[blockIdx.z], cell.out, g);
        cell.c[g] = projected_at(step.recurrent[blockIdx.z], cell.out, g);
    }
    cell.h = seq.reserve[(step.s * seq.N + n) * seq.H + unit];
    if (bwd.dy.data)
        cell.dy = load_number(bwd.dy.data, seq.io_type,
                              view_index(bwd.dy.time_stride, bwd.dy.batch_stride, cell.out.t, n) + unit);
    if (seq.attention.data) cell.w = attention_at(seq, cell.out);
}

template <class M>
GRU_DEVICE void compute_slopes(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set,
                               BackwardCell &cell) {
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z].forward;
    if (!cell.out.active || step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (has_gate(gate_set, g)) {
        cell.a[g] = input_side(step.input[blockIdx.z], cell.out, g, cell.a[g]);
        cell.c[g] = input_side(step.recurrent[blockIdx.z], cell.out, g, cell.c[g]);
    }
    if (gate_set == GRU_CUDA_ALL_GATES)
        return whole_slopes<M>(seq, cell.slopes, cell.a, cell.c, cell.h, cell.w);
    if (gate_set == GRU_CUDA_UPDATE_CANDIDATE)
        return candidate_slopes<M>(seq, cell.slopes, cell.a, cell.c, cell.h, cell.w);
    reset_slopes<M>(seq, cell.slopes, cell.a, cell.c, cell.h);
}

/* The load bypasses L1, because another launch wrote it. */
GRU_DEVICE void load_direct(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set,
                            BackwardCell &cell) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    if (cell.out.active && (gate_set == GRU_CUDA_RESET_GATE || !cell.last))
        cell.direct = __ldcg(bwd.direct + state_index(bwd.forward, cell.out));
}

/* The gradient of the step's new state that comes from later steps. Where step s + 1 starts a segment, it belongs to
 * h_restart and is added to restart_sum. */
GRU_DEVICE float carried_gradient(const gru_cuda_backward_step_args &step, const BackwardCell &cell,
                                  float loop_sum) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    const float carried = cell.last ? cell.dhT : cell.direct + loop_sum;
    const bool starts = cell.out.starts && !cell.last;
    float sum = 0.0f;
    if (bwd.restart_sum && (cell.last || starts || step.s < 0)) {
        float *const at = bwd.restart_sum + state_index(seq, cell.out);
        if (!cell.last) sum = __ldcg(at);
        if (starts) sum += carried;
        *at = sum;
    }
    if (step.s < 0 && bwd.dh_restart)
        store_number(bwd.dh_restart, seq.state_type, dense_index(seq, cell.out), sum);
    return starts ? 0.0f : carried;
}

/* Stores one plane of a row of gate gradients, padding included. */
template <class M>
GRU_DEVICE void store_plane(const gru_cuda_backward_step_args &step, const Output &out, int plane,
                            float gradient) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    const int64_t row = (step.s * seq.N + out.n) * gradient_planes(seq) + plane;
    M::store(bwd.rows, row * seq.octets * 8 + out.unit, gradient);
}

GRU_DEVICE void store_projected(const gru_cuda_backward_step_args &step, const Output &out, int g, float da) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    const gru_view &to = bwd.dprojected;
    if (!to.data || !out.exists) return;
    /* Again, because the main loop needs the registers in which out.t would wait. */
    const int64_t t = row_time(seq, row_length(seq, out.n), step.s, out.n);
    if (t < 0) return;
    store_number(to.data, seq.io_type,
                 view_index(to.time_stride, to.batch_stride, t, out.n) + int64_t(g) * seq.H + out.unit, da);
}

/* Stores the gradients of gate g: da for the GEMMs and the caller, dc for the next main loop. */
template <class M>
GRU_DEVICE void store_outputs(const gru_cuda_backward_step_args &step, const Output &out, int g, float da,
                              float dc) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const int groups = bwd.forward.groups;
    store_plane<M>(step, out, g, da);
    store_projected(step, out, g, da);
    M::store(bwd.exchange[step.s % 2],
             fragment_index<M>(out.n, g * groups * GROUP<M> + out.unit, GATES * groups), dc);
}

/* Stores zeros for padding and for steps past a row's length. The exchange buffers hold zeros there already. */
template <class M>
GRU_DEVICE void store_zeros(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set,
                            const Output &out) {
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z].forward;
    if (out.n >= seq.N || out.unit >= seq.octets * 8 || step.s < 0) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) if (has_gate(gate_set, g)) {
        store_plane<M>(step, out, g, 0.0f);
        store_projected(step, out, g, 0.0f);
    }
    if (seq.reset_mode == GRU_RESET_AFTER) store_plane<M>(step, out, GRU_CUDA_DC_N, 0.0f);
}

/* loop_sum: of the main loop. Returns the unit's term of the gradient of attention. */
template <class M>
GRU_DEVICE float epilogue_backward(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set,
                                   const BackwardCell &cell, float loop_sum) {
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    if (!cell.out.active) {
        store_zeros<M>(step, gate_set, cell.out);
        return 0.0f;
    }
    if (gate_set == GRU_CUDA_RESET_GATE) {
        bwd.direct[state_index(seq, cell.out)] = __fmaf_rn(loop_sum, cell.slopes.h, cell.direct);
        store_outputs<M>(step, cell.out, GATE_R, loop_sum * cell.slopes.r, loop_sum * cell.slopes.r);
        return 0.0f;
    }
    const float carried = carried_gradient(step, cell, loop_sum);
    if (step.s < 0) {
        if (bwd.dh0) store_number(bwd.dh0, seq.state_type, dense_index(seq, cell.out), carried);
        return 0.0f;
    }
    const float dh = carried + cell.dy;
    bwd.direct[state_index(seq, cell.out)] = dh * cell.slopes.h;
    if (gate_set == GRU_CUDA_ALL_GATES)
        store_outputs<M>(step, cell.out, GATE_R, dh * cell.slopes.r, dh * cell.slopes.r);
    store_outputs<M>(step, cell.out, GATE_Z, dh * cell.slopes.z, dh * cell.slopes.z);
    store_outputs<M>(step, cell.out, GATE_N, dh * cell.slopes.n, dh * cell.slopes.c_n);
    if (seq.reset_mode == GRU_RESET_AFTER)
        store_plane<M>(step, cell.out, GRU_CUDA_DC_N, dh * cell.slopes.c_n);
    return dh * cell.slopes.attention;
}

/* Adds the eight units of an octet, which are adjacent lanes, and stores their sum. All threads of the warp call it. */
GRU_DEVICE void store_attention(const gru_cuda_backward_step_args &step, gru_cuda_gate_set gate_set,
                                const Output &out, float dw) {
    float *const octets = step.attention[blockIdx.z];
    if (!octets || gate_set == GRU_CUDA_RESET_GATE) return;
    GRU_UNROLL for (int i = 1; i < 8; i *= 2) dw += __shfl_xor_sync(0xffffffffu, dw, i);
    if (out.active && out.unit % 8 == 0)
        octets[int64_t(out.n) * step.sequence[blockIdx.z].forward.octets + out.unit / 8] = dw;
}

} // namespace
#endif
