/* cuda_step_fused.cu: a step with reset BEFORE in one launch: r h is published in the middle, and z is computed while it travels.
 *
 * Blocks along x share the unit tiles of one octet of rows, each taking every gridDim.x-th, so that the grid may be as
 * small as the device. */
#include "cuda_epilogue.cuh"
#include "cuda_block_exchange.cuh"
#include "cuda_mainloop_small.cuh"

namespace {

struct Hop {
    gru_cuda_step_args step;
    int32_t cluster; /* 0: a cooperative grid */
};

template <class M> struct HopTile {
    static constexpr int OCTETS = M::TENSOR ? 2 : 1, UNITS = OCTETS * 8;
    template <int GATE> using Part = Product<M, OCTETS, 1, GATE, 1>;
    using PartSums = Sums<UNITS, 8, 1>;
};

/* The recurrent side of one gate for the thread's output of this tile, bias included. */
template <class M, int GATE>
GRU_DEVICE float recurrent_side(const gru_cuda_sequence &q, typename HopTile<M>::template Part<GATE> &product,
                                const void *exchange, const Output &o, float *sums) {
    using Tile = HopTile<M>;
    product.run(exchange, int(blockIdx.y), (q.N + 7) / 8);
    product.deposit(sums);
    __syncthreads(); /* the slices of all warps are there */
    float c = 0.0f;
    if (o.exists)
        c = Tile::PartSums::total(sums, 0, o.n % 8, o.unit % Tile::UNITS) + recurrent_bias(q, o.unit, GATE);
    GRU_FAULT_POINT(sums_read) __syncthreads(); /* they are read: the next product may overwrite them */
    return c;
}

template <class M>
__global__ void __launch_bounds__(STEP_THREADS, 1) step_fused_kernel(const __grid_constant__ Hop hop) {
    using Tile = HopTile<M>;
    using Reset = typename Tile::template Part<GATE_R>;
    using Update = typename Tile::template Part<GATE_Z>;
    using Candidate = typename Tile::template Part<GATE_N>;
    GRU_SHARED(float, sums, [Tile::PartSums::BYTES / sizeof(float)]);
    const gru_cuda_step_args &step = hop.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &q = step.sequence[blockIdx.z];
    const gru_cuda_input &input = step.input[blockIdx.z];
    const void *h = q.exchange[step.s % 2];
    const int tiles = (q.H + Tile::UNITS - 1) / Tile::UNITS, row = int(threadIdx.x) / Tile::UNITS;
    auto output = [&](int tile) {
        return output_at(q, step.s, row < 8 ? int(blockIdx.y) * 8 + row : q.N,
                         tile * Tile::UNITS + int(threadIdx.x) % Tile::UNITS);
    };
    /* The weights of a block's first tile come while it waits. (A cluster may have more blocks than there are tiles.) */
    const int first = min(int(blockIdx.x), tiles - 1);
    Reset reset_product(q.R, first * Tile::OCTETS, q.groups, {0, q.groups});
    /* From here on: what the launches before this one have written. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) reset_product = Reset(q.R, tile * Tile::OCTETS, q.groups, {0, q.groups});
        const Output o = output(tile);
        const float c = recurrent_side<M, GATE_R>(q, reset_product, h, o, sums);
        if (o.active)
            M::store(q.exchange_reset, tile_index<M>(o.n, o.unit, q.groups),
                     gate<M>(q, input_side(input, o, GATE_R, projected_at(input, o, GATE_R)) + c) *
                         entering_state(q, o));
    }
    publish(hop.cluster, q.barrier_counter);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        Update update_product(q.R, tile * Tile::OCTETS, q.groups, {0, q.groups});
        const Output o = output(tile);
        const float c = recurrent_side<M, GATE_Z>(q, update_product, h, o, sums);
        if (!o.active) continue;
        const float z = gate<M>(q, input_side(input, o, GATE_Z, projected_at(input, o, GATE_Z)) + c);
        q.update_gate[state_index(q, o)] = q.attention.data ? attended(q, z, attention_at(q, o)) : z;
    }
    Candidate candidate_product(q.R, first * Tile::OCTETS, q.groups, {0, q.groups});
    await(hop.cluster, q.barrier_counter, step.s + 1);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) candidate_product = Candidate(q.R, tile * Tile::OCTETS, q.groups, {0, q.groups});
        const Output o = output(tile);
        const float c = recurrent_side<M, GATE_N>(q, candidate_product, q.exchange_reset, o, sums);
        const float a = o.active ? input_side(input, o, GATE_N, projected_at(input, o, GATE_N)) : 0.0f;
        if (o.exists) finish<M, GRU_CUDA_CANDIDATE>(step, q, o, &a, &c, entering_state(q, o));
    }
}

template <class Visit> cudaError_t visit_hop(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) {
        return visit(step_fused_kernel<decltype(m)>, HopTile<decltype(m)>::UNITS);
    });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_step_fused(gru_cuda_compute_type compute_type, int32_t cluster,
                                                  int32_t blocks, const gru_cuda_step_args *step,
                                                  cudaStream_t stream) {
    const gru_cuda_sequence &q = step->sequence[0];
    return visit_hop(compute_type, [&](void (*kernel)(Hop), int units) {
        Launch launch;
        launch.block = dim3(STEP_THREADS);
        launch.depends = step->depends != 0;
        if (!place_hop(launch, cluster, blocks, blocks_for(q.H, units), blocks_for(q.N, 8),
                       unsigned(step->directions)))
            return cudaErrorCooperativeLaunchTooLarge;
        return start(kernel, launch, Hop{*step, cluster}, stream);
    });
}

extern "C" cudaError_t gru_cuda_load_step_fused(gru_cuda_compute_type compute_type,
                                                gru_cuda_occupancy *occupancy) {
    return visit_hop(compute_type,
                     [&](void (*kernel)(Hop), int) { return load_hop(kernel, STEP_THREADS, occupancy); });
}
