/* cuda_pack_weights.cu: writes rows of weights into the packed layout, rounded to operands. */
#include "cuda_launch.cuh"
#include "cuda_math_types.cuh"

namespace {

constexpr int PACK_THREADS = 256;
constexpr int64_t MAX_BLOCKS = 4096; /* fills any device; a thread continues with further numbers */

/* The source number at (row, k), converted through f32 as on the CPU. */
GRU_DEVICE float given_number(const gru_cuda_pack &pack, int row, int k) {
    const int64_t i = int64_t(row) * pack.K + k;
    if (pack.type == GRU_INT8) return float(static_cast<const signed char *>(pack.rows)[i]) * pack.scale[row];
    if (pack.type == GRU_F64) return float(static_cast<const double *>(pack.rows)[i]);
    return load_number(pack.rows, pack.type, i);
}

/* Its index in the packed layout. group: numbers of k in one row of a fragment tile. */
GRU_DEVICE int64_t packed_index(const gru_cuda_pack &pack, int row, int k, int group) {
    const int gate = row / pack.H, unit = row % pack.H;
    const int64_t octet = unit / GRU_CUDA_OCTET, lane = unit % GRU_CUDA_OCTET;
    if (pack.matrix == GRU_CUDA_RECURRENT_WEIGHTS) {
        const int groups = (pack.K + group - 1) / group;
        const int64_t tile = (octet * groups + k / group) * GATES + gate;
        return (tile * GRU_CUDA_OCTET + lane) * group + k % group;
    }
    const int line = group / 4; /* 16 bytes, a quarter of a group */
    const int64_t pitch = pack.matrix == GRU_CUDA_BIAS ? 1 : (pack.K + line - 1) / line * line;
    return ((octet * GATES + gate) * GRU_CUDA_OCTET + lane) * pitch + k;
}

/* One kernel serves all compute types, because it is memory-bound. */
GRU_DEVICE void store_packed(const gru_cuda_pack &pack, int64_t i, float value) {
    store_operand(pack.matrix == GRU_CUDA_BIAS ? GRU_CUDA_F32 : pack.compute_type, pack.packed, i, value);
}

__global__ void __launch_bounds__(PACK_THREADS, 1) pack_kernel(const __grid_constant__ gru_cuda_pack pack) {
    const int64_t count = int64_t(pack.count) * pack.K, step = int64_t(gridDim.x) * blockDim.x;
    const int group =
        pack.compute_type == GRU_CUDA_F32 || pack.compute_type == GRU_CUDA_TF32 ? GROUP<F32> : GROUP<F16>;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
        const int row = int(i / pack.K), k = int(i % pack.K);
        store_packed(pack, packed_index(pack, pack.first + row, k, group), given_number(pack, row, k));
    }
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_pack(const gru_cuda_pack *pack, cudaStream_t stream) {
    const int64_t blocks = (int64_t(pack->count) * pack->K + PACK_THREADS - 1) / PACK_THREADS;
    Launch launch;
    launch.grid = dim3(unsigned(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS));
    launch.block = dim3(PACK_THREADS);
    return start(pack_kernel, launch, *pack, stream);
}

extern "C" cudaError_t gru_cuda_load_pack(void) {
    return load(pack_kernel, 0);
}
