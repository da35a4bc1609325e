/* cuda_prologue.cu: the kernel before the steps of a call: copies initial states to where steps read them, zeroes tails and
 * counters, checks lengths and slots, and gathers rows of x for the projection. Also merges the two directions of a layer. */
#include "cuda_grid_stride.cuh"
#include "cuda_device_error.cuh"
#include "cuda_output.cuh"

namespace {

GRU_DEVICE void check_row(const gru_cuda_prologue &args, const gru_cuda_sequence &seq,
                          const int32_t *h0_slots, int n) {
    const auto outside = [](int64_t value, int64_t limit) { return value < 0 || value > limit; };
    if (seq.lengths && !seq.times && outside(seq.lengths[n], seq.T))
        record_error(args.device_error, GRU_CUDA_BAD_LENGTH, n, seq.lengths[n], seq.T);
    const int64_t last = int64_t(seq.slot_count) - 1;
    if (h0_slots && outside(h0_slots[n], last))
        record_error(args.device_error, GRU_CUDA_BAD_H0_SLOT, n, h0_slots[n], last);
    if (seq.hT_slots && outside(seq.hT_slots[n], last))
        record_error(args.device_error, GRU_CUDA_BAD_HT_SLOT, n, seq.hT_slots[n], last);
}

/* The state that enters the first step. */
GRU_DEVICE float first_state(const gru_cuda_prologue &args, const gru_cuda_sequence &seq, int z, int n,
                             int unit) {
    if (segment_starts(seq, row_length(seq, n), 0, n))
        return seq.h_restart ? load_number(seq.h_restart, seq.state_type, int64_t(n) * seq.H + unit) : 0.0f;
    const int32_t *slots = args.h0_slots[z];
    const int64_t row = slots ? slots[n] : n;
    if (!args.h0[z] || (slots && (row < 0 || row >= seq.slot_count))) return 0.0f;
    return load_number(args.h0[z], seq.state_type, row * args.h0_stride[z] + unit);
}

template <class M>
GRU_DEVICE void prepare_states(const gru_cuda_prologue &args, const gru_cuda_sequence &seq, int z) {
    const GridStride loop = grid_stride((seq.N + 7) / 8 * 8, int64_t(seq.groups) * GROUP<M>);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int n = int(i / loop.per_row), unit = int(i % loop.per_row) * 32 + int(threadIdx.x) % 32;
        if (unit == 0 && n % 8 == 0 && seq.barrier_counter) seq.barrier_counter[n / 8] = 0;
        if (unit == 0 && n < seq.N) check_row(args, seq, args.h0_slots[z], n);
        if (unit >= seq.groups * GROUP<M>) continue;
        const bool exists = n < seq.N && unit < seq.H;
        const float h = exists ? first_state(args, seq, z, n, unit) : 0.0f;
        const int64_t at = fragment_index<M>(n, unit, seq.groups);
        M::store(seq.exchange[0], at, h);
        M::store(seq.exchange[1], at, 0.0f);
        if (seq.exchange_reset) M::store(seq.exchange_reset, at, 0.0f);
        if (exists) seq.state[int64_t(n) * seq.octets * 8 + unit] = h;
    }
}

template <class M>
GRU_DEVICE void gather_rows(const gru_cuda_prologue &args, const gru_cuda_sequence &seq, int z) {
    const int64_t rows = args.steps * seq.N;
    const GridStride loop = grid_stride(rows + args.padding, args.pitch[z]);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, k = i % loop.per_row * 32 + threadIdx.x % 32;
        if (k >= args.pitch[z]) continue;
        float value = 0.0f;
        if (row < rows && k < args.inputs[z]) {
            const int n = int(row % seq.N);
            const int64_t s = args.s + row / seq.N, length = row_length(seq, n);
            if (s < length)
                value = load_number(args.x[z].data, seq.io_type,
                                    view_index(args.x[z].time_stride, args.x[z].batch_stride,
                                               row_time(seq, length, s, n), n) +
                                        k);
        }
        M::store(args.rows[z], row * args.pitch[z] + k, value);
    }
}

template <class M>
__global__ void __launch_bounds__(WARPS * 32, 1)
    prologue_kernel(const __grid_constant__ gru_cuda_prologue args) {
    const int z = int(blockIdx.z);
    const gru_cuda_sequence &seq = args.sequence[z];
    if (args.begins) {
        prepare_states<M>(args, seq, z);
        if (args.reserve[z] && blockIdx.x == 0 && threadIdx.x < 8)
            static_cast<uint64_t *>(args.reserve[z])[threadIdx.x] = args.reserve_header[z][threadIdx.x];
    }
    if (args.rows[z]) gather_rows<M>(args, seq, z);
}

GRU_DEVICE float combined(gru_operation operation, float a, float b) {
    if (operation == GRU_OPERATION_ADD) return a + b;
    if (operation == GRU_OPERATION_MULTIPLY) return a * b;
    return (operation == GRU_OPERATION_AVERAGE ? a + b : a) * 0.5f;
}

__global__ void __launch_bounds__(WARPS * 32, 1)
    combine_kernel(const __grid_constant__ gru_combination args) {
    const GridStride loop = grid_stride(args.T * args.N, args.row);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, k = i % loop.per_row * 32 + threadIdx.x % 32;
        if (k >= args.row) continue;
        const int64_t t = row / args.N;
        const int n = int(row % args.N);
        const auto at = [&](const auto &view) {
            return view_index(view.time_stride, view.batch_stride, t, n) + k;
        };
        const float a = load_number(args.a.data, args.type, at(args.a));
        const float b = args.b.data ? load_number(args.b.data, args.type, at(args.b)) : 0.0f;
        store_number(args.to.data, args.type, at(args.to), combined(args.operation, a, b));
    }
}

template <class Visit> cudaError_t visit_prologue(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit(prologue_kernel<decltype(m)>); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_prologue(gru_cuda_compute_type compute_type,
                                                const gru_cuda_prologue *args, cudaStream_t stream) {
    const gru_cuda_sequence &seq = args->sequence[0];
    const int64_t states = args->begins ? (seq.N + 7) / 8 * 8 : 0,
                  gathered = args->rows[0] ? args->steps * seq.N + args->padding : 0;
    const int64_t width = args->pitch[0] > seq.octets * 8 ? args->pitch[0] : seq.octets * 8;
    return visit_prologue(compute_type, [&](void (*kernel)(gru_cuda_prologue)) {
        return start(kernel,
                     grid_stride_launch(states > gathered ? states : gathered, width, args->directions),
                     *args, stream);
    });
}

extern "C" cudaError_t gru_cuda_load_prologue(gru_cuda_compute_type compute_type) {
    return visit_prologue(compute_type, [](void (*kernel)(gru_cuda_prologue)) { return load(kernel, 0); });
}

extern "C" cudaError_t gru_cuda_launch_combine(const gru_combination *combination, cudaStream_t stream) {
    return start(combine_kernel, grid_stride_launch(combination->T * combination->N, combination->row, 1),
                 *combination, stream);
}

extern "C" cudaError_t gru_cuda_load_combine(void) {
    return load(combine_kernel, 0);
}
