/* cuda_backward_rows.cu: what lies between the sweep and the GEMMs of the backward pass: states and r h as rows that they read, dx
 * from rows that they write, and the sum of attention's gradient. */
#include "cuda_cell.cuh"
#include "cuda_grid_stride.cuh"
#include "cuda_output.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* Number `unit` of the row (s, n); it exists where s is a step of row n. */
struct RowNumber {
    int64_t s;
    int n, unit;
    bool exists;
};

/* Calls store(index, number) for all numbers of rows [steps][N][unit pitch] from step s on, and of their padding. */
template <class Store>
GRU_DEVICE void for_row_numbers(const gru_cuda_sequence &q, int64_t s, int64_t steps, int64_t padding,
                                Store store) {
    const int64_t rows = steps * q.N, pitch = q.octets * 8;
    const Pieces pieces = pieces_of(rows + padding, pitch);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int64_t row = i / pieces.each;
        RowNumber at = {s + row / q.N, int(row % q.N), int(i % pieces.each * 32 + threadIdx.x % 32), false};
        if (at.unit >= pitch) continue;
        at.exists = row < rows && at.unit < q.H && at.s < row_length(q, at.n);
        store(row * pitch + at.unit, at);
    }
}

GRU_DEVICE float reserved_state(const gru_cuda_sequence &q, const RowNumber &at) {
    return q.reserve[(at.s * q.N + at.n) * q.H + at.unit];
}

/* ---- states ---- */

struct StateRows {
    gru_cuda_state_rows rows;
    gru_cuda_compute_type compute_type;
};

/* Both buffers of what the sweep exchanges, in words of 16 bytes, and its counters. */
GRU_DEVICE void begin_sweep(const gru_cuda_backward_sequence &w) {
    const gru_cuda_sequence &q = w.forward;
    const int64_t octets = (q.N + 7) / 8, words = octets * GATES * q.groups * (GRU_CUDA_FRAGMENT_BYTES / 16);
    const int64_t first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x,
                  step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = first; i < words; i += step)
        for (int slot = 0; slot < 2; slot++)
            static_cast<uint4 *>(w.exchange[slot])[i] = make_uint4(0, 0, 0, 0);
    if (w.barrier_counter)
        for (int64_t i = first; i < octets; i += step) w.barrier_counter[i] = 0;
}

__global__ void __launch_bounds__(WARPS * 32, 1) state_rows_kernel(const __grid_constant__ StateRows p) {
    const gru_cuda_state_rows &r = p.rows;
    const gru_cuda_backward_sequence &w = r.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    if (r.begins) begin_sweep(w);
    if (!r.rows[blockIdx.z]) return;
    for_row_numbers(q, r.s, r.steps, r.padding, [&](int64_t i, const RowNumber &at) {
        store_operand(p.compute_type, r.rows[blockIdx.z], i, at.exists ? reserved_state(q, at) : 0.0f);
    });
}

/* ---- r h ---- */

struct ResetRows {
    gru_cuda_reset_rows rows;
    gru_cuda_compute_type compute_type;
};

/* The sum of one side for the reset gate. */
GRU_DEVICE float reset_side(const gru_cuda_sequence &q, const gru_cuda_input &input, int64_t offset,
                            const RowNumber &at) {
    const Output o = {at.n, at.unit, true, true, false, step_time(q, row_length(q, at.n), at.s)};
    gru_cuda_input moved = input;
    if (offset != 0) moved.data = static_cast<const float *>(input.data) + offset;
    return input_side(input, o, GATE_R, projected_at(moved, o, GATE_R));
}

__global__ void __launch_bounds__(WARPS * 32, 1) reset_rows_kernel(const __grid_constant__ ResetRows p) {
    const gru_cuda_reset_rows &r = p.rows;
    const int z = int(blockIdx.z);
    const gru_cuda_sequence &q = r.forward[z];
    for_row_numbers(q, r.s, r.steps, r.padding, [&](int64_t i, const RowNumber &at) {
        float value = 0.0f;
        if (at.exists) {
            const int64_t later = at.s - r.s; /* projected input that has a time_stride is found by time */
            const float v =
                reset_side(q, r.input[z], r.input[z].time_stride ? 0 : later * r.input_step[z], at) +
                reset_side(q, r.recurrent[z], later * q.N * r.recurrent[z].batch_stride, at);
            value =
                (p.compute_type == GRU_CUDA_F32 ? gate<F32>(q, v) : gate<Bf16>(q, v)) * reserved_state(q, at);
        }
        store_operand(p.compute_type, r.rows[z], i, value);
    });
}

/* ---- attention ---- */

__global__ void __launch_bounds__(WARPS * 32, 1)
    attention_sums_kernel(const __grid_constant__ gru_cuda_attention_sums a) {
    const gru_cuda_sequence &q = a.forward;
    const int64_t rows = a.steps * q.N, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; row < rows; row += step) {
        const int n = int(row % q.N);
        const int64_t s = a.s + row / q.N, length = row_length(q, n);
        float sum = 0.0f;
        if (s < length)
            for (int octet = 0; octet < (q.H + 7) / 8; octet++) sum += a.octets[row * q.octets + octet];
        static_cast<float *>(
            a.dattention.data)[view_index(a.dattention.time_stride, a.dattention.batch_stride,
                                          s < length ? step_time(q, length, s) : s, n)] = sum;
    }
}

/* ---- dx ---- */

__global__ void __launch_bounds__(WARPS * 32, 1) scatter_kernel(const __grid_constant__ gru_cuda_scatter a) {
    const gru_cuda_sequence &q = a.forward;
    const Pieces pieces = pieces_of(a.steps * q.N, a.inputs);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int64_t row = i / pieces.each, k = i % pieces.each * 32 + threadIdx.x % 32;
        if (k >= a.inputs) continue;
        const int n = int(row % q.N);
        const int64_t s = a.s + row / q.N, length = row_length(q, n);
        const int64_t t = s < length ? step_time(q, length, s) : s;
        store_number(a.dx.data, q.io_type, view_index(a.dx.time_stride, a.dx.batch_stride, t, n) + k,
                     s < length ? a.rows[row * a.pitch + k] : 0.0f);
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_state_rows(gru_cuda_compute_type compute_type,
                                                  const gru_cuda_state_rows *rows, cudaStream_t stream) {
    const gru_cuda_sequence &q = rows->sequence[0].forward;
    const int64_t states = rows->rows[0] ? rows->steps * q.N + rows->padding : 0;
    return start(state_rows_kernel, launch_for(states > q.N ? states : q.N, q.octets * 8, rows->directions),
                 StateRows{*rows, compute_type}, stream);
}

extern "C" cudaError_t gru_cuda_launch_reset_rows(gru_cuda_compute_type compute_type,
                                                  const gru_cuda_reset_rows *rows, cudaStream_t stream) {
    const gru_cuda_sequence &q = rows->forward[0];
    return start(reset_rows_kernel,
                 launch_for(rows->steps * q.N + rows->padding, q.octets * 8, rows->directions),
                 ResetRows{*rows, compute_type}, stream);
}

extern "C" cudaError_t gru_cuda_launch_attention_sums(const gru_cuda_attention_sums *sums,
                                                      cudaStream_t stream) {
    return start(attention_sums_kernel, launch_for((sums->steps * sums->forward.N + 31) / 32, 32, 1), *sums,
                 stream);
}

extern "C" cudaError_t gru_cuda_launch_scatter(const gru_cuda_scatter *scatter, cudaStream_t stream) {
    return start(scatter_kernel, launch_for(scatter->steps * scatter->forward.N, scatter->inputs, 1),
                 *scatter, stream);
}

extern "C" cudaError_t gru_cuda_load_backward(gru_cuda_compute_type compute_type) {
    cudaError_t error = load(state_rows_kernel, 0);
    if (error == cudaSuccess) error = load(reset_rows_kernel, 0);
    if (error == cudaSuccess) error = load(attention_sums_kernel, 0);
    if (error == cudaSuccess) error = load(scatter_kernel, 0);
    if (error == cudaSuccess) error = gru_cuda_load_reduce();
    if (error == cudaSuccess) error = gru_cuda_load_transpose(compute_type);
    return error;
}
