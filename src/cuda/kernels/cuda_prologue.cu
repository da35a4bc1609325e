/* cuda_prologue.cu: what comes before the products of a call: states from where the caller keeps them to where steps read
 * them, tails and counters zeroed, lengths and slots looked at; and rows of x as the projection reads them. */
#include "cuda_grid_stride.cuh"
#include "cuda_device_error.cuh"
#include "cuda_output.cuh"

namespace {

GRU_DEVICE void look_at_row(const gru_cuda_prologue &p, const gru_cuda_sequence &q, const int32_t *h0_slots,
                            int n) {
    const auto outside = [](int64_t value, int64_t limit) { return value < 0 || value > limit; };
    if (q.lengths && outside(q.lengths[n], q.T))
        report(p.device_error, GRU_CUDA_BAD_LENGTH, n, q.lengths[n], q.T);
    const int64_t last = int64_t(q.slot_count) - 1;
    if (h0_slots && outside(h0_slots[n], last))
        report(p.device_error, GRU_CUDA_BAD_H0_SLOT, n, h0_slots[n], last);
    if (q.hT_slots && outside(q.hT_slots[n], last))
        report(p.device_error, GRU_CUDA_BAD_HT_SLOT, n, q.hT_slots[n], last);
}

/* The state that enters the first step. */
GRU_DEVICE float first_state(const gru_cuda_prologue &p, const gru_cuda_sequence &q, int z, int n, int unit) {
    if (segment_starts(q, row_length(q, n), 0, n))
        return q.h_restart ? load_number(q.h_restart, q.state_type, int64_t(n) * q.H + unit) : 0.0f;
    const int32_t *slots = p.h0_slots[z];
    const int64_t row = slots ? slots[n] : n;
    if (!p.h0[z] || (slots && (row < 0 || row >= q.slot_count))) return 0.0f;
    return load_number(p.h0[z], q.state_type, row * p.h0_stride[z] + unit);
}

template <class M>
GRU_DEVICE void prepare_states(const gru_cuda_prologue &p, const gru_cuda_sequence &q, int z) {
    const Pieces pieces = pieces_of((q.N + 7) / 8 * 8, int64_t(q.groups) * GROUP<M>);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int n = int(i / pieces.each), unit = int(i % pieces.each) * 32 + int(threadIdx.x) % 32;
        if (unit == 0 && n % 8 == 0 && q.barrier_counter) q.barrier_counter[n / 8] = 0;
        if (unit == 0 && n < q.N) look_at_row(p, q, p.h0_slots[z], n);
        if (unit >= q.groups * GROUP<M>) continue;
        const bool exists = n < q.N && unit < q.H;
        const float h = exists ? first_state(p, q, z, n, unit) : 0.0f;
        const int64_t at = tile_index<M>(n, unit, q.groups);
        M::store(q.exchange[0], at, h);
        M::store(q.exchange[1], at, 0.0f);
        if (q.exchange_reset) M::store(q.exchange_reset, at, 0.0f);
        if (exists) q.state[int64_t(n) * q.octets * 8 + unit] = h;
    }
}

template <class M>
GRU_DEVICE void gather_rows(const gru_cuda_prologue &p, const gru_cuda_sequence &q, int z) {
    const int64_t rows = p.steps * q.N;
    const Pieces pieces = pieces_of(rows + p.padding, p.pitch[z]);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int64_t row = i / pieces.each, k = i % pieces.each * 32 + threadIdx.x % 32;
        if (k >= p.pitch[z]) continue;
        float value = 0.0f;
        if (row < rows && k < p.inputs[z]) {
            const int n = int(row % q.N);
            const int64_t s = p.s + row / q.N, length = row_length(q, n);
            if (s < length)
                value = load_number(
                    p.x[z].data, q.io_type,
                    view_index(p.x[z].time_stride, p.x[z].batch_stride, step_time(q, length, s), n) + k);
        }
        M::store(p.rows[z], row * p.pitch[z] + k, value);
    }
}

template <class M>
__global__ void __launch_bounds__(WARPS * 32, 1)
    prologue_kernel(const __grid_constant__ gru_cuda_prologue p) {
    const int z = int(blockIdx.z);
    const gru_cuda_sequence &q = p.sequence[z];
    if (p.begins) {
        prepare_states<M>(p, q, z);
        if (p.reserve[z] && blockIdx.x == 0 && threadIdx.x < 8)
            static_cast<uint64_t *>(p.reserve[z])[threadIdx.x] = p.reserve_header[z][threadIdx.x];
    }
    if (p.rows[z]) gather_rows<M>(p, q, z);
}

struct Addition {
    int32_t type;
    int64_t rows, N, row;
    gru_view to;
    gru_const_view from;
};

__global__ void __launch_bounds__(WARPS * 32, 1) add_kernel(const __grid_constant__ Addition a) {
    const Pieces pieces = pieces_of(a.rows, a.row);
    for (int64_t i = first_piece(); i < pieces.count; i += piece_step()) {
        const int64_t row = i / pieces.each, k = i % pieces.each * 32 + threadIdx.x % 32;
        if (k >= a.row) continue;
        const int64_t t = row / a.N;
        const int n = int(row % a.N);
        const int64_t to = view_index(a.to.time_stride, a.to.batch_stride, t, n) + k;
        const int64_t from = view_index(a.from.time_stride, a.from.batch_stride, t, n) + k;
        store_number(a.to.data, a.type, to,
                     load_number(a.to.data, a.type, to) + load_number(a.from.data, a.type, from));
    }
}

template <class Visit> cudaError_t visit_prologue(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit(prologue_kernel<decltype(m)>); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_prologue(gru_cuda_compute_type compute_type,
                                                const gru_cuda_prologue *p, cudaStream_t stream) {
    const gru_cuda_sequence &q = p->sequence[0];
    const int64_t states = p->begins ? (q.N + 7) / 8 * 8 : 0,
                  gathered = p->rows[0] ? p->steps * q.N + p->padding : 0;
    const int64_t width = p->pitch[0] > q.octets * 8 ? p->pitch[0] : q.octets * 8;
    return visit_prologue(compute_type, [&](void (*kernel)(gru_cuda_prologue)) {
        return start(kernel, launch_for(states > gathered ? states : gathered, width, p->directions), *p,
                     stream);
    });
}

extern "C" cudaError_t gru_cuda_load_prologue(gru_cuda_compute_type compute_type) {
    return visit_prologue(compute_type, [](void (*kernel)(gru_cuda_prologue)) { return load(kernel, 0); });
}

extern "C" cudaError_t gru_cuda_launch_add(int32_t type, int64_t T, int64_t N, int64_t row, gru_view to,
                                           gru_const_view from, cudaStream_t stream) {
    return start(add_kernel, launch_for(T * N, row, 1), Addition{type, T * N, N, row, to, from}, stream);
}

extern "C" cudaError_t gru_cuda_load_add(void) {
    return load(add_kernel, 0);
}
