/* cuda_epilogue.cuh: what a launch makes of both sides' sums of one unit: the end of every step kernel. */
#ifndef GRU_CUDA_EPILOGUE_CUH
#define GRU_CUDA_EPILOGUE_CUH

#include "cuda_cell.cuh"
#include "cuda_output.cuh"

namespace {

template <gru_cuda_gate_set PART> constexpr int FIRST_GATE = PART == GRU_CUDA_CANDIDATE ? GATE_N : GATE_R;
template <gru_cuda_gate_set PART>
constexpr int GATE_COUNT = PART == GRU_CUDA_ALL_GATES      ? 3
                           : PART == GRU_CUDA_RESET_UPDATE ? 2
                                                           : 1;

/* What a launch makes of one unit: a the input side, c the recurrent side, of the part's gates. */
template <class M, gru_cuda_gate_set PART>
GRU_DEVICE void finish(const gru_cuda_step_args &step, const gru_cuda_sequence &q, const Output &o,
                       const float *a, const float *c, float h) {
    if constexpr (PART == GRU_CUDA_ALL_GATES) {
        float next = h;
        if (o.active) {
            const float r = gate<M>(q, a[GATE_R] + c[GATE_R]);
            float z = gate<M>(q, a[GATE_Z] + c[GATE_Z]);
            if (q.attention.data) z = attended(q, z, attention_at(q, o));
            next = blend(q, z, whole_candidate<M>(q, r, a[GATE_N], c[GATE_N]), h);
        }
        write_state<M>(step, q, o, h, next);
    } else if constexpr (PART == GRU_CUDA_RESET_UPDATE) {
        if (!o.active) return;
        float z = gate<M>(q, a[GATE_Z] + c[GATE_Z]);
        if (q.attention.data) z = attended(q, z, attention_at(q, o));
        q.update_gate[state_index(q, o)] = z;
        M::store(q.exchange_reset, tile_index<M>(o.n, o.unit, q.groups),
                 gate<M>(q, a[GATE_R] + c[GATE_R]) * h);
    } else {
        float next = h;
        if (o.active)
            next = blend(q, __ldcg(q.update_gate + state_index(q, o)), candidate<M>(q, a[0] + c[0]), h);
        write_state<M>(step, q, o, h, next);
    }
}

} // namespace
#endif
