/* cuda_prologue.cu: the kernel before the steps of a call: copies initial states to where steps read them, zeroes tails and
 * counters, checks lengths and slots, and gathers rows of x for the projection. Also merges the two directions of a layer. */
#include "cuda_first_state.cuh"
#include "cuda_grid_stride.cuh"

namespace {

/* One kernel serves all compute types, because it is memory-bound. */
struct Prologue {
    gru_cuda_prologue args;
    gru_cuda_compute_type compute_type;
    int32_t group; /* numbers of k in one row of a fragment tile */
};

GRU_DEVICE void prepare_states(const Prologue &prologue, const gru_cuda_sequence &seq, int z) {
    const gru_cuda_prologue &args = prologue.args;
    const int group = prologue.group;
    const GridStride loop = grid_stride((seq.N + 7) / 8 * 8, int64_t(seq.groups) * group);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int n = int(i / loop.per_row), unit = int(i % loop.per_row) * 32 + int(threadIdx.x) % 32;
        if (unit == 0 && n % 8 == 0 && seq.barrier_counter) seq.barrier_counter[n / 8] = 0;
        if (unit == 0 && n < seq.N) check_row(args.device_error, seq, args.h0_slots[z], n);
        if (unit >= seq.groups * group) continue;
        const bool exists = n < seq.N && unit < seq.H;
        const float h =
            exists ? state_at(seq, first_state(seq, args.h0[z], args.h0_stride[z], args.h0_slots[z], n), unit)
                   : 0.0f;
        const int64_t tile = int64_t(n / GRU_CUDA_OCTET) * seq.groups + unit / group;
        const int64_t at = (tile * GRU_CUDA_OCTET + n % GRU_CUDA_OCTET) * group + unit % group;
        store_operand(prologue.compute_type, seq.exchange[0], at, h);
        store_operand(prologue.compute_type, seq.exchange[1], at, 0.0f);
        if (seq.exchange_reset) store_operand(prologue.compute_type, seq.exchange_reset, at, 0.0f);
        if (exists) seq.state[int64_t(n) * seq.octets * 8 + unit] = h;
    }
}

GRU_DEVICE void gather_rows(const Prologue &prologue, const gru_cuda_sequence &seq, int z) {
    const gru_cuda_prologue &args = prologue.args;
    const int width = args.as_it_lies ? 1 : seq.N;
    const int64_t rows = args.steps * width;
    const GridStride loop = grid_stride(rows + args.padding, args.pitch[z]);
    for (int64_t i = grid_first(); i < loop.count; i += grid_step()) {
        const int64_t row = i / loop.per_row, k = i % loop.per_row * 32 + threadIdx.x % 32;
        if (k >= args.pitch[z]) continue;
        float value = 0.0f;
        if (row < rows && k < args.inputs[z]) {
            const int n = int(row % width);
            const int64_t s = args.s + row / width, length = args.as_it_lies ? rows : row_length(seq, n);
            if (s < length)
                value = load_number(args.x[z].data, seq.io_type,
                                    view_index(args.x[z].time_stride, args.x[z].batch_stride,
                                               args.as_it_lies ? s : row_time(seq, length, s, n), n) +
                                        k);
        }
        store_operand(prologue.compute_type, args.rows[z], row * args.pitch[z] + k, value);
    }
}

__global__ void __launch_bounds__(WARPS * 32, 1) prologue_kernel(const __grid_constant__ Prologue prologue) {
    const int z = int(blockIdx.z);
    const gru_cuda_prologue &args = prologue.args;
    const gru_cuda_sequence &seq = args.sequence[z];
    if (args.begins) {
        prepare_states(prologue, seq, z);
        if (args.reserve[z] && blockIdx.x == 0 && threadIdx.x < 8)
            static_cast<uint64_t *>(args.reserve[z])[threadIdx.x] = args.reserve_header[z][threadIdx.x];
    }
    if (args.rows[z]) gather_rows(prologue, seq, z);
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

} // namespace

extern "C" cudaError_t gru_cuda_launch_prologue(gru_cuda_compute_type compute_type,
                                                const gru_cuda_prologue *args, cudaStream_t stream) {
    const gru_cuda_sequence &seq = args->sequence[0];
    const int64_t states = args->begins ? (seq.N + 7) / 8 * 8 : 0,
                  gathered = args->rows[0] ? args->steps * (args->as_it_lies ? 1 : seq.N) + args->padding : 0;
    const int64_t width = args->pitch[0] > seq.octets * 8 ? args->pitch[0] : seq.octets * 8;
    const bool wide = compute_type == GRU_CUDA_F32 || compute_type == GRU_CUDA_TF32;
    const Prologue prologue = {*args, compute_type, wide ? GROUP<F32> : GROUP<F16>};
    return start(prologue_kernel,
                 grid_stride_launch(states > gathered ? states : gathered, width, args->directions), prologue,
                 stream);
}

extern "C" cudaError_t gru_cuda_load_prologue(gru_cuda_compute_type compute_type) {
    (void)compute_type;
    return load(prologue_kernel, 0);
}

extern "C" cudaError_t gru_cuda_launch_combine(const gru_combination *combination, cudaStream_t stream) {
    return start(combine_kernel, grid_stride_launch(combination->T * combination->N, combination->row, 1),
                 *combination, stream);
}

extern "C" cudaError_t gru_cuda_load_combine(void) {
    return load(combine_kernel, 0);
}
