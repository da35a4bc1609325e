/* cuda_tile.cu: one step of a large batch, reset AFTER and ALL: tiles of 64 units x 64 or 128 rows, k split over the
 * blocks of a cluster, whose partial sums meet through distributed shared memory in the order of their ranks. */
#include "cuda_finish.cuh"
#include "cuda_launch.cuh"
#include "cuda_tile_product.cuh"

namespace {

template <class M, int ROWS> struct TileProduct { using Type = TensorTile<M, ROWS>; };
template <int ROWS> struct TileProduct<F32, ROWS> { using Type = FusedTile<ROWS>; };

template <class M, int ROWS> constexpr int tile_shared_bytes() {
    constexpr int stages = TileProduct<M, ROWS>::Type::STAGE_BYTES, sums = TileSums<ROWS>::BYTES;
    return stages > sums ? stages : sums; /* the sums take the stages' place */
}

struct TileStep {
    gru_cuda_step step;
    int32_t split; /* blocks of a cluster */
};

/* All of k that is this block's, in stages. */
template <class Product> GRU_DEVICE void sum_groups(Product &product, const TilePlace &p, uint4 *stages) {
    for (int k = p.first; k < p.first + STAGES - 1; k++) product.stage(p, stages, k);
    for (int k = p.first; k < p.last; k++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads(); /* this stage has come for all threads, and the one to be filled next has been read by all */
        product.stage(p, stages, k + STAGES - 1);
        product.multiply(p, stages, k);
    }
    copy_async_wait<0>();
    __syncthreads(); /* the stages have been read: the sums take their place */
}

/* Outputs of a thread whose inputs are on their way at once: finishing one stores to memory, and no load moves in front of
 * a store. */
constexpr int TOGETHER = 4;

/* The recurrent side of one output: partial sums of the cluster's blocks in the order of their ranks. */
template <int ROWS> GRU_DEVICE void gather_sums(float *sums, int split, int row, int unit, float *c) {
    for (int g = 0; g < GATES; g++) c[g] = 0.0f;
    for (int block = 0; block < split; block++) {
        const float *part = cluster_map(sums, unsigned(block));
        GRU_UNROLL for (int g = 0; g < GATES; g++) c[g] += part[TileSums<ROWS>::at(g, row, unit)];
    }
}

/* The outputs of the rows that this block of the cluster finishes. A thread has one unit of every fourth row. */
template <class M, int ROWS>
GRU_DEVICE void finish_rows(const gru_cuda_step &step, const gru_cuda_sequence &q,
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
            gather_sums<ROWS>(sums, split, first + i * STRIDE, unit, c);
            GRU_UNROLL for (int g = 0; g < GATES; g++) {
                c[g] += bias[g];
                a[i][g] = input_side(input, o[i], g, a[i][g]);
            }
            finish<M, GRU_CUDA_WHOLE>(step, q, o[i], a[i], c, h[i]);
        }
    }
}

/* Blocks that a multiprocessor must have registers for: two of the smaller tensor-core tile, so that a step's blocks can
 * start before those of the step before have ended. The others need the registers for their sums. */
template <class M, int ROWS> constexpr int TILE_GENERATIONS = ROWS <= 64 && M::TENSOR ? 2 : 1;

/* Grid: along units (and the blocks of their clusters), rows, directions. */
template <class M, int ROWS>
__global__ void __launch_bounds__(TILE_THREADS, (TILE_GENERATIONS<M, ROWS>))
    tile_kernel(const __grid_constant__ TileStep tile) {
    GRU_DYNAMIC_SHARED(uint4, shared);
    const gru_cuda_step &step = tile.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &q = step.sequence[blockIdx.z];
    const int rank = int(blockIdx.x) % tile.split, each = (q.groups + tile.split - 1) / tile.split;
    const TilePlace place = {&q,
                             static_cast<const uint4 *>(q.exchange[step.s % 2]),
                             int(blockIdx.x) / tile.split * TILE_OCTETS,
                             int(blockIdx.y) * (ROWS / 8),
                             (q.N + 7) / 8,
                             min(rank * each, q.groups),
                             min((rank + 1) * each, q.groups)};
    typename TileProduct<M, ROWS>::Type product(place);
    dependency_wait(); /* from here on: what the launches before this one have written */
    sum_groups(product, place, shared);
    float *sums = reinterpret_cast<float *>(shared);
    product.deposit(sums);
    if (tile.split > 1) {
        cluster_arrive();
        cluster_wait(); /* the partial sums of all blocks of the cluster are there */
    } else {
        __syncthreads(); /* the sums of all warps are there */
    }
    finish_rows<M, ROWS>(step, q, step.input[blockIdx.z], place, sums, rank, tile.split);
    if (tile.split > 1) {
        cluster_arrive();
        cluster_wait(); /* no block leaves while others read its sums */
    }
}

using TileKernel = void (*)(TileStep);
template <class M, class Visit> cudaError_t visit_rows(int32_t batch_octets, Visit visit) {
    if (batch_octets == 8) return visit(tile_kernel<M, 64>, tile_shared_bytes<M, 64>());
    if (batch_octets == 16) return visit(tile_kernel<M, 128>, tile_shared_bytes<M, 128>());
    return cudaErrorInvalidValue; /* no such tile */
}
template <class Visit> cudaError_t visit_tile(gru_cuda_math math, int32_t batch_octets, Visit visit) {
    switch (math) {
    case GRU_CUDA_F32:
        return visit_rows<F32>(batch_octets, visit);
    case GRU_CUDA_TF32:
        return visit_rows<Tf32>(batch_octets, visit);
    case GRU_CUDA_F16:
        return visit_rows<F16>(batch_octets, visit);
    default:
        return visit_rows<Bf16>(batch_octets, visit);
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_tile(gru_cuda_math math, gru_cuda_tile tile, const gru_cuda_step *step,
                                            cudaStream_t stream) {
    const gru_cuda_sequence &q = step->sequence[0];
    return visit_tile(math, tile.batch_octets, [&](TileKernel kernel, int shared_bytes) {
        Launch launch;
        launch.grid = dim3(blocks_for(q.H, TILE_UNITS) * unsigned(tile.split),
                           blocks_for(q.N, tile.batch_octets * 8), unsigned(step->directions));
        launch.block = dim3(TILE_THREADS);
        launch.shared_bytes = shared_bytes;
        launch.depends = step->depends != 0;
        launch.cluster = tile.split;
        return start(kernel, launch, TileStep{*step, tile.split}, stream);
    });
}

extern "C" int32_t gru_cuda_tile_tiles(gru_cuda_math math, gru_cuda_tile *tiles) {
    int32_t count = 0;
    for (int32_t batch_octets = 8; batch_octets <= 16; batch_octets += 8)
        visit_tile(math, batch_octets, [&](TileKernel, int shared_bytes) {
            tiles[count++] = {TILE_OCTETS, batch_octets, 1, shared_bytes};
            return cudaSuccess;
        });
    return count;
}

/* One kernel, and how many of its clusters of each size the device holds. */
static cudaError_t load_clusters(TileKernel kernel, int shared_bytes, int most, int32_t *clusters) {
    if (shared_bytes > most) return cudaSuccess; /* and none of it */
    if (const cudaError_t error = load(kernel, shared_bytes)) return error;
    clusters[0] = INT32_MAX; /* blocks alone: as many as there are processors */
    for (int i = 1; i < GRU_CUDA_SPLITS; i++) {
        Launch launch;
        launch.grid = dim3(1u << i);
        launch.block = dim3(TILE_THREADS);
        launch.shared_bytes = shared_bytes;
        launch.cluster = 1 << i;
        if (const cudaError_t error = count_clusters(kernel, launch, &clusters[i])) return error;
    }
    return cudaSuccess;
}

extern "C" cudaError_t gru_cuda_load_tile(gru_cuda_math math, gru_cuda_room *room) {
    int device, most;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
        return error;
    for (int i = 0; i < GRU_CUDA_TILE_TILES; i++) {
        const cudaError_t error = visit_tile(math, 8 << i, [&](TileKernel kernel, int shared_bytes) {
            return load_clusters(kernel, shared_bytes, most, room->tile_clusters[i]);
        });
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}
