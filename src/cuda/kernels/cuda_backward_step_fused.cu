/* cuda_backward_step_fused.cu: a backward step with reset BEFORE in one launch. Blocks exchange da of the candidate in the
 * middle, and compute the reset gate's slopes between their arrival at the barrier and their wait. */
#include "cuda_block_exchange.cuh"
#include "cuda_launch.cuh"
#include "cuda_epilogue_backward.cuh"

namespace {

/* One gate set of a tile of units, which one block computes for its octet of rows. */
template <class M> struct FusedGates {
    static constexpr int UNIT_OCTETS = M::TENSOR ? 2 : 1, UNITS = UNIT_OCTETS * 8;
    using Loop = Mainloop<M, UNIT_OCTETS, 1, 0, 1, 1, M::TENSOR ? 4 : 3>;
    using Sums = typename Loop::Sums;
    static constexpr int SHARED_BYTES = Sums::BYTES + Loop::STAGE_BYTES;
    gru_cuda_gate_set gate_set;
    Loop mainloop;
    BackwardCell cell = {};

    /* Loads and computes what does not depend on other blocks: weights and slopes. */
    GRU_DEVICE FusedGates(const gru_cuda_backward_step_args &step, gru_cuda_gate_set which, int tile)
        : gate_set(which), mainloop(step.sequence[blockIdx.z].R_transposed, tile * UNIT_OCTETS,
                                    GATES * step.sequence[blockIdx.z].forward.groups,
                                    gate_set_groups(which, step.sequence[blockIdx.z].forward.groups)) {
        const int row = int(threadIdx.x) / UNITS;
        load_cell(step, gate_set, row < 8 ? int(blockIdx.y) * 8 + row : step.sequence[blockIdx.z].forward.N,
                  tile * UNITS + int(threadIdx.x) % UNITS, cell);
        compute_slopes<M>(step, gate_set, cell);
    }

    GRU_DEVICE void run(const gru_cuda_backward_step_args &step, float *sums) {
        const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
        load_direct(step, gate_set, cell);
        mainloop.aim(read_exchange(step, gate_set), int(blockIdx.y), bwd.forward.N - int(blockIdx.y) * 8);
        mainloop.run(sums + Sums::BYTES / sizeof(float));
        mainloop.store_partial_sums(sums);
        __syncthreads(); /* the partial sums of all warps are stored */
        float sum = 0.0f;
        if (cell.out.active) sum = Sums::total(sums, 0, cell.out.n % 8, cell.out.unit % UNITS);
        store_attention(step, gate_set, cell.out, epilogue_backward<M>(step, gate_set, cell, sum));
        GRU_FAULT_POINT(sums_read)
        __syncthreads(); /* all sums are read: the next main loop may overwrite them */
    }
};

/* Blocks along x share the unit tiles of one octet of rows. Each takes every gridDim.x-th tile. */
template <class M>
__global__ void __launch_bounds__(STEP_THREADS, 2)
    backward_step_fused_kernel(const __grid_constant__ FusedStep<gru_cuda_backward_step_args> args) {
    using Gates = FusedGates<M>;
    GRU_SHARED(float, sums, [Gates::SHARED_BYTES / sizeof(float)]);
    const gru_cuda_backward_step_args &step = args.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const int tiles = bwd.forward.octets / Gates::UNIT_OCTETS;
    /* Loads what the first tile needs during the wait. (A cluster may have more blocks than there are tiles.) */
    const int first = min(int(blockIdx.x), tiles - 1);
    Gates candidate(step, GRU_CUDA_UPDATE_CANDIDATE, first);
    dependency_wait(); /* what earlier launches wrote may only be read from here on */
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) candidate = Gates(step, GRU_CUDA_UPDATE_CANDIDATE, tile);
        candidate.run(step, sums);
    }
    barrier_arrive(args.cluster, bwd.barrier_counter);
    Gates gates(step, GRU_CUDA_RESET_GATE, first);
    barrier_wait(args.cluster, bwd.barrier_counter, bwd.forward.T - step.s);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) gates = Gates(step, GRU_CUDA_RESET_GATE, tile);
        gates.run(step, sums);
    }
}

template <class Visit> cudaError_t visit_kernels(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) {
        return visit(backward_step_fused_kernel<decltype(m)>, FusedGates<decltype(m)>::UNIT_OCTETS);
    });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_backward_step_fused(gru_cuda_compute_type compute_type,
                                                           int32_t cluster, int32_t blocks,
                                                           const gru_cuda_backward_step_args *step,
                                                           cudaStream_t stream) {
    const gru_cuda_sequence &seq = step->sequence[0].forward;
    return visit_kernels(compute_type, [&](auto kernel, int octets) {
        return launch_fused(kernel, blocks_for(seq.octets, octets), cluster, blocks, seq, *step, stream);
    });
}

extern "C" cudaError_t gru_cuda_load_backward_step_fused(gru_cuda_compute_type compute_type,
                                                         gru_cuda_occupancy *occupancy) {
    return visit_kernels(compute_type, [&](auto kernel, int) { return load_fused(kernel, occupancy); });
}
