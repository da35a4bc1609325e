/* cuda_output.cuh: one number of the new state: where its inputs lie, when its row is at which time, where it goes. */
#ifndef GRU_CUDA_OUTPUT_CUH
#define GRU_CUDA_OUTPUT_CUH

#include "cuda_math_types.cuh"

namespace {

GRU_DEVICE int64_t view_index(int64_t time_stride, int64_t batch_stride, int64_t t, int n) {
    return t * time_stride + n * batch_stride;
}

/* Valid steps of row n; a length outside 0..T is clamped here and reported by the prologue. */
GRU_DEVICE int64_t row_length(const gru_cuda_sequence &q, int n) {
    if (!q.lengths) return q.T;
    const int64_t length = q.lengths[n];
    return length < 0 ? 0 : length > q.T ? q.T : length;
}

/* The time that a row with so many steps visits as step s. */
GRU_DEVICE int64_t step_time(const gru_cuda_sequence &q, int64_t length, int64_t s) {
    return q.direction == GRU_REVERSE ? length - 1 - s : s;
}

/* Whether step s of row n starts a segment: a forward layer looks at the step itself, a reverse layer at the one it
 * comes from, because a segment begins with its earliest time. */
GRU_DEVICE bool segment_starts(const gru_cuda_sequence &q, int64_t length, int64_t s, int n) {
    const int64_t looked = q.direction == GRU_REVERSE ? s - 1 : s;
    if (!q.restart.data || looked < 0 || s >= length) return false;
    const int64_t t = step_time(q, length, looked);
    return static_cast<const uint8_t *>(
               q.restart.data)[view_index(q.restart.time_stride, q.restart.batch_stride, t, n)] != 0;
}

/* Unit `unit` of row n: what a thread finishes in step s. */
struct Output {
    int n, unit;
    bool exists; /* else the tile's padding */
    bool active; /* the row has this step; else its state stays and y[s] is zero */
    bool starts; /* the step after this one starts a segment */
    int64_t t;   /* the time it visits; not active: s */
};

GRU_DEVICE Output output_at(const gru_cuda_sequence &q, int64_t s, int n, int unit) {
    Output o = {n, unit, n < q.N && unit < q.H, false, false, s};
    if (!o.exists) return o;
    const int64_t length = row_length(q, n);
    o.active = s < length;
    if (!o.active) return o;
    o.t = step_time(q, length, s);
    o.starts = segment_starts(q, length, s + 1, n);
    return o;
}

/* Index of a unit's number of gate g in rows of [unit octet][gate][8]. */
GRU_DEVICE int packed_unit(int unit, int g) {
    return unit / 8 * (GATES * 8) + g * 8 + unit % 8;
}

/* gru_cuda_gradient_planes on the device. */
GRU_DEVICE int gradient_planes(const gru_cuda_sequence &q) {
    return q.reset_mode == GRU_RESET_AFTER ? GATES + 1 : GATES;
}

GRU_DEVICE float recurrent_bias(const gru_cuda_sequence &q, int unit, int g) {
    return q.bR[packed_unit(unit, g)];
}

/* Projected input of gate g, as it was found: input_side makes the sum of it. */
GRU_DEVICE float projected_at(const gru_cuda_input &input, const Output &o, int g) {
    const int64_t row = view_index(input.time_stride, input.batch_stride, o.t, o.n);
    return load_number(input.data, input.type,
                       row + (input.gate_stride ? g * input.gate_stride + o.unit : packed_unit(o.unit, g)));
}

/* Adds the bias that the projection has left out. Not where the number is loaded: even an addition that is not done waits
 * for its operand, so that the loads of the gates would wait for each other. */
GRU_DEVICE float input_side(const gru_cuda_input &input, const Output &o, int g, float projected) {
    return input.bias ? projected + input.bias[packed_unit(o.unit, g)] : projected;
}

GRU_DEVICE float attention_at(const gru_cuda_sequence &q, const Output &o) {
    return static_cast<const float *>(
        q.attention.data)[view_index(q.attention.time_stride, q.attention.batch_stride, o.t, o.n)];
}

GRU_DEVICE int64_t state_index(const gru_cuda_sequence &q, const Output &o) {
    return int64_t(o.n) * q.octets * 8 + o.unit;
}

/* The state that enters this step. Past L1: blocks of another launch wrote it. */
GRU_DEVICE float entering_state(const gru_cuda_sequence &q, const Output &o) {
    return __ldcg(q.state + state_index(q, o));
}

GRU_DEVICE void write_final_state(const gru_cuda_sequence &q, const Output &o, float h) {
    if (!q.hT) return;
    const int64_t row = q.hT_slots ? q.hT_slots[o.n] : o.n;
    if (q.hT_slots && (row < 0 || row >= q.slot_count)) return; /* reported by the prologue */
    store_number(q.hT, q.state_type, row * q.hT_stride + o.unit, h);
}

/* Hands out the state h that follows the entering one: to y, to hT, to the reserve, and to the next step. */
template <class M>
GRU_DEVICE void write_state(const gru_cuda_step_args &step, const gru_cuda_sequence &q, const Output &o,
                            float entering, float h) {
    if (q.reserve && o.active) q.reserve[(step.s * q.N + o.n) * q.H + o.unit] = entering;
    if (q.y.data && step.s < q.T)
        store_number(q.y.data, q.io_type, view_index(q.y.time_stride, q.y.batch_stride, o.t, o.n) + o.unit,
                     o.active ? h : 0.0f);
    if (step.last) {
        write_final_state(q, o, h);
        return;
    }
    if (o.starts)
        h = q.h_restart ? load_number(q.h_restart, q.state_type, int64_t(o.n) * q.H + o.unit) : 0.0f;
    q.state[state_index(q, o)] = h;
    M::store(q.exchange[(step.s + 1) % 2], tile_index<M>(o.n, o.unit, q.groups), h);
}

} // namespace
#endif
