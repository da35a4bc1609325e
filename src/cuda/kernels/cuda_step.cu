/* cuda_step.cu: one step of a layer in one launch, any size: weights stream through the registers once, and gates,
 * candidate and state are finished where the sums meet. Reset BEFORE takes two launches: the gates, then the candidate. */
#include "cuda_epilogue.cuh"
#include "cuda_launch.cuh"
#include "cuda_mainloop_small.cuh"

namespace {

/* Block: OCTETS octets of units x TILES octets of rows; grid: along rows (there may be millions), units,
 * directions. */
template <class M, int OCTETS, int TILES, gru_cuda_gate_set PART>
__global__ void __launch_bounds__(STEP_THREADS, (GENERATIONS<M, TILES>))
    step_kernel(const __grid_constant__ gru_cuda_step_args step) {
    constexpr int UNITS = OCTETS * 8, ROWS = TILES * 8, FIRST = FIRST_GATE<PART>, COUNT = GATE_COUNT<PART>;
    constexpr int OUTPUTS = (UNITS * ROWS + STEP_THREADS - 1) / STEP_THREADS; /* of one thread */
    constexpr bool EARLY =
        OUTPUTS == 1; /* inputs wait in registers; more would push the products out of them */
    using Part = Product<M, OCTETS, TILES, FIRST, COUNT>;
    GRU_DYNAMIC_SHARED(float, sums);
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &q = step.sequence[blockIdx.z];
    const gru_cuda_input &input = step.input[blockIdx.z];
    const int octet = int(blockIdx.y) * OCTETS, row_octet = int(blockIdx.x) * TILES;
    auto output = [&](int i) {
        const int place = int(threadIdx.x) + i * STEP_THREADS, row = place / UNITS;
        return output_at(q, step.s, row < ROWS ? row_octet * 8 + row : q.N, octet * 8 + place % UNITS);
    };
    /* A thread has one unit of all its rows. Everything is on its way before any of it is waited for. */
    Output o[OUTPUTS];
    float a[OUTPUTS][COUNT] = {}, bias[COUNT] = {}, h[OUTPUTS] = {};
    auto load_inputs = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) o[i] = output(i);
        GRU_UNROLL for (int g = 0; g < COUNT; g++) {
            GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (o[i].active) a[i][g] =
                projected_at(input, o[i], FIRST + g);
            if (o[0].exists) bias[g] = recurrent_bias(q, o[0].unit, FIRST + g);
        }
    };
    auto load_states = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (o[i].exists) h[i] = entering_state(q, o[i]);
    };
    auto add_input_bias = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (o[i].active)
            GRU_UNROLL for (int g = 0; g < COUNT; g++) a[i][g] = input_side(input, o[i], FIRST + g, a[i][g]);
    };
    Part product(q.R, octet, q.groups, {0, q.groups});
    if (EARLY) load_inputs();
    if (EARLY) add_input_bias();
    /* From here on: what the launches before this one have written. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    if (EARLY) load_states();
    product.run(PART == GRU_CUDA_CANDIDATE ? q.exchange_reset : q.exchange[step.s % 2], row_octet,
                (q.N + 7) / 8);
    product.deposit(sums);
    if (!EARLY) load_inputs();
    if (!EARLY) load_states();
    if (!EARLY) add_input_bias();
    GRU_FAULT_POINT(slices_stored) __syncthreads(); /* the slices of all warps are there */
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
        if (!o[i].exists) continue;
        float c[COUNT];
        GRU_UNROLL for (int g = 0; g < COUNT; g++) c[g] =
            Part::PartSums::total(sums, g, o[i].n - row_octet * 8, o[i].unit - octet * 8) + bias[g];
        finish<M, PART>(step, q, o[i], a[i], c, h[i]);
    }
}

/* ---- variants ---- */

using Kernel = void (*)(gru_cuda_step_args);
struct Variant {
    gru_cuda_block_tile tile;
    Kernel kernel;
    int shared_bytes;
};

template <class M, int OCTETS, int TILES, gru_cuda_gate_set PART> Variant variant() {
    return {{OCTETS, TILES, 1, 0},
            step_kernel<M, OCTETS, TILES, PART>,
            Sums<OCTETS * 8, TILES * 8, GATE_COUNT<PART>>::BYTES};
}

/* The tiles that exist. Calls visit(variant) for each until it returns true. Reset BEFORE has fewer: every tile is two
 * kernels there. */
template <class M, gru_cuda_gate_set PART, class Visit> bool visit_tiles(Visit visit) {
    if (visit(variant<M, 1, 1, PART>())) return true;
    if constexpr (!M::TENSOR) {
        if constexpr (PART == GRU_CUDA_ALL_GATES)
            if (visit(variant<M, 1, 2, PART>())) return true;
        return visit(variant<M, 1, 4, PART>());
    } else {
        if constexpr (PART == GRU_CUDA_ALL_GATES)
            if (visit(variant<M, 2, 1, PART>()) || visit(variant<M, 2, 2, PART>())) return true;
        return visit(variant<M, 2, 4, PART>()) || visit(variant<M, 2, 8, PART>());
    }
}

template <class M, class Visit> bool visit_part(gru_cuda_gate_set part, Visit visit) {
    switch (part) {
    case GRU_CUDA_ALL_GATES:
        return visit_tiles<M, GRU_CUDA_ALL_GATES>(visit);
    case GRU_CUDA_RESET_UPDATE:
        return visit_tiles<M, GRU_CUDA_RESET_UPDATE>(visit);
    default:
        return visit_tiles<M, GRU_CUDA_CANDIDATE>(visit);
    }
}

template <class Visit>
bool visit_variants(gru_cuda_compute_type compute_type, gru_cuda_gate_set part, Visit visit) {
    return dispatch_compute_type(compute_type, [&](auto m) { return visit_part<decltype(m)>(part, visit); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_step(gru_cuda_compute_type compute_type, gru_cuda_gate_set part,
                                            gru_cuda_block_tile tile, const gru_cuda_step_args *step,
                                            cudaStream_t stream) {
    const gru_cuda_sequence &q = step->sequence[0];
    cudaError_t error = cudaErrorInvalidValue; /* no such tile */
    visit_variants(compute_type, part, [&](const Variant &v) {
        if (v.tile.unit_octets != tile.unit_octets || v.tile.batch_octets != tile.batch_octets) return false;
        Launch launch;
        launch.grid = dim3(blocks_for(q.N, tile.batch_octets * 8), blocks_for(q.H, tile.unit_octets * 8),
                           unsigned(step->directions));
        launch.block = dim3(STEP_THREADS);
        launch.shared_bytes = v.shared_bytes;
        launch.depends = step->depends != 0;
        error = start(v.kernel, launch, *step, stream);
        return true;
    });
    return error;
}

extern "C" int32_t gru_cuda_step_tiles(gru_cuda_compute_type compute_type, gru_cuda_gate_set part,
                                       gru_cuda_block_tile *tiles) {
    int32_t count = 0;
    visit_variants(compute_type, part, [&](const Variant &v) {
        tiles[count] = v.tile;
        tiles[count++].shared_bytes = v.shared_bytes;
        return false;
    });
    return count;
}

extern "C" cudaError_t gru_cuda_load_step(gru_cuda_compute_type compute_type, int32_t reset) {
    const gru_cuda_gate_set parts[] = {reset == GRU_RESET_BEFORE ? GRU_CUDA_RESET_UPDATE : GRU_CUDA_ALL_GATES,
                                       GRU_CUDA_CANDIDATE};
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < (reset == GRU_RESET_BEFORE ? 2 : 1); i++)
        visit_variants(compute_type, parts[i], [&](const Variant &v) {
            error = load(v.kernel, v.shared_bytes);
            return error != cudaSuccess;
        });
    return error;
}
