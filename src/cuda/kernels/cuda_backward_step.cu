/* cuda_backward_step.cu: one backward step in one launch, for any size. Weights stream through registers once; the epilogue
 * runs in the block that has the sums. Reset BEFORE takes two launches: update gate and candidate, then the reset gate.
 *
 * Only dh comes from the previous launch. So activations and slopes are computed while the launch waits for it, and after
 * the main loop one multiplication for each gradient is left. */
#include "cuda_launch.cuh"
#include "cuda_epilogue_backward_default.cuh"

namespace {

struct BackwardStep {
    gru_cuda_backward_step_args step;
    gru_cuda_gate_set gate_set;
};

/* The default path of a step with all gates. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS, class Loop>
GRU_DEVICE void default_step(const gru_cuda_backward_step_args &step, Loop &mainloop, float *sums, int octet,
                             int row_octet) {
    constexpr int UNITS = UNIT_OCTETS * 8, ROWS = ROW_OCTETS * 8, APART = STEP_THREADS / UNITS;
    constexpr int OUTPUTS = (ROWS + APART - 1) / APART;
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z].forward;
    const int row = int(threadIdx.x) / UNITS, at = int(threadIdx.x) % UNITS;
    const int n = row_octet * 8 + row, unit = octet * 8 + at;
    const int rows = row < ROWS && unit < seq.octets * 8 ? seq.N - n : 0; /* from n on */
    const DefaultBackwardOutput<M> out(step, n, unit, APART);
    const int64_t octets = APART / 8 * GATES * out.gate; /* operands of dc from a row to the next */
    DefaultLoads loads[OUTPUTS] = {};
    Slopes slopes[OUTPUTS];
    float direct[OUTPUTS] = {};
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (i * APART < rows) out.load(i, loads[i]);
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) out.compute_slopes(loads[i], slopes[i]);
    mainloop.aim(read_exchange(step, GRU_CUDA_ALL_GATES), row_octet, seq.N - row_octet * 8);
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches_default) dependency_wait();
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (out.inside && i * APART < rows) direct[i] =
        __ldcg(out.direct + i * out.direct_step);
    mainloop.run(sums + Loop::Sums::BYTES / sizeof(float));
    mainloop.store_partial_sums(sums);
    GRU_FAULT_POINT(slices_stored_default) __syncthreads(); /* the partial sums of all warps are stored */
    if (rows <= 0) return;
    float dh[OUTPUTS];
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) dh[i] =
        direct[i] + Loop::Sums::total(sums, 0, row + i * APART, at) + loads[i].dy;
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (i * APART < rows)
        out.store(i, i * octets, slopes[i], dh[i]);
}

/* Block: UNIT_OCTETS x ROW_OCTETS octets of units and rows. Grid: rows, units with padding, directions. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS>
__global__ void __launch_bounds__(STEP_THREADS, (MIN_BLOCKS<M, ROW_OCTETS>))
    backward_step_kernel(const __grid_constant__ BackwardStep args) {
    constexpr int UNITS = UNIT_OCTETS * 8, ROWS = ROW_OCTETS * 8;
    constexpr int OUTPUTS = (UNITS * ROWS + STEP_THREADS - 1) / STEP_THREADS; /* of one thread */
    constexpr bool EARLY =
        OUTPUTS == 1; /* slopes wait in registers; more would leave too few for the main loop */
    using Loop = Mainloop<M, UNIT_OCTETS, ROW_OCTETS, 0, 1, 1>;
    GRU_DYNAMIC_SHARED(float, sums);
    const gru_cuda_backward_step_args &step = args.step;
    const gru_cuda_gate_set gate_set = args.gate_set;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &bwd = step.sequence[blockIdx.z];
    const gru_cuda_sequence &seq = bwd.forward;
    const int octet = int(blockIdx.y) * UNIT_OCTETS, row_octet = int(blockIdx.x) * ROW_OCTETS;
    Loop mainloop(bwd.R_transposed, octet, GATES * seq.groups, gate_set_groups(gate_set, seq.groups));
    if (takes_default_path(step))
        return default_step<M, UNIT_OCTETS, ROW_OCTETS>(step, mainloop, sums, octet, row_octet);
    BackwardCell cells[OUTPUTS] = {};
    auto load_cells = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
            const int index = int(threadIdx.x) + i * STEP_THREADS, row = index / UNITS;
            load_cell(step, gate_set, row < ROWS ? row_octet * 8 + row : seq.N, octet * 8 + index % UNITS,
                      cells[i]);
        }
    };
    auto load_directs = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) load_direct(step, gate_set, cells[i]);
    };
    auto compute_all_slopes = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) compute_slopes<M>(step, gate_set, cells[i]);
    };
    if (EARLY) load_cells();
    if (EARLY) compute_all_slopes();
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    if (EARLY) load_directs();
    mainloop.aim(read_exchange(step, gate_set), row_octet, seq.N - row_octet * 8);
    mainloop.run(sums + Loop::Sums::BYTES / sizeof(float));
    mainloop.store_partial_sums(sums);
    if (!EARLY) load_cells();
    if (!EARLY) load_directs();
    if (!EARLY) compute_all_slopes();
    GRU_FAULT_POINT(slices_stored) __syncthreads(); /* the partial sums of all warps are stored */
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
        float sum = 0.0f;
        if (cells[i].out.active)
            sum = Loop::Sums::total(sums, 0, cells[i].out.n - row_octet * 8, cells[i].out.unit - octet * 8);
        store_attention(step, gate_set, cells[i].out, epilogue_backward<M>(step, gate_set, cells[i], sum));
    }
}

/* ---- variants ---- */

using Kernel = void (*)(BackwardStep);
struct Variant {
    gru_cuda_block_tile block_tile;
    Kernel kernel;
};

template <class M, int UNIT_OCTETS, int ROW_OCTETS> Variant make_variant() {
    using Loop = Mainloop<M, UNIT_OCTETS, ROW_OCTETS, 0, 1, 1>;
    return {{UNIT_OCTETS, ROW_OCTETS, 1, Loop::Sums::BYTES + Loop::STAGE_BYTES},
            backward_step_kernel<M, UNIT_OCTETS, ROW_OCTETS>};
}

/* Calls visit(variant) for every block tile until it returns true. */
template <class M, class Visit> bool visit_tiles(Visit visit) {
    if (visit(make_variant<M, 1, 1>())) return true;
    if constexpr (!M::TENSOR)
        return visit(make_variant<M, 1, 2>()) || visit(make_variant<M, 1, 4>());
    else
        return visit(make_variant<M, 2, 1>()) || visit(make_variant<M, 2, 2>()) ||
               visit(make_variant<M, 2, 4>()) || visit(make_variant<M, 2, 8>());
}

template <class Visit> bool visit_variants(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit_tiles<decltype(m)>(visit); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_backward_step(gru_cuda_compute_type compute_type,
                                                     gru_cuda_gate_set gate_set,
                                                     gru_cuda_block_tile block_tile,
                                                     const gru_cuda_backward_step_args *step,
                                                     cudaStream_t stream) {
    const gru_cuda_sequence &seq = step->sequence[0].forward;
    cudaError_t error = cudaErrorInvalidValue; /* no such tile */
    visit_variants(compute_type, [&](const Variant &variant) {
        if (variant.block_tile.unit_octets != block_tile.unit_octets ||
            variant.block_tile.batch_octets != block_tile.batch_octets)
            return false;
        Launch launch;
        launch.grid = dim3(blocks_for(seq.N, block_tile.batch_octets * 8),
                           blocks_for(seq.octets, block_tile.unit_octets), unsigned(step->directions));
        launch.block = dim3(STEP_THREADS);
        launch.shared_bytes = variant.block_tile.shared_bytes;
        launch.depends = step->depends != 0;
        error = start(variant.kernel, launch, BackwardStep{*step, gate_set}, stream);
        return true;
    });
    return error;
}

extern "C" int32_t gru_cuda_backward_step_tiles(gru_cuda_compute_type compute_type,
                                                gru_cuda_block_tile *tiles) {
    int32_t count = 0;
    visit_variants(compute_type, [&](const Variant &variant) {
        tiles[count++] = variant.block_tile;
        return false;
    });
    return count;
}

extern "C" cudaError_t gru_cuda_load_backward_step(gru_cuda_compute_type compute_type) {
    cudaError_t error = cudaSuccess;
    visit_variants(compute_type, [&](const Variant &variant) {
        error = load(variant.kernel, variant.block_tile.shared_bytes);
        return error != cudaSuccess;
    });
    return error;
}
