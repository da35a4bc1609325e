/* cuda_step.cu: one step of a layer in one launch, for any size. Weights stream through registers once; the epilogue runs in
 * the block that has the sums. Reset BEFORE takes two launches: reset and update gate, then the candidate. */
#include "cuda_epilogue.cuh"
#include "cuda_epilogue_default.cuh"
#include "cuda_launch.cuh"
#include "cuda_mainloop_small.cuh"

namespace {

/* Projected input of a block on its way to shared memory, [row][unit octet][gate][8]: in registers it would leave too few for
 * the main loop of a wide tile. */
template <int UNIT_OCTETS, int ROW_OCTETS> struct StagedInput {
    static constexpr int ROW = UNIT_OCTETS * GATES * 8, ROWS = ROW_OCTETS * 8;
    static constexpr int BYTES = ROW * ROWS * int(sizeof(float));
    /* Of rows n, n + 1 .. that exist. */
    static GRU_DEVICE void copy(const gru_cuda_input &input, int octet, int n, int rows, float *staged) {
        const float *from =
            static_cast<const float *>(input.data) + n * input.batch_stride + octet * (GATES * 8);
        for (int i = int(threadIdx.x) * 4; i < ROW * ROWS; i += STEP_THREADS * 4)
            if (i / ROW < rows) copy_async16(staged + i, from + i / ROW * input.batch_stride + i % ROW);
        copy_async_commit();
    }
};

/* What a thread computes on the default path: one unit of every APART-th row. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS> struct DefaultTile {
    static constexpr bool STAGED = M::TENSOR && UNIT_OCTETS * ROW_OCTETS > 1;
    static constexpr int UNITS = UNIT_OCTETS * 8, ROWS = ROW_OCTETS * 8, APART = STEP_THREADS / UNITS;
    static constexpr int OUTPUTS = (ROWS + APART - 1) / APART;
    static constexpr int STAGED_BYTES = STAGED ? StagedInput<UNIT_OCTETS, ROW_OCTETS>::BYTES : 0;
    int row, at, n, unit, rows; /* in the tile; in the batch; rows from n on */

    GRU_DEVICE DefaultTile(const gru_cuda_sequence &seq, int octet, int row_octet)
        : row(int(threadIdx.x) / UNITS), at(int(threadIdx.x) % UNITS), n(row_octet * 8 + row),
          unit(octet * 8 + at), rows(row < ROWS && unit < seq.H ? seq.N - n : 0) {}

    GRU_DEVICE bool present(int i) const { return i * APART < rows; }

    /* Adds the partial sums and stores the next states. */
    template <class Sums>
    GRU_DEVICE void finish(const DefaultOutput<M> &out, int groups, const float *sums,
                           float (&a)[OUTPUTS][GATES], const float (&h)[OUTPUTS]) const {
        const int64_t operands = int64_t(APART / 8) * groups * 8 * GROUP<M>; /* from a row to the next */
        float next[OUTPUTS];
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
            float c[GATES];
            GRU_UNROLL for (int g = 0; g < GATES; g++) c[g] = Sums::total(sums, g, row + i * APART, at);
            next[i] = out.next_state(a[i], c, h[i]);
        }
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (present(i))
            out.store(i, i * operands, h[i], next[i]);
    }
};

/* The default path of a step with all gates: all that is left after the wait are the numbers of the previous step. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS, class Loop>
GRU_DEVICE void default_step(const gru_cuda_step_args &step, Loop &mainloop, float *sums, int octet,
                             int row_octet) {
    using Tile = DefaultTile<M, UNIT_OCTETS, ROW_OCTETS>;
    using Staged = StagedInput<UNIT_OCTETS, ROW_OCTETS>;
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z];
    const gru_cuda_input &input = step.input[blockIdx.z];
    const Tile tile(seq, octet, row_octet);
    const int first = row_octet * 8, rows = seq.N - first;
    float *const behind_sums = sums + Loop::Sums::BYTES / sizeof(float);
    float a[Tile::OUTPUTS][GATES] = {}, h[Tile::OUTPUTS] = {};
    mainloop.aim(seq.exchange[step.s % 2], row_octet, rows);
    if constexpr (Tile::STAGED) {
        Staged::copy(input, octet, first, rows, behind_sums);
        const int64_t step_apart = int64_t(Tile::APART) * seq.octets * 8;
        const float *state = seq.state + int64_t(tile.n) * seq.octets * 8 + tile.unit;
        GRU_FAULT_POINT(earlier_launches_staged) dependency_wait();
        GRU_UNROLL for (int i = 0; i < Tile::OUTPUTS; i++) if (tile.present(i)) h[i] =
            __ldcg(state + i * step_apart);
        mainloop.run(nullptr);
        mainloop.store_partial_sums(sums);
        const DefaultOutput<M> out(step, seq, input, tile.n, tile.unit, Tile::APART);
        copy_async_wait<0>();
        /* The partial sums of all warps are stored, and the inputs are there. */
        GRU_FAULT_POINT(slices_stored_staged) __syncthreads();
        GRU_UNROLL for (int i = 0; i < Tile::OUTPUTS; i++) if (tile.present(i))
            GRU_UNROLL for (int g = 0; g < GATES; g++) a[i][g] =
                behind_sums[(tile.row + i * Tile::APART) * Staged::ROW + packed_unit(tile.at, g)];
        if (tile.rows > 0) tile.template finish<typename Loop::Sums>(out, seq.groups, sums, a, h);
    } else {
        static_assert(Tile::OUTPUTS == 1, "one output in registers");
        const DefaultOutput<M> out(step, seq, input, tile.n, tile.unit, Tile::APART);
        GRU_UNROLL for (int g = 0; g < GATES; g++) if (tile.rows > 0) a[0][g] = out.input[g * 8];
        /* What earlier launches wrote may only be read from here on. */
        GRU_FAULT_POINT(earlier_launches_default) dependency_wait();
        if (tile.rows > 0) h[0] = __ldcg(out.state);
        mainloop.run(behind_sums);
        mainloop.store_partial_sums(sums);
        GRU_FAULT_POINT(slices_stored_default) __syncthreads(); /* the partial sums of all warps are stored */
        if (tile.rows > 0) tile.template finish<typename Loop::Sums>(out, seq.groups, sums, a, h);
    }
}

/* Block: UNIT_OCTETS x ROW_OCTETS octets of units and rows. Grid: rows (there may be millions), units, directions. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS, gru_cuda_gate_set GATE_SET>
__global__ void __launch_bounds__(STEP_THREADS, (MIN_BLOCKS<M, ROW_OCTETS>))
    step_kernel(const __grid_constant__ gru_cuda_step_args step) {
    constexpr int UNITS = UNIT_OCTETS * 8, ROWS = ROW_OCTETS * 8, FIRST = FIRST_GATE<GATE_SET>,
                  COUNT = GATE_COUNT<GATE_SET>;
    constexpr int OUTPUTS = (UNITS * ROWS + STEP_THREADS - 1) / STEP_THREADS; /* of one thread */
    constexpr bool EARLY =
        OUTPUTS == 1; /* inputs wait in registers; more would leave too few for the main loop */
    using Loop = Mainloop<M, UNIT_OCTETS, ROW_OCTETS, FIRST, COUNT>;
    GRU_DYNAMIC_SHARED(float, sums);
    if (step.trigger) dependency_trigger();
    const gru_cuda_sequence &seq = step.sequence[blockIdx.z];
    const gru_cuda_input &input = step.input[blockIdx.z];
    const int octet = int(blockIdx.y) * UNIT_OCTETS, row_octet = int(blockIdx.x) * ROW_OCTETS;
    Loop mainloop(seq.R, octet, seq.groups, {0, seq.groups});
    if constexpr (GATE_SET == GRU_CUDA_ALL_GATES)
        if (step.default_path && !step.last)
            return default_step<M, UNIT_OCTETS, ROW_OCTETS>(step, mainloop, sums, octet, row_octet);
    auto output = [&](int i) {
        const int index = int(threadIdx.x) + i * STEP_THREADS, row = index / UNITS;
        return output_at(seq, step.s, row < ROWS ? row_octet * 8 + row : seq.N, octet * 8 + index % UNITS);
    };
    /* A thread has one unit of all its rows. All loads are issued before the first result is used. */
    Output out[OUTPUTS];
    float a[OUTPUTS][COUNT] = {}, bias[COUNT] = {}, h[OUTPUTS] = {};
    auto load_inputs = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) out[i] = output(i);
        GRU_UNROLL for (int g = 0; g < COUNT; g++) {
            GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (out[i].active) a[i][g] =
                projected_at(input, out[i], FIRST + g);
            if (out[0].exists) bias[g] = recurrent_bias(seq, out[0].unit, FIRST + g);
        }
    };
    auto load_states = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (out[i].exists) h[i] = entering_state(seq, out[i]);
    };
    auto add_input_bias = [&] {
        GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) if (out[i].active)
            GRU_UNROLL for (int g = 0; g < COUNT; g++) a[i][g] =
                input_side(input, out[i], FIRST + g, a[i][g]);
    };
    if (EARLY) load_inputs();
    if (EARLY) add_input_bias();
    /* What earlier launches wrote may only be read from here on. */
    GRU_FAULT_POINT(earlier_launches) dependency_wait();
    if (EARLY) load_states();
    mainloop.aim(GATE_SET == GRU_CUDA_CANDIDATE ? seq.exchange_reset : seq.exchange[step.s % 2], row_octet,
                 seq.N - row_octet * 8);
    mainloop.run(sums + Loop::Sums::BYTES / sizeof(float));
    mainloop.store_partial_sums(sums);
    if (EARLY) out[0] = output(0); /* again: during the main loop it would take registers */
    if (!EARLY) load_inputs();
    if (!EARLY) load_states();
    if (!EARLY) add_input_bias();
    GRU_FAULT_POINT(slices_stored) __syncthreads(); /* the partial sums of all warps are stored */
    GRU_UNROLL for (int i = 0; i < OUTPUTS; i++) {
        if (!out[i].exists) continue;
        float c[COUNT];
        GRU_UNROLL for (int g = 0; g < COUNT; g++) c[g] =
            Loop::Sums::total(sums, g, out[i].n - row_octet * 8, out[i].unit - octet * 8) + bias[g];
        epilogue_forward<M, GATE_SET>(step, seq, out[i], a[i], c, h[i]);
    }
}

/* ---- variants ---- */

using Kernel = void (*)(gru_cuda_step_args);
struct Variant {
    gru_cuda_block_tile block_tile;
    Kernel kernel;
    int shared_bytes;
};

template <class M, int UNIT_OCTETS, int ROW_OCTETS, gru_cuda_gate_set GATE_SET> Variant make_variant() {
    using Loop = Mainloop<M, UNIT_OCTETS, ROW_OCTETS, FIRST_GATE<GATE_SET>, GATE_COUNT<GATE_SET>>;
    constexpr int staged =
        GATE_SET == GRU_CUDA_ALL_GATES ? DefaultTile<M, UNIT_OCTETS, ROW_OCTETS>::STAGED_BYTES : 0;
    return {{UNIT_OCTETS, ROW_OCTETS, 1, 0},
            step_kernel<M, UNIT_OCTETS, ROW_OCTETS, GATE_SET>,
            Loop::Sums::BYTES + Loop::STAGE_BYTES + staged};
}

/* Calls visit(variant) for every block tile until it returns true. Reset BEFORE has fewer tiles, because each needs two
 * kernels. */
template <class M, gru_cuda_gate_set GATE_SET, class Visit> bool visit_tiles(Visit visit) {
    if (visit(make_variant<M, 1, 1, GATE_SET>())) return true;
    if constexpr (!M::TENSOR) {
        if constexpr (GATE_SET == GRU_CUDA_ALL_GATES)
            if (visit(make_variant<M, 1, 2, GATE_SET>())) return true;
        return visit(make_variant<M, 1, 4, GATE_SET>());
    } else {
        if constexpr (GATE_SET == GRU_CUDA_ALL_GATES)
            if (visit(make_variant<M, 2, 1, GATE_SET>()) || visit(make_variant<M, 2, 2, GATE_SET>()))
                return true;
        return visit(make_variant<M, 2, 4, GATE_SET>()) || visit(make_variant<M, 2, 8, GATE_SET>());
    }
}

template <class M, class Visit> bool visit_gate_set(gru_cuda_gate_set gate_set, Visit visit) {
    switch (gate_set) {
    case GRU_CUDA_ALL_GATES:
        return visit_tiles<M, GRU_CUDA_ALL_GATES>(visit);
    case GRU_CUDA_RESET_UPDATE:
        return visit_tiles<M, GRU_CUDA_RESET_UPDATE>(visit);
    default:
        return visit_tiles<M, GRU_CUDA_CANDIDATE>(visit);
    }
}

template <class Visit>
bool visit_variants(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set, Visit visit) {
    return dispatch_compute_type(compute_type,
                                 [&](auto m) { return visit_gate_set<decltype(m)>(gate_set, visit); });
}

} // namespace

extern "C" cudaError_t gru_cuda_launch_step(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set,
                                            gru_cuda_block_tile block_tile, const gru_cuda_step_args *step,
                                            cudaStream_t stream) {
    const gru_cuda_sequence &seq = step->sequence[0];
    cudaError_t error = cudaErrorInvalidValue; /* no such tile */
    visit_variants(compute_type, gate_set, [&](const Variant &variant) {
        if (variant.block_tile.unit_octets != block_tile.unit_octets ||
            variant.block_tile.batch_octets != block_tile.batch_octets)
            return false;
        Launch launch;
        launch.grid = dim3(blocks_for(seq.N, block_tile.batch_octets * 8),
                           blocks_for(seq.H, block_tile.unit_octets * 8), unsigned(step->directions));
        launch.block = dim3(STEP_THREADS);
        launch.shared_bytes = variant.shared_bytes;
        launch.depends = step->depends != 0;
        error = start(variant.kernel, launch, *step, stream);
        return true;
    });
    return error;
}

extern "C" int32_t gru_cuda_step_tiles(gru_cuda_compute_type compute_type, gru_cuda_gate_set gate_set,
                                       gru_cuda_block_tile *tiles) {
    int32_t count = 0;
    visit_variants(compute_type, gate_set, [&](const Variant &variant) {
        tiles[count] = variant.block_tile;
        tiles[count++].shared_bytes = variant.shared_bytes;
        return false;
    });
    return count;
}

extern "C" cudaError_t gru_cuda_load_step(gru_cuda_compute_type compute_type, int32_t reset) {
    const gru_cuda_gate_set parts[] = {reset == GRU_RESET_BEFORE ? GRU_CUDA_RESET_UPDATE : GRU_CUDA_ALL_GATES,
                                       GRU_CUDA_CANDIDATE};
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < (reset == GRU_RESET_BEFORE ? 2 : 1); i++)
        visit_variants(compute_type, parts[i], [&](const Variant &variant) {
            error = load(variant.kernel, variant.shared_bytes);
            return error != cudaSuccess;
        });
    return error;
}
