/* cuda_mainloop_small.cuh: the main loop of small block tiles: R h forward, R' dc backward.
 *
 * The eight warps of a block each sum one slice of k, for all units and rows of the block tile. So each weight and state is
 * read by one warp, and only partial sums go through shared memory. A slice is one chain of additions; slices are added in
 * ascending order. The chains depend on H alone, so neither the block tile nor the other rows change the bits. */
#ifndef GRU_CUDA_MAINLOOP_SMALL_CUH
#define GRU_CUDA_MAINLOOP_SMALL_CUH

#include "cuda_math_types.cuh"

namespace {

constexpr int SLICES = GRU_CUDA_SLICES, STEP_THREADS = SLICES * 32;

/* Minimum of resident blocks: two, so that the blocks of a step can start and load their weights before those of the
 * previous step have ended. The widest tiles need the registers for their sums. */
template <class M, int ROW_OCTETS> constexpr int MIN_BLOCKS = ROW_OCTETS >= (M::TENSOR ? 8 : 2) ? 1 : 2;

/* A range of groups of k. */
struct Slice {
    int first, last;
};

GRU_DEVICE Slice slice_of(int warp, Slice all) {
    const int each = (all.last - all.first + SLICES - 1) / SLICES;
    return {min(all.first + warp * each, all.last), min(all.first + (warp + 1) * each, all.last)};
}

/* Groups of k whose weights are loaded ahead. With one gate, weights and sums need a third of the registers; without tensor
 * cores states need none. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS> constexpr int groups_ahead(int gates) {
    if (!M::TENSOR) return gates == 1 ? 6 : ROW_OCTETS == 2 ? 4 : 2;
    if (gates == 1) return ROW_OCTETS == 1 ? (UNIT_OCTETS == 1 ? 6 : 4) : ROW_OCTETS <= 4 ? 2 : 1;
    return ROW_OCTETS >= 4 ? 1 : UNIT_OCTETS == 1 && ROW_OCTETS == 1 ? 4 : 2;
}

/* Partial sums in shared memory, [slice][gate][row][unit]. The pitch is four more than the units, so that neither the stores of
 * fragments nor the loads along units have bank conflicts. */
template <int UNITS, int ROWS, int COUNT> struct PartialSums {
    static constexpr int PITCH = UNITS + 4, SLICE = COUNT * ROWS * PITCH;
    static constexpr int BYTES = SLICES * SLICE * int(sizeof(float));
    static GRU_DEVICE int at(int g, int row, int unit) { return (g * ROWS + row) * PITCH + unit; }
    /* All slices of one sum, in ascending order. */
    static GRU_DEVICE float total(const float *sums, int g, int row, int unit) {
        float sum = 0.0f;
        GRU_UNROLL for (int slice = 0; slice < SLICES; slice++) sum += sums[slice * SLICE + at(g, row, unit)];
        return sum;
    }
};

/* UNIT_OCTETS octets of units (from octet on) of COUNT gates (from FIRST on), times ROW_OCTETS octets of rows (from row_octet
 * on). Weights: [unit octet][group][GATES_EACH gates][fragment tile]. AHEAD: as many as leave registers for MIN_BLOCKS blocks. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS, int FIRST, int COUNT, int GATES_EACH = GATES,
          int AHEAD = groups_ahead<M, UNIT_OCTETS, ROW_OCTETS>(GATES_EACH)>
struct Mainloop {
    static_assert(M::TENSOR || UNIT_OCTETS == 1,
                  "a warp multiplies one octet of units where it has no tensor cores");
    static constexpr int PER_LANE = M::TENSOR ? 4 : 8;
    using Sums = PartialSums<UNIT_OCTETS * 8, ROW_OCTETS * 8, COUNT>;
    /* Without tensor cores states go through shared memory, where all lanes read each row: a ring of DEPTH groups for each
     * warp. */
    static constexpr int DEPTH = M::TENSOR ? 0 : 8 / ROW_OCTETS;
    static constexpr int STAGE_BYTES = SLICES * DEPTH * ROW_OCTETS * GRU_CUDA_FRAGMENT_BYTES;

    const uint4 *weights; /* this lane's first word of the next groups to fetch, first octet and gate */
    const uint4 *states;  /* the first word of the slice's states, first row octet */
    int groups, rows, lane;
    Slice slice;
    uint4 word[AHEAD][COUNT][UNIT_OCTETS];
    float sum[COUNT][ROW_OCTETS][PER_LANE];

    /* all: the groups over which the block sums. */
    GRU_DEVICE Mainloop(const void *matrix, int octet, int groups_each, Slice all)
        : groups(groups_each), lane(threadIdx.x % 32), slice(slice_of(int(threadIdx.x) / 32, all)) {
        weights = static_cast<const uint4 *>(matrix) +
                  ((int64_t(octet) * groups + slice.first) * GATES_EACH + FIRST) * 32 + lane;
        GRU_UNROLL for (int g = 0; g < COUNT; g++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
            GRU_UNROLL for (int i = 0; i < PER_LANE; i++) sum[g][tile][i] = 0.0f;
        fetch(slice.first);
    }

    /* Loads the weights of AHEAD groups. No step writes weights, so this may precede dependency_wait. */
    GRU_DEVICE void fetch(int k) {
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) GRU_UNROLL for (int o = 0; o < UNIT_OCTETS; o++) {
            const uint4 *from = weights + (o * groups + i) * (GATES_EACH * 32);
            GRU_UNROLL for (int g = 0; g < COUNT; g++) if (k + i < slice.last) word[i][g][o] =
                load_stream(from + g * 32);
        }
        weights += AHEAD * GATES_EACH * 32;
    }

    /* What run multiplies with: exchange, [row octet][group][fragment tile]. exists: so many rows from the first of the tile
     * on. Only computes addresses, so this may precede dependency_wait. */
    GRU_DEVICE void aim(const void *exchange, int row_octet, int exists) {
        rows = exists;
        states = static_cast<const uint4 *>(exchange) + (int64_t(row_octet) * groups + slice.first) * 32;
    }
    /* stages: STAGE_BYTES of shared memory. */
    GRU_DEVICE void run(void *stages) {
        if constexpr (M::TENSOR)
            run_mma();
        else if (rows == 1)
            run_fma<1>(static_cast<uint4 *>(stages));
        else if (ROW_OCTETS == 1 && rows <= 4)
            run_fma<4>(static_cast<uint4 *>(stages));
        else
            run_fma<8>(static_cast<uint4 *>(stages));
    }

    /* A load under a condition of its own would wait for the products before it, so a row octet that does not exist is replaced
     * by the last one, and its sums are not used. */
    GRU_DEVICE void run_mma() {
        int octet_at[ROW_OCTETS];
        GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++) octet_at[tile] =
            tile ? min(tile, (rows - 1) / 8) * (groups * 32) : 0;
        const uint4 *from = states + lane;
        for (int k = slice.first; k < slice.last; k += AHEAD) {
            if (k != slice.first) fetch(k);
            multiply_mma<AHEAD>(from, octet_at, k);
            from += AHEAD * 32;
        }
    }

    /* Multiplies the next LENGTH groups, or as many as the slice has left. Loads of states bypass L1, because another launch
     * wrote them. All loads of a round are issued before the first product. */
    template <int LENGTH>
    GRU_DEVICE void multiply_mma(const uint4 *from, const int (&octet_at)[ROW_OCTETS], int k) {
        if constexpr (LENGTH > 1)
            if (k + LENGTH > slice.last) return multiply_mma<LENGTH - 1>(from, octet_at, k);
        uint4 h[LENGTH][ROW_OCTETS];
        GRU_UNROLL for (int i = 0; i < LENGTH; i++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
            h[i][tile] = __ldcg(from + octet_at[tile] + i * 32);
        GRU_UNROLL for (int i = 0; i < LENGTH; i++) GRU_UNROLL for (int g = 0; g < COUNT; g++) {
            const uint4 low = word[i][g][0];
            const uint4 high = UNIT_OCTETS == 2 ? word[i][g][UNIT_OCTETS - 1] : make_uint4(0, 0, 0, 0);
            GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
                M::mma(sum[g][tile], {low.x, high.x, low.y, high.y}, {h[i][tile].x, h[i][tile].y});
            GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
                M::mma(sum[g][tile], {low.z, high.z, low.w, high.w}, {h[i][tile].z, h[i][tile].w});
        }
    }

    /* Copies the states of group `at` of the slice into the warp's ring of stages; of rows that do not exist the last one. */
    template <int PRESENT> GRU_DEVICE void stage(uint4 *ring, int at) {
        uint4 *to = ring + unsigned(at) % DEPTH * (ROW_OCTETS * 32) + lane;
        if (slice.first + at < slice.last && lane / 4 < PRESENT)
            GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++) {
                if (tile && tile * 8 >= rows) continue;
                const int row = min(tile * 8 + lane / 4, rows - 1);
                copy_async16(to + tile * 32, states + (row / 8 * groups + at) * 32 + row % 8 * 4 + lane % 4);
            }
        copy_async_commit();
    }

    /* Four lanes share a unit; each takes its 16 bytes of each of the PRESENT rows of an octet. Only the first states are waited
     * for: those of DEPTH groups, and the weights of AHEAD, are on their way at any time. Weights are not fetched under a
     * condition, which would wait for them: behind the last group it is fetched again, and not used. */
    template <int PRESENT> GRU_DEVICE void run_fma(uint4 *stages) {
        const int count = slice.last - slice.first;
        uint4 *ring = stages + int(threadIdx.x) / 32 * (DEPTH * ROW_OCTETS * 32);
        const uint4 *first = weights - AHEAD * GATES_EACH * 32;
        GRU_UNROLL for (int i = 0; i < DEPTH; i++) stage<PRESENT>(ring, i);
        for (int k = 0; k < count; k += AHEAD) GRU_UNROLL for (int i = 0; i < AHEAD; i++) {
                if (k + i >= count) break;
                copy_async_wait<DEPTH - 1>();
                __syncwarp(); /* the copies of all lanes are there */
                const uint4 *from = ring + unsigned(k + i) % DEPTH * (ROW_OCTETS * 32) + lane % 4;
                GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++) {
                    if (tile && tile * 8 >= rows) continue;
                    GRU_UNROLL for (int row = 0; row < PRESENT; row++) {
                        const uint4 h = from[tile * 32 + row * 4];
                        GRU_UNROLL for (int g = 0; g < COUNT; g++)
                            add_products(word[i][g][0], h, sum[g][tile][row]);
                    }
                }
                const uint4 *next = first + min(k + i + AHEAD, count - 1) * (GATES_EACH * 32);
                GRU_UNROLL for (int g = 0; g < COUNT; g++) word[i][g][0] = load_stream(next + g * 32);
                __syncwarp(); /* all lanes have read the stage */
                stage<PRESENT>(ring, k + i + DEPTH);
            }
        copy_async_wait<0>();
    }

    static GRU_DEVICE void add_products(const uint4 &w, const uint4 &h, float &s) {
        s = __fmaf_rn(__uint_as_float(w.x), __uint_as_float(h.x), s);
        s = __fmaf_rn(__uint_as_float(w.y), __uint_as_float(h.y), s);
        s = __fmaf_rn(__uint_as_float(w.z), __uint_as_float(h.z), s);
        s = __fmaf_rn(__uint_as_float(w.w), __uint_as_float(h.w), s);
    }

    /* Stores this warp's partial sums. A lane of an mma holds units lane / 4 (and 8 more) of rows 2 (lane % 4) and the next.
     * Without tensor cores the four lanes of a unit hold every fourth 16 bytes of k, which are added here. */
    GRU_DEVICE void store_partial_sums(float *sums) const {
        float *warp_sums = sums + threadIdx.x / 32 * Sums::SLICE;
        GRU_UNROLL for (int g = 0; g < COUNT; g++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++) {
            if constexpr (M::TENSOR) {
                GRU_UNROLL for (int i = 0; i < 2 * UNIT_OCTETS; i++)
                    warp_sums[Sums::at(g, tile * 8 + lane % 4 * 2 + i % 2, i / 2 * 8 + lane / 4)] =
                        sum[g][tile][i];
            } else {
                GRU_UNROLL for (int row = 0; row < 8; row++) {
                    float s = sum[g][tile][row];
                    s += __shfl_xor_sync(0xffffffffu, s, 1);
                    s += __shfl_xor_sync(0xffffffffu, s, 2);
                    if (lane % 4 == row % 4) warp_sums[Sums::at(g, tile * 8 + row, lane / 4)] = s;
                }
            }
        }
    }
};

} // namespace
#endif
