/* cuda_epilogue.cuh: the epilogue of every step kernel: from a and c of one unit to gates, candidate and state. */
#ifndef GRU_CUDA_EPILOGUE_CUH
#define GRU_CUDA_EPILOGUE_CUH

#include "cuda_cell.cuh"
#include "cuda_output.cuh"

namespace {

template <gru_cuda_gate_set GATE_SET>
constexpr int FIRST_GATE = GATE_SET == GRU_CUDA_CANDIDATE ? GATE_N : GATE_R;
template <gru_cuda_gate_set GATE_SET>
constexpr int GATE_COUNT = GATE_SET == GRU_CUDA_ALL_GATES      ? 3
                           : GATE_SET == GRU_CUDA_RESET_UPDATE ? 2
                                                               : 1;

/* a and c: of the gates in the gate set. h: the entering state. */
template <class M, gru_cuda_gate_set GATE_SET>
GRU_DEVICE void epilogue_forward(const gru_cuda_step_args &step, const gru_cuda_sequence &seq,
                                 const Output &out, const float *a, const float *c, float h) {
    if constexpr (GATE_SET == GRU_CUDA_ALL_GATES) {
        float next = h;
        if (out.active) {
            const float r = gate<M>(seq, a[GATE_R] + c[GATE_R]);
            float z = gate<M>(seq, a[GATE_Z] + c[GATE_Z]);
            if (seq.attention.data) z = attended(seq, z, attention_at(seq, out));
            next = blend(seq, z, whole_candidate<M>(seq, r, a[GATE_N], c[GATE_N]), h);
        }
        write_state<M>(step, seq, out, h, next);
    } else if constexpr (GATE_SET == GRU_CUDA_RESET_UPDATE) {
        if (!out.active) return;
        float z = gate<M>(seq, a[GATE_Z] + c[GATE_Z]);
        if (seq.attention.data) z = attended(seq, z, attention_at(seq, out));
        seq.update_gate[state_index(seq, out)] = z;
        M::store(seq.exchange_reset, fragment_index<M>(out.n, out.unit, seq.groups),
                 gate<M>(seq, a[GATE_R] + c[GATE_R]) * h);
    } else {
        float next = h;
        if (out.active)
            next = blend(seq, __ldcg(seq.update_gate + state_index(seq, out)), candidate<M>(seq, a[0] + c[0]),
                         h);
        write_state<M>(step, seq, out, h, next);
    }
}

} // namespace
#endif
