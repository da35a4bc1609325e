/* cuda_epilogue_backward_default.cuh: the backward epilogue of the default path: of the variants and runs that
 * cuda_epilogue_default.cuh serves, without dprojected, in steps that are neither the first nor after the last.
 *
 * It computes what epilogue_backward does, with the same bits. Addresses are computed once, and options are pointers or
 * selects, so that several outputs are in flight. */
#ifndef GRU_CUDA_EPILOGUE_BACKWARD_DEFAULT_CUH
#define GRU_CUDA_EPILOGUE_BACKWARD_DEFAULT_CUH

#include "cuda_epilogue_backward.cuh"

namespace {

/* Whether this step takes the default path: dh comes from the main loop alone, and goes on to a step. */
GRU_DEVICE bool takes_default_path(const gru_cuda_backward_step_args &step) {
    return step.default_path && step.s >= 0 && step.s + 1 < step.sequence[blockIdx.z].forward.T;
}

/* Element i of an array whose type is an option: one of two predicated loads. */
GRU_DEVICE float load_selected(const char *from, int32_t type) {
    float whole = 0.0f;
    unsigned short bits = 0;
    if (type == GRU_F32) whole = *reinterpret_cast<const float *>(from);
    if (type != GRU_F32) bits = *reinterpret_cast<const unsigned short *>(from);
    const float half =
        type == GRU_F16 ? __half2float(__ushort_as_half(bits)) : __bfloat162float(__ushort_as_bfloat16(bits));
    return type == GRU_F32 ? whole : half;
}

/* What the previous launch does not write, of one unit. */
struct DefaultLoads {
    float a[GATES], c[GATES], h, dy;
};

/* Unit `unit` of row n of this step, and the rows of a thread behind it, `apart` rows apart. */
template <class M> struct DefaultBackwardOutput {
    const float *input, *recurrent, *reserve; /* a and c of the reset gate; the entering state */
    const char *dy;                           /* NULL: zeros */
    float *direct;
    char *rows, *exchange; /* da of the reset gate, and its dc for the next step */
    int64_t input_step, recurrent_step, reserve_step, dy_step, direct_step, rows_step;
    int64_t pitch, gate; /* from a gate to the next: of c and da, and of dc */
    int32_t io_type;
    DefaultVariant variant;
    bool inside, biased; /* not padding; the projection has left out the input bias */
    float bias[GATES], input_bias[GATES];

    GRU_DEVICE DefaultBackwardOutput(const gru_cuda_backward_step_args &step, int n, int unit, int apart) {
        const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
        const gru_cuda_sequence &seq = bwd.forward;
        const gru_cuda_input &from = step.input[blockIdx.z], &side = step.recurrent[blockIdx.z];
        const int64_t planes = gradient_planes(seq);
        variant = {seq.reset_mode, seq.update};
        io_type = seq.io_type;
        const int64_t bytes = io_type == GRU_F32 ? 4 : 2;
        pitch = seq.octets * 8, gate = int64_t(seq.groups) * 8 * GROUP<M>;
        inside = unit < seq.H, biased = from.bias != nullptr;
        input_step = apart * from.batch_stride, recurrent_step = apart * side.batch_stride;
        reserve_step = int64_t(apart) * seq.H, dy_step = apart * bwd.dy.batch_stride * bytes;
        direct_step = apart * pitch, rows_step = apart * planes * pitch * M::BYTES;
        input = static_cast<const float *>(from.data) + n * from.batch_stride + packed_unit(unit, 0);
        recurrent = static_cast<const float *>(side.data) + n * side.batch_stride + unit;
        reserve = seq.reserve + (step.s * seq.N + n) * seq.H + unit;
        dy = static_cast<const char *>(bwd.dy.data);
        if (dy)
            dy += (view_index(bwd.dy.time_stride, bwd.dy.batch_stride, step_time(seq, seq.T, step.s), n) +
                   unit) *
                  bytes;
        direct = bwd.direct + n * pitch + unit;
        rows = static_cast<char *>(bwd.rows) + ((step.s * seq.N + n) * planes * pitch + unit) * M::BYTES;
        exchange = static_cast<char *>(bwd.exchange[step.s % 2]) +
                   fragment_index<M>(n, unit, GATES * seq.groups) * M::BYTES;
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            bias[g] = inside ? side.bias[packed_unit(unit, g)] : 0.0f;
            input_bias[g] = inside && biased ? from.bias[packed_unit(unit, g)] : 0.0f;
        }
    }

    GRU_DEVICE void load(int i, DefaultLoads &to) const {
        if (!inside) return;
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            to.a[g] = input[i * input_step + g * 8];
            to.c[g] = recurrent[i * recurrent_step + g * pitch];
        }
        to.h = reserve[i * reserve_step];
        if (dy) to.dy = load_selected(dy + i * dy_step, io_type);
    }
    GRU_DEVICE void compute_slopes(DefaultLoads &loads, Slopes &slopes) const {
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            if (biased) loads.a[g] += input_bias[g];
            loads.c[g] += bias[g];
        }
        whole_slopes<M>(variant, slopes, loads.a, loads.c, loads.h, 0.0f);
    }
    /* Stores the gradients of the i-th row, whose dc is exchange_at operands behind the first. Padding gets zeros. */
    GRU_DEVICE void store(int i, int64_t exchange_at, const Slopes &slopes, float dh) const {
        const float da[GATES] = {inside ? dh * slopes.r : 0.0f, inside ? dh * slopes.z : 0.0f,
                                 inside ? dh * slopes.n : 0.0f};
        const float dc_n = inside ? dh * slopes.c_n : 0.0f;
        char *const row = rows + i * rows_step;
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            M::store(row, g * pitch, da[g]);
            M::store(exchange, exchange_at + g * gate, g == GATE_N ? dc_n : da[g]);
        }
        if (variant.reset_mode == GRU_RESET_AFTER) M::store(row, GRU_CUDA_DC_N * pitch, dc_n);
        direct[i * direct_step] = dh * slopes.h;
    }
    GRU_DEVICE void advance(int count, int64_t exchange_by) {
        input += count * input_step, recurrent += count * recurrent_step, reserve += count * reserve_step;
        if (dy) dy += count * dy_step;
        direct += count * direct_step, rows += count * rows_step, exchange += exchange_by * M::BYTES;
    }
};

} // namespace
#endif
