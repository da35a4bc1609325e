/* cuda_step_fused.cu: a step with reset BEFORE in one launch. Blocks exchange r h in the middle, and compute z between
 * their arrival at the barrier and their wait.
 *
 * Blocks along x share the unit tiles of one octet of rows. Each takes every gridDim.x-th tile, so that the grid may be as
 * small as the device. */
#include "cuda_epilogue.cuh"
#include "cuda_block_exchange.cuh"
#include "cuda_mainloop_small.cuh"

namespace {

/* A tile of units, which one block computes for its octet of rows. It loads the weights of two groups ahead. As many as one gate
 * allows, four or six, took 118 registers instead of 97 (f32: 156 instead of 125, with which two blocks no longer fit a
 * multiprocessor), and by the model of bench/kernel_cycles 1.05 of the cycles at 512 units, 0.90 at 1024. */
template <class M> struct FusedTile {
    static constexpr int UNIT_OCTETS = M::TENSOR ? 2 : 1, UNITS = UNIT_OCTETS * 8;
    template <int GATE> using Loop = Mainloop<M, UNIT_OCTETS, 1, GATE, 1>;
    using Sums = PartialSums<UNITS, 8, 1>;
    static constexpr int SHARED_BYTES = Sums::BYTES + Loop<GATE_R>::STAGE_BYTES;
};

/* c of one gate for the thread's output in this tile, bias included. */
template <class M, int GATE>
GRU_DEVICE float recurrent_side(const gru_cuda_sequence &seq,
                                typename FusedTile<M>::template Loop<GATE> &mainloop, const void *exchange,
                                const Output &out, float *sums) {
    using Tile = FusedTile<M>;
    mainloop.aim(exchange, int(blockIdx.y), seq.N - int(blockIdx.y) * 8);
    mainloop.run(sums + Tile::Sums::BYTES / sizeof(float));
    mainloop.store_partial_sums(sums);
    __syncthreads(); /* the partial sums of all warps are stored */
    float c = 0.0f;
    if (out.exists)
        c = Tile::Sums::total(sums, 0, out.n % 8, out.unit % Tile::UNITS) +
            recurrent_bias(seq, out.unit, GATE);
    GRU_FAULT_POINT(sums_read) __syncthreads(); /* all sums are read: the next main loop may overwrite them */
    return c;
}

template <class M>
__global__ void __launch_bounds__(STEP_THREADS, 1)
    step_fused_kernel(const __grid_constant__ FusedStep<gru_cuda_step_args> args) {
    using Tile = FusedTile<M>;
    using Reset = typename Tile::template Loop<GATE_R>;
    using Update = typename Tile::template Loop<GATE_Z>;
    using Candidate = typename Tile::template Loop<GATE_N>;
    GRU_SHARED(float, sums, [Tile::SHARED_BYTES / sizeof(float)]);
    const gru_cuda_step_args &step = args.step;
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z];
    const gru_cuda_input &input = step.input[blockIdx.z];
    const void *h = seq.exchange[step.s % 2];
    const int tiles = (seq.H + Tile::UNITS - 1) / Tile::UNITS, row = int(threadIdx.x) / Tile::UNITS;
    auto output = [&](int tile) {
        return output_at(seq, step.s, row < 8 ? int(blockIdx.y) * 8 + row : seq.N,
                         tile * Tile::UNITS + int(threadIdx.x) % Tile::UNITS);
    };
    /* Loads the weights of the first tile during the wait. (A cluster may have more blocks than there are tiles.) */
    const int first = min(int(blockIdx.x), tiles - 1);
    Reset reset_loop(seq.R, first * Tile::UNIT_OCTETS, seq.groups, {0, seq.groups});
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first) reset_loop = Reset(seq.R, tile * Tile::UNIT_OCTETS, seq.groups, {0, seq.groups});
        const Output out = output(tile);
        const float c = recurrent_side<M, GATE_R>(seq, reset_loop, h, out, sums);
        if (out.active)
            M::store(seq.exchange_reset, fragment_index<M>(out.n, out.unit, seq.groups),
                     gate<M>(seq, input_side(input, out, GATE_R, projected_at(input, out, GATE_R)) + c) *
                         entering_state(seq, out));
    }
    barrier_arrive(args.cluster, seq.barrier_counter);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        Update update_loop(seq.R, tile * Tile::UNIT_OCTETS, seq.groups, {0, seq.groups});
        const Output out = output(tile);
        const float c = recurrent_side<M, GATE_Z>(seq, update_loop, h, out, sums);
        if (!out.active) continue;
        const float z = gate<M>(seq, input_side(input, out, GATE_Z, projected_at(input, out, GATE_Z)) + c);
        seq.update_gate[state_index(seq, out)] =
            seq.attention.data ? attended(seq, z, attention_at(seq, out)) : z;
    }
    Candidate candidate_loop(seq.R, first * Tile::UNIT_OCTETS, seq.groups, {0, seq.groups});
    barrier_wait(args.cluster, seq.barrier_counter, step.s + 1);
    for (int tile = int(blockIdx.x); tile < tiles; tile += int(gridDim.x)) {
        if (tile != first)
            candidate_loop = Candidate(seq.R, tile * Tile::UNIT_OCTETS, seq.groups, {0, seq.groups});
        const Output out = output(tile);
        const float c = recurrent_side<M, GATE_N>(seq, candidate_loop, seq.exchange_reset, out, sums);
        const float a = out.active ? input_side(input, out, GATE_N, projected_at(input, out, GATE_N)) : 0.0f;
        if (out.exists)
            epilogue_forward<M, GRU_CUDA_CANDIDATE>(step, seq, out, &a, &c, entering_state(seq, out));
    }
}

template <class Visit> cudaError_t visit_kernels(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) {
        return visit(step_fused_kernel<decltype(m)>, FusedTile<decltype(m)>::UNITS);
    });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_step_fused(gru_cuda_compute_type compute_type, int32_t cluster,
                                                  int32_t blocks, const gru_cuda_step_args *step,
                                                  cudaStream_t stream) {
    const gru_cuda_sequence &seq = step->sequence[0];
    return visit_kernels(compute_type, [&](auto kernel, int units) {
        return launch_fused(kernel, blocks_for(seq.H, units), cluster, blocks, seq, *step, stream);
    });
}

extern "C" cudaError_t gru_cuda_load_step_fused(gru_cuda_compute_type compute_type,
                                                gru_cuda_occupancy *occupancy) {
    return visit_kernels(compute_type, [&](auto kernel, int) { return load_fused(kernel, occupancy); });
}
