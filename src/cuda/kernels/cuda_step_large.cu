/* cuda_step_large.cu: one step of a large batch, reset AFTER and ALL: tiles of 64 units x 64 or 128 rows, k split over the
 * blocks of a cluster, whose partial sums meet through distributed shared memory in the order of their ranks. */
#include "cuda_epilogue.cuh"
#include "cuda_launch_large.cuh"

namespace {

/* Outputs of a thread whose inputs are on their way at once: finishing one stores to memory, and no load moves in front of
 * a store. */
constexpr int TOGETHER = 4;

/* The outputs of the rows that this block of the cluster finishes. A thread has one unit of every fourth row. */
template <class M, int ROWS>
GRU_DEVICE void finish_rows(const gru_cuda_step_args &step, const gru_cuda_sequence &q,
                            const gru_cuda_input &input, const TilePlace &p, float *sums, int rank,
                            int split) {
    constexpr int STRIDE = TILE_THREADS / TILE_UNITS;
    const int unit = int(threadIdx.x) % TILE_UNITS, last_row = (rank + 1) * (ROWS / split);
    for (int first = rank * (ROWS / split) + int(threadIdx.x) / TILE_UNITS; first < last_row;
         first += TOGETHER * STRIDE) {
        Output o[TOGETHER];
        float a[TOGETHER][GATES] = {}, h[TOGETHER] = {}, bias[GATES] = {};
        GRU_UNROLL for (int i = 0; i < TOGETHER; i++) {
            const int row = first + i * STRIDE;
            o[i] = output_at(q, step.s, row < last_row ? p.row_octet * 8 + row : q.N, p.octet * 8 + unit);
            if (o[i].exists) h[i] = entering_state(q, o[i]);
            GRU_UNROLL for (int g = 0; g < GATES; g++) if (o[i].active) a[i][g] =
                projected_at(input, o[i], g);
        }
        GRU_UNROLL for (int g = 0; g < GATES; g++) if (o[0].exists) bias[g] = recurrent_bias(q, o[0].unit, g);
        GRU_UNROLL for (int i = 0; i < TOGETHER; i++) {
            if (!o[i].exists) continue;
            float c[GATES];
            gather_sums<ROWS, 1>(sums, split, first + i * STRIDE, unit, c);
            GRU_UNROLL for (int g = 0; g < GATES; g++) {
                c[g] += bias[g];
                a[i][g] = input_side(input, o[i], g, a[i][g]);
            }
            finish<M, GRU_CUDA_ALL_GATES>(step, q, o[i], a[i], c, h[i]);
        }
    }
}

/* Blocks that a multiprocessor must have registers for: two of the smaller tensor-core tile, so that a step's blocks can
 * start before those of the step before have ended. The others need the registers for their sums. */
template <class M, int ROWS> constexpr int TILE_GENERATIONS = ROWS <= 64 && M::TENSOR ? 2 : 1;

template <class M, int ROWS>
__global__ void __launch_bounds__(TILE_THREADS, (TILE_GENERATIONS<M, ROWS>))
    step_large_kernel(const __grid_constant__ TileStep<gru_cuda_step_args> tile) {
    GRU_DYNAMIC_SHARED(uint4, shared);
    const gru_cuda_step_args &step = tile.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &q = step.sequence[blockIdx.z];
    const TilePlace place = place_of<ROWS>(q, q.R, q.exchange[step.s % 2], tile.split);
    typename TileProduct<M, ROWS, 1>::Type product(place);
    /* From here on: what the launches before this one have written. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    float *sums = sum_tile(product, place, shared, tile.split);
    finish_rows<M, ROWS>(step, q, step.input[blockIdx.z], place, sums, int(blockIdx.x) % tile.split,
                         tile.split);
    release_sums(tile.split);
}

template <class M, class Visit> cudaError_t visit_rows(int32_t batch_octets, Visit visit) {
    if (batch_octets == 8) return visit(step_large_kernel<M, 64>, tile_shared_bytes<M, 64, 1>());
    if (batch_octets == 16) return visit(step_large_kernel<M, 128>, tile_shared_bytes<M, 128, 1>());
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

extern "C" cudaError_t gru_cuda_launch_step_large(gru_cuda_compute_type compute_type,
                                                  gru_cuda_block_tile tile, const gru_cuda_step_args *step,
                                                  cudaStream_t stream) {
    return launch_tile(tile, step->sequence[0], *step, stream, tiles_of(compute_type));
}

extern "C" int32_t gru_cuda_step_large_tiles(gru_cuda_compute_type compute_type, gru_cuda_block_tile *tiles) {
    return list_tiles(tiles, tiles_of(compute_type));
}

extern "C" cudaError_t gru_cuda_load_step_large(gru_cuda_compute_type compute_type,
                                                gru_cuda_occupancy *occupancy) {
    return load_tiles(occupancy, tiles_of(compute_type));
}
