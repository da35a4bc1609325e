/* cuda_output.cuh: one element of the new state: its time, its inputs, and where it is stored. */
#ifndef GRU_CUDA_OUTPUT_CUH
#define GRU_CUDA_OUTPUT_CUH

#include "cuda_math_types.cuh"

namespace {

GRU_DEVICE int64_t view_index(int64_t time_stride, int64_t batch_stride, int64_t t, int n) {
    return t * time_stride + n * batch_stride;
}

/* Length of row n. A length outside 0..T is clamped here and recorded by the prologue. */
GRU_DEVICE int64_t row_length(const gru_cuda_sequence &seq, int n) {
    if (!seq.lengths) return seq.T;
    const int64_t length = seq.lengths[n];
    return length < 0 ? 0 : length > seq.T ? seq.T : length;
}

/* The time t of step s in a row of this length, where no table says it. */
GRU_DEVICE int64_t step_time(const gru_cuda_sequence &seq, int64_t length, int64_t s) {
    return seq.direction == GRU_REVERSE ? length - 1 - s : s;
}

/* The time of step s of row n, which has this length, s < T. Past its last step: the time of one of its absent steps, another
 * for each s, or -1 where the tensors have no row for them. */
GRU_DEVICE int64_t row_time(const gru_cuda_sequence &seq, int64_t length, int64_t s, int n) {
    if (s >= length && seq.ragged) return -1;
    if (seq.times) return seq.times[s * seq.N + n];
    return s < length ? step_time(seq, length, s) : s;
}

/* Whether step s of row n starts a segment. A segment begins with its earliest time, so a forward layer looks at step s and
 * a reverse layer at step s - 1. */
GRU_DEVICE bool segment_starts(const gru_cuda_sequence &seq, int64_t length, int64_t s, int n) {
    const int64_t looked = seq.direction == GRU_REVERSE ? s - 1 : s;
    if (!seq.restart.data || looked < 0 || s >= length) return false;
    const int64_t t = row_time(seq, length, looked, n);
    return static_cast<const uint8_t *>(
               seq.restart.data)[view_index(seq.restart.time_stride, seq.restart.batch_stride, t, n)] != 0;
}

/* Unit `unit` of row n at step s: what one thread computes. */
struct Output {
    int n, unit;
    bool exists; /* else padding of the block tile */
    bool active; /* s < length; else the state is kept and y[s] is zero */
    bool starts; /* the step after this one starts a segment */
    int64_t t;   /* row_time; s in steps that are none of the T */
};

GRU_DEVICE Output output_at(const gru_cuda_sequence &seq, int64_t s, int n, int unit) {
    Output out = {n, unit, n < seq.N && unit < seq.H, false, false, s};
    if (!out.exists) return out;
    const int64_t length = row_length(seq, n);
    out.active = s < length;
    if (s >= 0 && s < seq.T) out.t = row_time(seq, length, s, n);
    if (!out.active) return out;
    out.starts = segment_starts(seq, length, s + 1, n);
    return out;
}

/* Index of gate g of a unit in a row [unit octet][gate][8]. */
GRU_DEVICE int packed_unit(int unit, int g) {
    return unit / 8 * (GATES * 8) + g * 8 + unit % 8;
}

/* gru_cuda_gradient_planes on the device. */
GRU_DEVICE int gradient_planes(const gru_cuda_sequence &seq) {
    return seq.reset_mode == GRU_RESET_AFTER ? GATES + 1 : GATES;
}

GRU_DEVICE float recurrent_bias(const gru_cuda_sequence &seq, int unit, int g) {
    return seq.bR[packed_unit(unit, g)];
}

/* Projected input of gate g, without the bias that input_side may add. */
GRU_DEVICE float projected_at(const gru_cuda_input &input, const Output &out, int g) {
    const int64_t row = view_index(input.time_stride, input.batch_stride, out.t, out.n);
    return load_number(input.data, input.type,
                       row +
                           (input.gate_stride ? g * input.gate_stride + out.unit : packed_unit(out.unit, g)));
}

/* a of gate g: adds the bias that the projection has left out. This is apart from the load, because even a skipped addition
 * waits for its operand, and so the loads of the gates would wait for each other. */
GRU_DEVICE float input_side(const gru_cuda_input &input, const Output &out, int g, float projected) {
    return input.bias ? projected + input.bias[packed_unit(out.unit, g)] : projected;
}

GRU_DEVICE float attention_at(const gru_cuda_sequence &seq, const Output &out) {
    return static_cast<const float *>(
        seq.attention.data)[view_index(seq.attention.time_stride, seq.attention.batch_stride, out.t, out.n)];
}

GRU_DEVICE int64_t state_index(const gru_cuda_sequence &seq, const Output &out) {
    return int64_t(out.n) * seq.octets * 8 + out.unit;
}

/* The state that enters this step. The load bypasses L1, because another launch wrote it. */
GRU_DEVICE float entering_state(const gru_cuda_sequence &seq, const Output &out) {
    return __ldcg(seq.state + state_index(seq, out));
}

GRU_DEVICE void write_final_state(const gru_cuda_sequence &seq, const Output &out, float h) {
    if (!seq.hT) return;
    const int64_t row = seq.hT_slots ? seq.hT_slots[out.n] : out.n;
    if (seq.hT_slots && (row < 0 || row >= seq.slot_count)) return; /* recorded by the prologue */
    store_number(seq.hT, seq.state_type, row * seq.hT_stride + out.unit, h);
}

/* Stores the next state h to y, hT and the next step, and the entering state to the reserve. */
template <class M>
GRU_DEVICE void write_state(const gru_cuda_step_args &step, const gru_cuda_sequence &seq, const Output &out,
                            float entering, float h) {
    if (seq.reserve && out.active) seq.reserve[(step.s * seq.N + out.n) * seq.H + out.unit] = entering;
    if (seq.y.data && step.s < seq.T && out.t >= 0)
        store_number(seq.y.data, seq.io_type,
                     view_index(seq.y.time_stride, seq.y.batch_stride, out.t, out.n) + out.unit,
                     out.active ? h : 0.0f);
    if (step.last) {
        write_final_state(seq, out, h);
        return;
    }
    if (out.starts)
        h = seq.h_restart ? load_number(seq.h_restart, seq.state_type, int64_t(out.n) * seq.H + out.unit)
                          : 0.0f;
    seq.state[state_index(seq, out)] = h;
    M::store(seq.exchange[(step.s + 1) % 2], fragment_index<M>(out.n, out.unit, seq.groups), h);
}

} // namespace
#endif
