/* cuda_backward_step.cu: one step of the sweep, from the last step of a layer to its first: weights stream through the registers once,
 * and a step's gradients are finished where the sums meet. Reset BEFORE takes two launches: the candidate, then the gates.
 *
 * All that a step's gradients depend on besides dh was known before, so it is loaded, and exponentials and slopes are
 * computed, while the launch waits for the one before; behind the product there is one multiplication for each gradient. */
#include "cuda_launch.cuh"
#include "cuda_epilogue_backward.cuh"

namespace {

struct Sweep {
    gru_cuda_backward_step_args step;
    gru_cuda_gate_set part;
};

/* Block: OCTETS octets of units x TILES octets of rows; grid: along rows, units and their padding, directions. */
template <class M, int OCTETS, int TILES>
__global__ void __launch_bounds__(STEP_THREADS, (GENERATIONS<M, TILES>))
    backward_step_kernel(const __grid_constant__ Sweep sweep) {
    constexpr int UNITS = OCTETS * 8, ROWS = TILES * 8;
    constexpr int OUTPUTS = (UNITS * ROWS + STEP_THREADS - 1) / STEP_THREADS; /* of one thread */
    constexpr bool EARLY =
        OUTPUTS == 1; /* slopes wait in registers; more would push the products out of them */
    using Transposed = Product<M, OCTETS, TILES, 0, 1, 1>;
    GRU_DYNAMIC_SHARED(float, sums);
    const gru_cuda_backward_step_args &step = sweep.step;
    const gru_cuda_gate_set part = sweep.part;
    if (step.trigger) dependency_trigger();
    const gru_cuda_backward_sequence &w = step.sequence[blockIdx.z];
    const gru_cuda_sequence &q = w.forward;
    const int octet = int(blockIdx.y) * OCTETS, row_octet = int(blockIdx.x) * TILES;
    SweepUnit u[OUTPUTS] = {};
    auto load_units = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
            const int place = int(threadIdx.x) + i * STEP_THREADS, row = place / UNITS;
            load_unit(step, part, row < ROWS ? row_octet * 8 + row : q.N, octet * 8 + place % UNITS, u[i]);
        }
    };
    auto load_directs = [&] { GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) load_direct(step, part, u[i]); };
    auto find_all_slopes = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) find_slopes<M>(step, part, u[i]);
    };
    Transposed product(w.R_transposed, octet, GATES * q.groups, part_groups(part, q.groups));
    if (EARLY) load_units();
    if (EARLY) find_all_slopes();
    /* From here on: what the launches before this one have written. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    if (EARLY) load_directs();
    product.run(read_exchange(step, part), row_octet, (q.N + 7) / 8);
    product.deposit(sums);
    if (!EARLY) load_units();
    if (!EARLY) load_directs();
    if (!EARLY) find_all_slopes();
    GRU_FAULT_POINT(slices_stored) __syncthreads(); /* the slices of all warps are there */
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
        float sum = 0.0f;
        if (u[i].o.active)
            sum = Transposed::PartSums::total(sums, 0, u[i].o.n - row_octet * 8, u[i].o.unit - octet * 8);
        store_attention(step, part, u[i].o, finish_unit<M>(step, part, u[i], sum));
    }
}

/* ---- variants ---- */

using Kernel = void (*)(Sweep);
struct Variant {
    gru_cuda_block_tile tile;
    Kernel kernel;
};

template <class M, int OCTETS, int TILES> Variant variant() {
    return {{OCTETS, TILES, 1, Sums<OCTETS * 8, TILES * 8, 1>::BYTES},
            backward_step_kernel<M, OCTETS, TILES>};
}

/* The tiles that exist. Calls visit(variant) for each until it returns true. */
template <class M, class Visit> bool visit_tiles(Visit visit) {
    if (visit(variant<M, 1, 1>())) return true;
    if constexpr (!M::TENSOR)
        return visit(variant<M, 1, 2>()) || visit(variant<M, 1, 4>());
    else
        return visit(variant<M, 2, 1>()) || visit(variant<M, 2, 2>()) || visit(variant<M, 2, 4>()) ||
               visit(variant<M, 2, 8>());
}

template <class Visit> bool visit_variants(gru_cuda_compute_type compute_type, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit_tiles<decltype(m)>(visit); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_backward_step(gru_cuda_compute_type compute_type,
                                                     gru_cuda_gate_set part, gru_cuda_block_tile tile,
                                                     const gru_cuda_backward_step_args *step,
                                                     cudaStream_t stream) {
    const gru_cuda_sequence &q = step->sequence[0].forward;
    cudaError_t error = cudaErrorInvalidValue; /* no such tile */
    visit_variants(compute_type, [&](const Variant &v) {
        if (v.tile.unit_octets != tile.unit_octets || v.tile.batch_octets != tile.batch_octets) return false;
        Launch launch;
        launch.grid = dim3(blocks_for(q.N, tile.batch_octets * 8), blocks_for(q.octets, tile.unit_octets),
                           unsigned(step->directions));
        launch.block = dim3(STEP_THREADS);
        launch.shared_bytes = v.tile.shared_bytes;
        launch.depends = step->depends != 0;
        error = start(v.kernel, launch, Sweep{*step, part}, stream);
        return true;
    });
    return error;
}

extern "C" int32_t gru_cuda_backward_step_tiles(gru_cuda_compute_type compute_type,
                                                gru_cuda_block_tile *tiles) {
    int32_t count = 0;
    visit_variants(compute_type, [&](const Variant &v) {
        tiles[count++] = v.tile;
        return false;
    });
    return count;
}

extern "C" cudaError_t gru_cuda_load_backward_step(gru_cuda_compute_type compute_type) {
    cudaError_t error = cudaSuccess;
    visit_variants(compute_type, [&](const Variant &v) {
        error = load(v.kernel, v.tile.shared_bytes);
        return error != cudaSuccess;
    });
    return error;
}
