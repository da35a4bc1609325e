/* cuda_streaming.cu: a call of one step of up to eight sequences in one launch: a block multiplies both x and h with the weights
 * of an octet of units, and its epilogue makes the cell.
 *
 * K is I + H: the groups of x, then those of h, in eight slices, one for each warp, whose sums are added in ascending order. So
 * the bits of a row depend on I and H alone, and are others than those of a step behind a projection. W is read as it lies for
 * cuBLASLt: the eight rows of a group are 64 bytes each, so no second copy of it is needed. */
#include <cooperative_groups.h>

#include "cuda_epilogue.cuh"
#include "cuda_first_state.cuh"
#include "cuda_launch.cuh"
#include "cuda_mainloop_small.cuh"
#include "cuda_streaming_kernels.h"

namespace {

/* The sums of a unit and a row: of r and z over x and h, of n over each. */
enum { SUM_R = GATE_R, SUM_Z = GATE_Z, SUM_A_N, SUM_C_N, STREAMING_SUMS };
using StreamingSums = PartialSums<8, 8, STREAMING_SUMS>;

/* ---- operands in shared memory: [group of x, then of h][row][64 bytes] ---- */

/* A number of f32, f16 or bf16 as it is stored. It is converted apart from the load, because a conversion under a condition
 * would wait, and so the loads of a thread would wait for each other. */
template <int TYPE> struct Stored { using Bits = unsigned short; };
template <> struct Stored<GRU_F32> { using Bits = uint32_t; };
template <int TYPE> GRU_DEVICE float number_of(typename Stored<TYPE>::Bits bits) {
    if constexpr (TYPE == GRU_F32)
        return __uint_as_float(bits);
    else
        return TYPE == GRU_F16 ? __half2float(__ushort_as_half(bits))
                               : __bfloat162float(__ushort_as_bfloat16(bits));
}

/* A thread's numbers of a row: every apart-th of width, from first on. apart and width are multiples of GROUP<M>. */
struct Share {
    int first, apart, width;
};

/* Stages count numbers of a row, and zeros behind them. to: where the first number of the thread goes; rows are N. */
template <class M, int TYPE>
GRU_DEVICE void stage_row(const void *data, int64_t start, int count, Share share, void *operands, int to,
                          int N) {
    constexpr int LOADS = 8; /* on their way at once */
    const auto *numbers = static_cast<const typename Stored<TYPE>::Bits *>(data) + (start + share.first);
    for (int k = share.first; k < share.width; k += LOADS * share.apart) {
        typename Stored<TYPE>::Bits bits[LOADS] = {};
        GRU_UNROLL for (int i = 0; i < LOADS; i++) if (k + i * share.apart < count) bits[i] =
            numbers[i * share.apart];
        GRU_UNROLL for (int i = 0; i < LOADS; i++) if (k + i * share.apart < share.width)
            M::store(operands, to + i * share.apart * N, number_of<TYPE>(bits[i]));
        numbers += LOADS * share.apart;
        to += LOADS * share.apart * N;
    }
}
template <class M>
GRU_DEVICE void stage_row(int32_t type, const void *data, int64_t start, int count, Share share,
                          void *operands, int to, int N) {
    if (type == GRU_F32)
        stage_row<M, GRU_F32>(data, start, count, share, operands, to, N);
    else if (type == GRU_F16)
        stage_row<M, GRU_F16>(data, start, count, share, operands, to, N);
    else
        stage_row<M, GRU_BF16>(data, start, count, share, operands, to, N);
}

/* The warps divide the rows among themselves, and the numbers of a row where there are fewer rows than warps. x of a row that
 * has no step is not read. */
template <class M>
GRU_DEVICE void stage_operands(const gru_cuda_sequence &seq, const gru_cuda_streaming_side &side,
                               void *operands) {
    const int N = seq.N, each = SLICES / N, warp = int(threadIdx.x) / 32, n = warp / each;
    if (n >= N) return;
    const StateRow state = first_state(seq, side.h0, side.h0_stride, side.h0_slots, n);
    const int inputs = side.groups * GROUP<M>;
    Share share = {warp % each * 32 + int(threadIdx.x) % 32, each * 32, inputs};
    const int to = (share.first / GROUP<M> * N + n) * GROUP<M> + share.first % GROUP<M>;
    stage_row<M>(seq.io_type, side.x.data, n * side.x.batch_stride, row_length(seq, n) > 0 ? side.inputs : 0,
                 share, operands, to, N);
    share.width = seq.groups * GROUP<M>;
    stage_row<M>(seq.state_type, state.data, state.first, state.data ? seq.H : 0, share, operands,
                 inputs * N + to, N);
}

/* ---- the main loop ---- */

/* A warp's slice of the groups, for an octet of units and all rows. */
template <class M> struct StreamingLoop {
    static constexpr int AHEAD = 4; /* groups whose weights are on their way */
    static constexpr int PER_LANE = M::TENSOR ? 2 : 8;
    const uint4 *W, *R; /* this lane's first word of the octet */
    int inputs, line, rows, lane;
    Slice slice;
    uint4 word[AHEAD][GATES];
    float sum[STREAMING_SUMS][M::TENSOR ? 4 : 8];

    /* Loads the first weights. */
    GRU_DEVICE StreamingLoop(const gru_cuda_sequence &seq, const gru_cuda_streaming_side &side, int octet)
        : inputs(side.groups), line(side.line), rows(seq.N), lane(int(threadIdx.x) % 32),
          slice(slice_of(int(threadIdx.x) / 32, {0, side.groups + seq.groups})) {
        W = static_cast<const uint4 *>(side.W) + (int64_t(octet) * (GATES * 8) + lane / 4) * line + lane % 4;
        R = static_cast<const uint4 *>(seq.R) + int64_t(octet) * seq.groups * (GATES * 32) + lane;
        GRU_UNROLL for (int s = 0; s < STREAMING_SUMS; s++)
            GRU_UNROLL for (int i = 0; i < (M::TENSOR ? 4 : 8); i++) sum[s][i] = 0.0f;
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) fetch(slice.first + i, word[i]);
    }

    /* Words behind a row of W, and groups behind the slice, are zeros. */
    GRU_DEVICE void fetch(int k, uint4 (&w)[GATES]) const {
        const bool recurrent = k >= inputs;
        const uint4 *from = recurrent ? R + (k - inputs) * (GATES * 32) : W + k * 4;
        const int apart = recurrent ? 32 : 8 * line;
        const bool exists = k < slice.last && (recurrent || k * 4 + lane % 4 < line);
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            w[g] = make_uint4(0, 0, 0, 0);
            if (exists) w[g] = load_stream(from + g * apart);
        }
    }

    /* One group. SUM_N: the sum of the candidate. */
    template <int SUM_N> GRU_DEVICE void multiply(const uint4 (&w)[GATES], const uint4 *operand) {
        if constexpr (M::TENSOR) {
            const uint4 b = lane / 4 < rows ? operand[lane] : make_uint4(0, 0, 0, 0);
            GRU_UNROLL for (int g = 0; g < GATES; g++) {
                float(&s)[4] = sum[g == GATE_N ? SUM_N : g];
                M::mma(s, {w[g].x, 0, w[g].y, 0}, {b.x, b.y});
                M::mma(s, {w[g].z, 0, w[g].w, 0}, {b.z, b.w});
            }
        } else {
            GRU_UNROLL for (int row = 0; row < 8; row++) {
                if (row >= rows) break;
                const uint4 b = operand[row * 4 + lane % 4];
                GRU_UNROLL for (int g = 0; g < GATES; g++)
                    Mainloop<M, 1, 1, 0, 1>::add_products(w[g], b, sum[g == GATE_N ? SUM_N : g][row]);
            }
        }
    }

    GRU_DEVICE void run(const uint4 *operands) {
        for (int k = slice.first; k < slice.last; k += AHEAD) GRU_UNROLL for (int i = 0; i < AHEAD; i++) {
                if (k + i >= slice.last) break;
                const uint4 *operand = operands + (k + i) * rows * 4;
                if (k + i < inputs)
                    multiply<SUM_A_N>(word[i], operand);
                else
                    multiply<SUM_C_N>(word[i], operand);
                fetch(k + i + AHEAD, word[i]);
            }
    }

    /* Stores this warp's sums. A lane of an mma holds unit lane / 4 of rows 2 (lane % 4) and the next. Without tensor cores
     * the four lanes of a unit hold every fourth 16 bytes of k, which are added here. */
    GRU_DEVICE void store(float *sums) const {
        float *warp_sums = sums + threadIdx.x / 32 * StreamingSums::SLICE;
        GRU_UNROLL for (int s = 0; s < STREAMING_SUMS; s++) GRU_UNROLL for (int i = 0; i < PER_LANE; i++) {
            float one = sum[s][i];
            if constexpr (!M::TENSOR) {
                one += __shfl_xor_sync(0xffffffffu, one, 1);
                one += __shfl_xor_sync(0xffffffffu, one, 2);
            }
            if (M::TENSOR || lane % 4 == i % 4)
                warp_sums[StreamingSums::at(s, M::TENSOR ? lane % 4 * 2 + i : i, lane / 4)] = one;
        }
    }
};

/* ---- the kernel ---- */

/* Grid: octets of units, 1, directions. */
template <class M>
__global__ void __launch_bounds__(STEP_THREADS, 2)
    streaming_kernel(const __grid_constant__ gru_cuda_streaming_args args) {
    GRU_DYNAMIC_SHARED(float, sums);
    void *const operands = sums + StreamingSums::BYTES / sizeof(float);
    const int z = int(blockIdx.z), octet = int(blockIdx.x), row = int(threadIdx.x) / 8;
    const gru_cuda_sequence &seq = args.step.sequence[z];
    const gru_cuda_streaming_side &side = args.side[z];
    StreamingLoop<M> loop(seq, side, octet);
    stage_operands<M>(seq, side, operands);
    if (octet == 0 && int(threadIdx.x) < seq.N)
        check_row(args.device_error, seq, side.h0_slots, int(threadIdx.x));
    const Output out = output_at(seq, 0, row < 8 ? row : seq.N, octet * 8 + int(threadIdx.x) % 8);
    float a[GATES] = {}, c[GATES] = {}, h = 0.0f;
    if (out.exists) {
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            a[g] = side.bW[packed_unit(out.unit, g)];
            c[g] = recurrent_bias(seq, out.unit, g);
        }
        h = state_at(seq, first_state(seq, side.h0, side.h0_stride, side.h0_slots, out.n), out.unit);
    }
    GRU_FAULT_POINT(operands_staged) __syncthreads(); /* the operands are there */
    loop.run(static_cast<const uint4 *>(operands));
    loop.store(sums);
    GRU_FAULT_POINT(slices_stored) __syncthreads(); /* the sums of all warps are stored */
    if (args.in_place) {
        GRU_FAULT_POINT(states_read) cooperative_groups::this_grid().sync(); /* all blocks have read h0 */
    }
    if (!out.exists) return;
    GRU_UNROLL for (int g = 0; g < GATES; g++) {
        const float total = StreamingSums::total(sums, g == GATE_N ? SUM_C_N : g, row, out.unit % 8);
        c[g] += total;
    }
    a[GATE_N] += StreamingSums::total(sums, SUM_A_N, row, out.unit % 8);
    epilogue_forward<M, GRU_CUDA_ALL_GATES>(args.step, seq, out, a, c, h);
}

template <class Visit> cudaError_t visit_streaming(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit(streaming_kernel<decltype(m)>); });
}

int64_t streaming_bytes(int32_t groups, int32_t N) {
    return StreamingSums::BYTES + int64_t(groups) * N * GRU_CUDA_GROUP_BYTES;
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_streaming(gru_cuda_compute_type compute_type,
                                                 const gru_cuda_streaming_args *args, cudaStream_t stream) {
    const gru_cuda_sequence &seq = args->step.sequence[0];
    Launch launch;
    launch.grid = dim3(blocks_for(seq.H, 8), 1, unsigned(args->step.directions));
    launch.block = dim3(STEP_THREADS);
    launch.shared_bytes = int(streaming_bytes(args->side[0].groups + seq.groups, seq.N));
    launch.cooperative = args->in_place != 0;
    return visit_streaming(compute_type, [&](auto kernel) { return start(kernel, launch, *args, stream); });
}

extern "C" cudaError_t gru_cuda_load_streaming(gru_cuda_compute_type compute_type, int32_t groups,
                                               int32_t blocks[GRU_CUDA_STREAMING_ROWS]) {
    int device, multiprocessors, most;
    cudaError_t error = cudaGetDevice(&device);
    if (!error) error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (!error) error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error != cudaSuccess) return error;
    return visit_streaming(compute_type, [&](auto kernel) {
        cudaError_t failed = load(kernel, most); /* one limit for the layers of all sizes */
        for (int32_t N = 1; N <= GRU_CUDA_STREAMING_ROWS && !failed; N++) {
            const int64_t bytes = streaming_bytes(groups, N);
            int each = 0;
            if (bytes <= most)
                failed =
                    cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, STEP_THREADS, size_t(bytes));
            blocks[N - 1] = each * multiprocessors;
        }
        return failed;
    });
}
