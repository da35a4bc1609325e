/* cuda_epilogue_default.cuh: the epilogue of the default path: sigmoid and tanh without clip, all rows of one length, no
 * segments, no attention, and the library's own projection (gru_cuda_takes_default_path).
 *
 * It computes what epilogue_forward does, in the same order, so the bits are the same. Addresses are computed once, before
 * the wait; options are pointers or selects, not branches, so that several outputs are in flight. */
#ifndef GRU_CUDA_EPILOGUE_DEFAULT_CUH
#define GRU_CUDA_EPILOGUE_DEFAULT_CUH

#include "cuda_cell.cuh"
#include "cuda_output.cuh"

namespace {

/* A store whose type is an option: one of two predicated stores. */
GRU_DEVICE void store_selected(char *to, int32_t type, float value) {
    const unsigned short half = __half_as_ushort(__float2half_rn(value));
    const unsigned short bfloat = __bfloat16_as_ushort(__float2bfloat16_rn(value));
    if (type == GRU_F32) *reinterpret_cast<float *>(to) = value;
    if (type != GRU_F32) store_bits16(to, type == GRU_F16 ? half : bfloat);
}

/* Unit `unit` of row n of this step: where its numbers are. The rows of a thread are `apart` rows apart. */
template <class M> struct DefaultOutput {
    const float *input;     /* a of the reset gate; the other gates follow at 8 and 16 */
    float *state, *reserve; /* reserve NULL: inference */
    char *y;                /* NULL: not wanted */
    char *next;             /* in the exchange buffer of the next step */
    int64_t input_step, state_step, reserve_step, y_step; /* from a row to the thread's next */
    int32_t io_type;
    DefaultVariant variant;
    bool biased; /* the projection has left out the input bias */
    float bias[GATES], input_bias[GATES];

    GRU_DEVICE DefaultOutput(const gru_cuda_step_args &step, const gru_cuda_sequence &seq,
                             const gru_cuda_input &from, int n, int unit, int apart)
        : input_step(apart * from.batch_stride), state_step(int64_t(apart) * seq.octets * 8),
          reserve_step(int64_t(apart) * seq.H), io_type(seq.io_type), variant{seq.reset_mode, seq.update},
          biased(from.bias != nullptr) {
        const int64_t bytes = io_type == GRU_F32 ? 4 : 2;
        input = static_cast<const float *>(from.data) + n * from.batch_stride + packed_unit(unit, 0);
        state = seq.state + int64_t(n) * seq.octets * 8 + unit;
        reserve = seq.reserve ? seq.reserve + (step.s * seq.N + n) * seq.H + unit : nullptr;
        y = static_cast<char *>(seq.y.data);
        if (y)
            y +=
                (view_index(seq.y.time_stride, seq.y.batch_stride, step_time(seq, seq.T, step.s), n) + unit) *
                bytes;
        y_step = apart * seq.y.batch_stride * bytes;
        next = static_cast<char *>(seq.exchange[(step.s + 1) % 2]) +
               fragment_index<M>(n, unit, seq.groups) * M::BYTES;
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            bias[g] = unit < seq.H ? recurrent_bias(seq, unit, g) : 0.0f;
            input_bias[g] = unit < seq.H && biased ? from.bias[packed_unit(unit, g)] : 0.0f;
        }
    }

    /* The next state from projected input a and sums c, to which the biases are added here. */
    GRU_DEVICE float next_state(float (&a)[GATES], float (&c)[GATES], float h) const {
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            if (biased) a[g] += input_bias[g];
            c[g] += bias[g];
        }
        const float r = gate<M>(variant, a[GATE_R] + c[GATE_R]), z = gate<M>(variant, a[GATE_Z] + c[GATE_Z]);
        return blend(variant, z, whole_candidate<M>(variant, r, a[GATE_N], c[GATE_N]), h);
    }
    /* Stores the state of the i-th row, whose operand is next_at operands behind the first. */
    GRU_DEVICE void store(int i, int64_t next_at, float entering, float h) const {
        M::store(next, next_at, h);
        state[i * state_step] = h;
        if (reserve) reserve[i * reserve_step] = entering;
        if (y) store_selected(y + i * y_step, io_type, h);
    }
    GRU_DEVICE void advance(int rows, int64_t next_by) {
        input += rows * input_step, state += rows * state_step, next += next_by * M::BYTES;
        if (reserve) reserve += rows * reserve_step;
        if (y) y += rows * y_step;
    }
};

} // namespace
#endif
