/* cuda_backward_step_fused.cu: a step of the sweep with reset BEFORE in one launch: da of the candidate is published in the middle, and
 * the reset gate's slopes are found while it travels. */
#include "cuda_block_exchange.cuh"
#include "cuda_launch.cuh"
#include "cuda_epilogue_backward.cuh"

namespace {

struct SweepHop {
    gru_cuda_backward_step_args step;
    int32_t cluster; /* 0: a cooperative grid */
};

/* A block's tile of units, for the block's octet of rows, in one part of the step. */
template <class M> struct HopPart {
    static constexpr int OCTETS = M::TENSOR ? 2 : 1, UNITS = OCTETS * 8;
    using Transposed = Product<M, OCTETS, 1, 0, 1, 1>;
    using PartSums = typename Transposed::PartSums;
    gru_cuda_gate_set part;
    Transposed product;
    SweepUnit u = {};

    /* All that needs not wait: weights and slopes. */
    GRU_DEVICE HopPart(const gru_cuda_backward_step_args &step, gru_cuda_gate_set which, int tile)
        : part(which), product(step.sequence[blockIdx.z].R_transposed, tile * OCTETS,
                               GATES * step.sequence[blockIdx.z].forward.groups,
                               part_groups(which, step.sequence[blockIdx.z].forward.groups)) {
        const int row = int(threadIdx.x) / UNITS;
        load_unit(step, part, row < 8 ? int(blockIdx.y) * 8 + row : step.sequence[blockIdx.z].forward.N,
                  tile * UNITS + int(threadIdx.x) % UNITS, u);
        find_slopes<M>(step, part, u);
    }

    GRU_DEVICE void finish(const gru_cuda_backward_step_args &step, float *sums) {
        const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
        load_direct(step, part, u);
        product.run(read_exchange(step, part), int(blockIdx.y), (w.forward.N + 7) / 8);
        product.deposit(sums);
        __syncthreads(); /* the slices of all warps are there */
        float sum = 0.0f;
        if (u.o.active) sum = PartSums::total(sums, 0, u.o.n % 8, u.o.unit % UNITS);
        store_attention(step, part, u.o, finish_unit<M>(step, part, u, sum));
        GRU_FAULT_POINT(sums_read) __syncthreads(); /* they are read: the next product may overwrite them */
    }
};

/* Blocks along x share the unit tiles of one octet of rows, each taking every gridDim.x-th. */
template <class M>
__global__ void __launch_bounds__(STEP_THREADS, 2)
    backward_step_fused_kernel(const __grid_constant__ SweepHop hop) {
    using Part = HopPart<M>;
    GRU_SHARED(float, sums, [Part::PartSums::BYTES / sizeof(float)]);
    const gru_cuda_backward_step_args &step = hop.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const int tiles = w.forward.octets / Part::OCTETS;
    /* What a block's first tile needs comes while it waits. (A cluster may have more blocks than there are tiles.) */
    const int first = min(int(blockIdx.x), tiles - 1);
    Part candidate(step, GRU_CUDA_CANDIDATE, first);
    dependency_wait(); /* from here on: what the launches before this one have written */
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) candidate = Part(step, GRU_CUDA_CANDIDATE, tile);
        candidate.finish(step, sums);
    }
    publish(hop.cluster, w.barrier_counter);
    Part gates(step, GRU_CUDA_RESET_UPDATE, first);
    await(hop.cluster, w.barrier_counter, w.forward.T - step.s);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) gates = Part(step, GRU_CUDA_RESET_UPDATE, tile);
        gates.finish(step, sums);
    }
}

template <class Visit> cudaError_t visit_hop(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) {
        return visit(backward_step_fused_kernel<decltype(m)>, HopPart<decltype(m)>::OCTETS);
    });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_backward_step_fused(gru_cuda_compute_type compute_type,
                                                           int32_t cluster, int32_t blocks,
                                                           const gru_cuda_backward_step_args *step,
                                                           cudaStream_t stream) {
    const gru_cuda_sequence &q = step->sequence[0].forward;
    return visit_hop(compute_type, [&](void (*kernel)(SweepHop), int octets) {
        Launch launch;
        launch.block = dim3(STEP_THREADS);
        launch.depends = step->depends != 0;
        if (!place_hop(launch, cluster, blocks, blocks_for(q.octets, octets), blocks_for(q.N, 8),
                       unsigned(step->directions)))
            return cudaErrorCooperativeLaunchTooLarge;
        return start(kernel, launch, SweepHop{*step, cluster}, stream);
    });
}

extern "C" cudaError_t gru_cuda_load_backward_step_fused(gru_cuda_compute_type compute_type,
                                                         gru_cuda_occupancy *occupancy) {
    return visit_hop(compute_type, [&](void (*kernel)(SweepHop), int) {
        return load_hop(kernel, STEP_THREADS, occupancy);
    });
}
