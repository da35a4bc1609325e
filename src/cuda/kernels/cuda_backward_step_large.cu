/* cuda_backward_step_large.cu: one backward step of a large batch, reset AFTER and ALL, by block tiles of 64 units x 64 or 128
 * rows. The blocks of a cluster split k of all three gates. */
#include "cuda_epilogue_backward_default.cuh"
#include "cuda_launch_large.cuh"

namespace {

/* Outputs of a thread whose inputs are loaded together. */
constexpr int IN_FLIGHT = 2;

/* The epilogue of this block's share of the rows. A thread has one unit of every fourth row, and a warp 32 units of one
 * row. */
template <class M, int ROWS>
GRU_DEVICE void epilogue_rows(const gru_cuda_backward_step_args &step, const BlockCoord &coord, float *sums,
                              int rank, int split) {
    constexpr int STRIDE = LARGE_THREADS / LARGE_UNITS;
    const int unit = int(threadIdx.x) % LARGE_UNITS, last_row = (rank + 1) * (ROWS / split);
    const int N = step.sequence[blockIdx.z].forward.N;
    for (int first = rank * (ROWS / split) + int(threadIdx.x) / LARGE_UNITS; first < last_row;
         first += IN_FLIGHT * STRIDE) {
        BackwardCell cells[IN_FLIGHT] = {};
        GRU_UNROLL for (int i = 0; i < IN_FLIGHT; i++) {
            const int row = first + i * STRIDE;
            load_cell(step, GRU_CUDA_ALL_GATES, row < last_row ? coord.row_octet * 8 + row : N,
                      coord.octet * 8 + unit, cells[i]);
            load_direct(step, GRU_CUDA_ALL_GATES, cells[i]);
        }
        GRU_UNROLL for (int i = 0; i < IN_FLIGHT; i++) {
            float sum[1] = {0.0f};
            compute_slopes<M>(step, GRU_CUDA_ALL_GATES, cells[i]);
            if (cells[i].out.active) gather_sums<ROWS, GATES>(sums, split, first + i * STRIDE, unit, sum);
            store_attention(step, GRU_CUDA_ALL_GATES, cells[i].out,
                            epilogue_backward<M>(step, GRU_CUDA_ALL_GATES, cells[i], sum[0]));
        }
    }
}

/* The default path of the epilogue. The slopes of the first outputs are computed while the block waits for the partial
 * sums. */
template <class M, int ROWS, int SPLIT> struct DefaultBackwardRows {
    using Share = LargeShare<ROWS, GATES, SPLIT, 2>;
    static constexpr int APART = Share::APART, BATCH = Share::BATCH;
    DefaultBackwardOutput<M> out;
    Slopes slopes[BATCH];
    float direct[BATCH], dy[BATCH];
    Share share;

    GRU_DEVICE DefaultBackwardRows(const gru_cuda_backward_step_args &step, const BlockCoord &coord, int rank)
        : out(step, Share::first_row(coord, rank), Share::first_unit(coord), APART),
          share(coord, rank, coord.octets * 8, step.sequence[blockIdx.z].forward.N) {
        load();
    }

    GRU_DEVICE void load() {
        DefaultLoads loads[BATCH] = {};
        GRU_UNROLL for (int i = 0; i < BATCH; i++) {
            direct[i] = 0.0f;
            if (!share.present(i)) continue;
            out.load(i, loads[i]);
            if (out.inside) direct[i] = __ldcg(out.direct + i * out.direct_step);
        }
        GRU_UNROLL for (int i = 0; i < BATCH; i++) {
            out.compute_slopes(loads[i], slopes[i]);
            dy[i] = loads[i].dy;
        }
    }
    GRU_DEVICE void run(float *sums) {
        const int64_t octet = GATES * out.gate; /* operands of dc from a row octet to the next */
        for (int batch = 0; batch < Share::COUNT; batch += BATCH) {
            float sum[BATCH] = {};
            if (batch) load();
            GRU_UNROLL for (int block = 0; block < SPLIT; block++) {
                const float *part = SPLIT == 1 ? sums : cluster_map(sums, unsigned(block));
                GRU_UNROLL for (int i = 0; i < BATCH; i++) sum[i] +=
                    part[share.sums_at[i % 2] + i / 2 * 8 * LARGE_UNITS];
            }
            GRU_UNROLL for (int i = 0; i < BATCH; i++) if (share.present(i))
                out.store(i, i / 2 * octet + i % 2 * APART * GROUP<M>, slopes[i], direct[i] + sum[i] + dy[i]);
            share.next_batch();
            out.advance(BATCH, BATCH / 2 * octet);
        }
    }
};

template <class M, int ROWS, int SPLIT>
GRU_DEVICE void default_rows(const gru_cuda_backward_step_args &step, const BlockCoord &coord, float *sums) {
    DefaultBackwardRows<M, ROWS, SPLIT> rows(step, coord, int(blockIdx.x) % SPLIT);
    await_sums(SPLIT);
    rows.run(sums);
}

template <class M, int ROWS>
__global__ void __launch_bounds__(LARGE_THREADS, M::TENSOR ? 2 : 1)
    backward_step_large_kernel(const __grid_constant__ LargeStep<gru_cuda_backward_step_args> args) {
    GRU_DYNAMIC_SHARED(uint4, shared);
    const gru_cuda_backward_step_args &step = args.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const BlockCoord coord =
        block_coord<ROWS>(bwd.forward, bwd.R_transposed, read_exchange(step, GRU_CUDA_ALL_GATES), args.split);
    typename LargeMainloop<M, ROWS, GATES>::Type mainloop(coord);
    mainloop.prefetch(coord, shared);
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    float *sums = run_mainloop(mainloop, coord, shared, args.split);
    if (takes_default_path(step)) {
        visit_split(args.split, [&](auto split) { default_rows<M, ROWS, split.value>(step, coord, sums); });
    } else {
        await_sums(args.split);
        epilogue_rows<M, ROWS>(step, coord, sums, int(blockIdx.x) % args.split, args.split);
    }
    release_sums(args.split);
}

template <class M, class Visit> cudaError_t visit_rows(int32_t batch_octets, Visit visit) {
    if (batch_octets == 8)
        return visit(backward_step_large_kernel<M, 64>, large_shared_bytes<M, 64, GATES>());
    if constexpr (M::TENSOR)
        if (batch_octets == 16)
            return visit(backward_step_large_kernel<M, 128>, large_shared_bytes<M, 128, GATES>());
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

extern "C" cudaError_t gru_cuda_launch_backward_step_large(gru_cuda_compute_type compute_type,
                                                           gru_cuda_block_tile block_tile,
                                                           const gru_cuda_backward_step_args *step,
                                                           cudaStream_t stream) {
    return launch_large(block_tile, step->sequence[0].forward, *step, stream, large_kernels(compute_type));
}

extern "C" int32_t gru_cuda_backward_step_large_tiles(gru_cuda_compute_type compute_type,
                                                      gru_cuda_block_tile *tiles) {
    return list_tiles(tiles, large_kernels(compute_type));
}

extern "C" cudaError_t gru_cuda_load_backward_step_large(gru_cuda_compute_type compute_type,
                                                         gru_cuda_occupancy *occupancy) {
    return load_tiles(occupancy, large_kernels(compute_type));
}
