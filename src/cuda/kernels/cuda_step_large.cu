/* cuda_step_large.cu: one step of a large batch, reset AFTER and ALL, by block tiles of 64 units x 64 or 128 rows. The blocks
 * of a cluster split k, and add their partial sums through distributed shared memory in the order of their ranks. */
#include "cuda_epilogue.cuh"
#include "cuda_epilogue_default.cuh"
#include "cuda_launch_large.cuh"

namespace {

/* Outputs of a thread whose inputs are loaded together. The epilogue stores to memory, and the compiler moves no load in
 * front of a store. */
constexpr int IN_FLIGHT = 4;

/* The epilogue of this block's share of the rows. A thread has one unit of every fourth row. */
template <class M, int ROWS>
GRU_DEVICE void epilogue_rows(const gru_cuda_step_args &step, const gru_cuda_sequence &seq,
                              const gru_cuda_input &input, const BlockCoord &coord, float *sums, int rank,
                              int split) {
    constexpr int STRIDE = LARGE_THREADS / LARGE_UNITS;
    const int unit = int(threadIdx.x) % LARGE_UNITS, last_row = (rank + 1) * (ROWS / split);
    for (int first = rank * (ROWS / split) + int(threadIdx.x) / LARGE_UNITS; first < last_row;
         first += IN_FLIGHT * STRIDE) {
        Output out[IN_FLIGHT];
        float a[IN_FLIGHT][GATES] = {}, h[IN_FLIGHT] = {}, bias[GATES] = {};
        GRU_UNROLL for (int i = 0; i < IN_FLIGHT; i++) {
            const int row = first + i * STRIDE;
            out[i] = output_at(seq, step.s, row < last_row ? coord.row_octet * 8 + row : seq.N,
                               coord.octet * 8 + unit);
            if (out[i].exists) h[i] = entering_state(seq, out[i]);
            GRU_UNROLL for (int g = 0; g < GATES; g++) if (out[i].active) a[i][g] =
                projected_at(input, out[i], g);
        }
        GRU_UNROLL for (int g = 0; g < GATES; g++) if (out[0].exists) bias[g] =
            recurrent_bias(seq, out[0].unit, g);
        GRU_UNROLL for (int i = 0; i < IN_FLIGHT; i++) {
            if (!out[i].exists) continue;
            float c[GATES];
            gather_sums<ROWS, 1>(sums, split, first + i * STRIDE, unit, c);
            GRU_UNROLL for (int g = 0; g < GATES; g++) {
                c[g] += bias[g];
                a[i][g] = input_side(input, out[i], g, a[i][g]);
            }
            epilogue_forward<M, GRU_CUDA_ALL_GATES>(step, seq, out[i], a[i], c, h[i]);
        }
    }
}

/* The default path of the epilogue: the outputs in flight, with their partial sums of all blocks. The first inputs arrive while
 * the block waits for those sums. */
template <class M, int ROWS, int SPLIT> struct DefaultRows {
    using Share = LargeShare<ROWS, 1, SPLIT, SPLIT == 8 ? 2 : 4>;
    static constexpr int APART = Share::APART, BATCH = Share::BATCH;
    DefaultOutput<M> out;
    float a[BATCH][GATES] = {}, h[BATCH] = {};
    int64_t octet; /* operands from a row octet to the next */
    Share share;

    GRU_DEVICE DefaultRows(const gru_cuda_step_args &step, const gru_cuda_sequence &seq,
                           const BlockCoord &coord, int rank)
        : out(step, seq, step.input[blockIdx.z], Share::first_row(coord, rank), Share::first_unit(coord),
              APART),
          octet(int64_t(seq.groups) * 8 * GROUP<M>), share(coord, rank, seq.H, seq.N) {
        load();
    }

    GRU_DEVICE void load() {
        GRU_UNROLL for (int i = 0; i < BATCH; i++) if (share.present(i)) {
            h[i] = __ldcg(out.state + i * out.state_step);
            GRU_UNROLL for (int g = 0; g < GATES; g++) a[i][g] = out.input[i * out.input_step + g * 8];
        }
    }
    GRU_DEVICE void gather(float *sums, float (&c)[BATCH][GATES]) const {
        GRU_UNROLL for (int i = 0; i < BATCH; i++) GRU_UNROLL for (int g = 0; g < GATES; g++) c[i][g] = 0.0f;
        GRU_UNROLL for (int block = 0; block < SPLIT; block++) {
            const float *part = SPLIT == 1 ? sums : cluster_map(sums, unsigned(block));
            GRU_UNROLL for (int i = 0; i < BATCH; i++) GRU_UNROLL for (int g = 0; g < GATES; g++) c[i][g] +=
                part[share.sums_at[i % 2] + (i / 2 * 8 + g * ROWS) * LARGE_UNITS];
        }
    }
    GRU_DEVICE void run(float *sums) {
        for (int batch = 0; batch < Share::COUNT; batch += BATCH) {
            float c[BATCH][GATES], next[BATCH];
            if (batch) load();
            gather(sums, c);
            GRU_UNROLL for (int i = 0; i < BATCH; i++) next[i] = out.next_state(a[i], c[i], h[i]);
            GRU_UNROLL for (int i = 0; i < BATCH; i++) if (share.present(i))
                out.store(i, i / 2 * octet + i % 2 * APART * GROUP<M>, h[i], next[i]);
            share.next_batch();
            out.advance(BATCH, BATCH / 2 * octet);
        }
    }
};

template <class M, int ROWS, int SPLIT>
GRU_DEVICE void default_rows(const gru_cuda_step_args &step, const gru_cuda_sequence &seq,
                             const BlockCoord &coord, float *sums) {
    DefaultRows<M, ROWS, SPLIT> rows(step, seq, coord, int(blockIdx.x) % SPLIT);
    await_sums(SPLIT);
    rows.run(sums);
}

/* Minimum of resident blocks: two of the smaller tensor-core tile, so that the blocks of a step can start before those of the
 * previous step have ended. The other tiles need the registers for their sums. */
template <class M, int ROWS> constexpr int LARGE_MIN_BLOCKS = ROWS <= 64 && M::TENSOR ? 2 : 1;

template <class M, int ROWS>
__global__ void __launch_bounds__(LARGE_THREADS, (LARGE_MIN_BLOCKS<M, ROWS>))
    step_large_kernel(const __grid_constant__ LargeStep<gru_cuda_step_args> args) {
    GRU_DYNAMIC_SHARED(uint4, shared);
    const gru_cuda_step_args &step = args.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z];
    const BlockCoord coord = block_coord<ROWS>(seq, seq.R, seq.exchange[step.s % 2], args.split);
    typename LargeMainloop<M, ROWS, 1>::Type mainloop(coord);
    mainloop.prefetch(coord, shared);
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    float *sums = run_mainloop(mainloop, coord, shared, args.split);
    if (step.default_path && !step.last) {
        visit_split(args.split,
                    [&](auto split) { default_rows<M, ROWS, split.value>(step, seq, coord, sums); });
    } else {
        await_sums(args.split);
        epilogue_rows<M, ROWS>(step, seq, step.input[blockIdx.z], coord, sums, int(blockIdx.x) % args.split,
                               args.split);
    }
    release_sums(args.split);
}

template <class M, class Visit> cudaError_t visit_rows(int32_t batch_octets, Visit visit) {
    if (batch_octets == 8) return visit(step_large_kernel<M, 64>, large_shared_bytes<M, 64, 1>());
    if (batch_octets == 16) return visit(step_large_kernel<M, 128>, large_shared_bytes<M, 128, 1>());
    return cudaErrorInvalidValue; /* no such tile */
}

/* The visit function of cuda_launch_large.cuh for one compute type. */
auto large_kernels(gru_cuda_compute_type compute_type) {
    return [compute_type](int32_t batch_octets, auto then) {
        return dispatch_compute_type(compute_type,
                                     [&](auto m) { return visit_rows<decltype(m)>(batch_octets, then); });
    };
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_step_large(gru_cuda_compute_type compute_type,
                                                  gru_cuda_block_tile block_tile,
                                                  const gru_cuda_step_args *step, cudaStream_t stream) {
    return launch_large(block_tile, step->sequence[0], *step, stream, large_kernels(compute_type));
}

extern "C" int32_t gru_cuda_step_large_tiles(gru_cuda_compute_type compute_type, gru_cuda_block_tile *tiles) {
    return list_tiles(tiles, large_kernels(compute_type));
}

extern "C" cudaError_t gru_cuda_load_step_large(gru_cuda_compute_type compute_type,
                                                gru_cuda_occupancy *occupancy) {
    return load_tiles(occupancy, large_kernels(compute_type));
}
