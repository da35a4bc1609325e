/* cuda_backward_step_large.cu: one step of the sweep of a large batch, reset AFTER and ALL: tiles of 64 units x 64 or 128 rows, the three
 * gates' k split over the blocks of a cluster. */
#include "cuda_epilogue_backward.cuh"
#include "cuda_launch_large.cuh"

namespace {

/* Outputs of a thread whose inputs are on their way at once. */
constexpr int TOGETHER = 2;

/* The outputs of the rows that this block of the cluster finishes. A thread has one unit of every fourth row, and a warp 32
 * units of one row. */
template <class M, int ROWS>
GRU_DEVICE void finish_rows(const gru_cuda_backward_step_args &step, const TilePlace &p, float *sums,
                            int rank, int split) {
    constexpr int STRIDE = TILE_THREADS / TILE_UNITS;
    const int unit = int(threadIdx.x) % TILE_UNITS, last_row = (rank + 1) * (ROWS / split);
    const int N = step.sequence[blockIdx.z].forward.N;
    for (int first = rank * (ROWS / split) + int(threadIdx.x) / TILE_UNITS; first < last_row;
         first += TOGETHER * STRIDE) {
        SweepUnit u[TOGETHER] = {};
        GRU_UNROLL for (int i = 0; i < TOGETHER; i++) {
            const int row = first + i * STRIDE;
            load_unit(step, GRU_CUDA_ALL_GATES, row < last_row ? p.row_octet * 8 + row : N,
                      p.octet * 8 + unit, u[i]);
            load_direct(step, GRU_CUDA_ALL_GATES, u[i]);
        }
        GRU_UNROLL for (int i = 0; i < TOGETHER; i++) {
            float sum[1] = {0.0f};
            find_slopes<M>(step, GRU_CUDA_ALL_GATES, u[i]);
            if (u[i].o.active) gather_sums<ROWS, GATES>(sums, split, first + i * STRIDE, unit, sum);
            store_attention(step, GRU_CUDA_ALL_GATES, u[i].o,
                            finish_unit<M>(step, GRU_CUDA_ALL_GATES, u[i], sum[0]));
        }
    }
}

template <class M, int ROWS>
__global__ void __launch_bounds__(TILE_THREADS, M::TENSOR ? 2 : 1)
    backward_step_large_kernel(const __grid_constant__ TileStep<gru_cuda_backward_step_args> tile) {
    GRU_DYNAMIC_SHARED(uint4, shared);
    const gru_cuda_backward_step_args &step = tile.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const TilePlace place =
        place_of<ROWS>(w.forward, w.R_transposed, read_exchange(step, GRU_CUDA_ALL_GATES), tile.split);
    typename TileProduct<M, ROWS, GATES>::Type product(place);
    /* From here on: what the launches before this one have written. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    float *sums = sum_tile(product, place, shared, tile.split);
    finish_rows<M, ROWS>(step, place, sums, int(blockIdx.x) % tile.split, tile.split);
    release_sums(tile.split);
}

template <class M, class Visit> cudaError_t visit_rows(int32_t batch_octets, Visit visit) {
    if (batch_octets == 8) return visit(backward_step_large_kernel<M, 64>, tile_shared_bytes<M, 64, GATES>());
    if constexpr (M::TENSOR)
        if (batch_octets == 16)
            return visit(backward_step_large_kernel<M, 128>, tile_shared_bytes<M, 128, GATES>());
    return cudaErrorInvalidValue; /* no such tile */
}

/* The kernels of a compute type, as cuda_launch_large.cuh visits them. */
auto tiles_of(gru_cuda_compute_type compute_type) {
    return [compute_type](int32_t batch_octets, auto then) {
        return dispatch_compute_type(compute_type,
                                     [&](auto m) { return visit_rows<decltype(m)>(batch_octets, then); });
    };
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_backward_step_large(gru_cuda_compute_type compute_type,
                                                           gru_cuda_block_tile tile,
                                                           const gru_cuda_backward_step_args *step,
                                                           cudaStream_t stream) {
    return launch_tile(tile, step->sequence[0].forward, *step, stream, tiles_of(compute_type));
}

extern "C" int32_t gru_cuda_backward_step_large_tiles(gru_cuda_compute_type compute_type,
                                                      gru_cuda_block_tile *tiles) {
    return list_tiles(tiles, tiles_of(compute_type));
}

extern "C" cudaError_t gru_cuda_load_backward_step_large(gru_cuda_compute_type compute_type,
                                                         gru_cuda_occupancy *occupancy) {
    return load_tiles(occupancy, tiles_of(compute_type));
}
