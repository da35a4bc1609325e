/* cuda_backward_rows.cu: between the backward steps and the GEMMs: states and r h as GEMM rows, dx from GEMM rows, and the sum
 * of attention's gradient. */
#include "cuda_cell.cuh"
#include "cuda_grid_stride.cuh"
#include "cuda_output.cuh"
#include "cuda_backward_kernels.h"

namespace {

/* Element `unit` of the row (s, n); it exists where s is a step of row n. */
struct RowNumber {
    int64_t s;
    int n, unit;
    bool exists;
};

/* Calls store(index, element) for all elements of rows [steps][N][unit pitch] from step s on, and of their padding. */
template <class Store>
GRU_DEVICE void for_row_numbers(const gru_cuda_sequence &seq, int64_t s, int64_t steps, int64_t padding,
                                Store store) {
    const int64_t rows = steps * seq.N, pitch = seq.octets * 8;
    const GridStride loop = grid_stride(rows + padding, pitch);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row;
        RowNumber at = {s + row / seq.N, int(row % seq.N), int(i % loop.per_row * 32 + threadIdx.x % 32),
                        false};
        if (at.unit >= pitch) continue;
        at.exists = row < rows && at.unit < seq.H && at.s < row_length(seq, at.n);
        store(row * pitch + at.unit, at);
    }
}

GRU_DEVICE float reserved_state(const gru_cuda_sequence &seq, const RowNumber &at) {
    return seq.reserve[(at.s * seq.N + at.n) * seq.H + at.unit];
}

/* ---- states ---- */

struct StateRows {
    gru_cuda_state_rows rows;
    gru_cuda_compute_type compute_type;
};

/* Zeroes both exchange buffers, in words of 16 bytes, and the barrier counters. */
GRU_DEVICE void begin_backward(const gru_cuda_backward_sequence &bwd) {
    const gru_cuda_sequence &seq = bwd.forward;
    const int64_t octets = (seq.N + 7) / 8,
                  words = octets * GATES * seq.groups * (GRU_CUDA_FRAGMENT_BYTES / 16);
    const int64_t first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x,
                  step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = first; i < words; i += step)
        for (int slot = 0; slot < 2; slot++)
            static_cast<uint4 *>(bwd.exchange[slot])[i] = make_uint4(0, 0, 0, 0);
    if (bwd.barrier_counter)
        for (int64_t i = first; i < octets; i += step) bwd.barrier_counter[i] = 0;
}

__global__ void __launch_bounds__(WARPS * 32, 1) state_rows_kernel(const __grid_constant__ StateRows args) {
    const gru_cuda_state_rows &rows = args.rows;
    const gru_cuda_backward_sequence &bwd = rows.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    if (rows.begins) begin_backward(bwd);
    if (!rows.rows[blockIdx.z]) return;
    for_row_numbers(seq, rows.s, rows.steps, rows.padding, [&](int64_t i, const RowNumber &at) {
        store_operand(args.compute_type, rows.rows[blockIdx.z], i,
                      at.exists ? reserved_state(seq, at) : 0.0f);
    });
}

/* ---- r h ---- */

struct ResetRows {
    gru_cuda_reset_rows rows;
    gru_cuda_compute_type compute_type;
};

/* a or c of the reset gate, bias included. */
GRU_DEVICE float reset_side(const gru_cuda_sequence &seq, const gru_cuda_input &input, int64_t offset,
                            const RowNumber &at) {
    const Output out = {at.n, at.unit, true, true, false, row_time(seq, row_length(seq, at.n), at.s, at.n)};
    gru_cuda_input moved = input;
    if (offset != 0) moved.data = static_cast<const float *>(input.data) + offset;
    return input_side(input, out, GATE_R, projected_at(moved, out, GATE_R));
}

__global__ void __launch_bounds__(WARPS * 32, 1) reset_rows_kernel(const __grid_constant__ ResetRows args) {
    const gru_cuda_reset_rows &rows = args.rows;
    const int z = int(blockIdx.z);
    const gru_cuda_sequence &seq = rows.forward[z];
    for_row_numbers(seq, rows.s, rows.steps, rows.padding, [&](int64_t i, const RowNumber &at) {
        float value = 0.0f;
        if (at.exists) {
            const int64_t later = at.s - rows.s; /* projected input that has a time_stride is found by time */
            const float v =
                reset_side(seq, rows.input[z], rows.input[z].time_stride ? 0 : later * rows.input_step[z],
                           at) +
                reset_side(seq, rows.recurrent[z], later * seq.N * rows.recurrent[z].batch_stride, at);
            value = (args.compute_type == GRU_CUDA_F32 ? gate<F32>(seq, v) : gate<Bf16>(seq, v)) *
                    reserved_state(seq, at);
        }
        store_operand(args.compute_type, rows.rows[z], i, value);
    });
}

/* ---- attention ---- */

__global__ void __launch_bounds__(WARPS * 32, 1)
    attention_sums_kernel(const __grid_constant__ gru_cuda_attention_sums args) {
    const gru_cuda_sequence &seq = args.forward;
    const int64_t rows = args.steps * seq.N, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; row < rows; row += step) {
        const int n = int(row % seq.N);
        const int64_t s = args.s + row / seq.N, length = row_length(seq, n);
        const int64_t t = row_time(seq, length, s, n);
        float sum = 0.0f;
        if (t < 0) continue; /* a ragged batch has no row for an absent step */
        if (s < length)
            for (int octet = 0; octet < (seq.H + 7) / 8; octet++)
                sum += args.octets[row * seq.octets + octet];
        static_cast<float *>(args.dattention.data)[view_index(args.dattention.time_stride,
                                                              args.dattention.batch_stride, t, n)] = sum;
    }
}

/* ---- dx ---- */

__global__ void __launch_bounds__(WARPS * 32, 1)
    scatter_kernel(const __grid_constant__ gru_cuda_scatter args) {
    const gru_cuda_sequence &seq = args.forward;
    const GridStride loop = grid_stride(args.steps * seq.N, args.inputs);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, k = i % loop.per_row * 32 + threadIdx.x % 32;
        if (k >= args.inputs) continue;
        const int n = int(row % seq.N);
        const int64_t s = args.s + row / seq.N, length = row_length(seq, n);
        const int64_t t = row_time(seq, length, s, n);
        if (t < 0) continue;
        store_number(args.dx.data, seq.io_type,
                     view_index(args.dx.time_stride, args.dx.batch_stride, t, n) + k,
                     s < length ? args.rows[row * args.pitch + k] : 0.0f);
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_state_rows(gru_cuda_compute_type compute_type,
                                                  const gru_cuda_state_rows *rows, cudaStream_t stream) {
    const gru_cuda_sequence &seq = rows->sequence[0].forward;
    const int64_t states = rows->rows[0] ? rows->steps * seq.N + rows->padding : 0;
    return start(state_rows_kernel,
                 grid_stride_launch(states > seq.N ? states : seq.N, seq.octets * 8, rows->directions),
                 StateRows{*rows, compute_type}, stream);
}

extern "C" cudaError_t gru_cuda_launch_reset_rows(gru_cuda_compute_type compute_type,
                                                  const gru_cuda_reset_rows *rows, cudaStream_t stream) {
    const gru_cuda_sequence &seq = rows->forward[0];
    return start(reset_rows_kernel,
                 grid_stride_launch(rows->steps * seq.N + rows->padding, seq.octets * 8, rows->directions),
                 ResetRows{*rows, compute_type}, stream);
}

extern "C" cudaError_t gru_cuda_launch_attention_sums(const gru_cuda_attention_sums *sums,
                                                      cudaStream_t stream) {
    return start(attention_sums_kernel, grid_stride_launch((sums->steps * sums->forward.N + 31) / 32, 32, 1),
                 *sums, stream);
}

extern "C" cudaError_t gru_cuda_launch_scatter(const gru_cuda_scatter *scatter, cudaStream_t stream) {
    return start(scatter_kernel, grid_stride_launch(scatter->steps * scatter->forward.N, scatter->inputs, 1),
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
