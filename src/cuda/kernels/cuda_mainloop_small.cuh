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

/* Groups of k whose weights are loaded ahead. With one gate, weights and sums need a third of the registers. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS> constexpr int groups_ahead(int gates) {
    if (gates == 1)
        return ROW_OCTETS == 1 ? (UNIT_OCTETS == 1 ? 6 : 4) : M::TENSOR && ROW_OCTETS <= 4 ? 2 : 1;
    return ROW_OCTETS >= 4 ? 1 : UNIT_OCTETS == 1 && ROW_OCTETS == 1 && M::TENSOR ? 4 : 2;
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
 * on). Weights: [unit octet][group][GATES_EACH gates][fragment tile]. */
template <class M, int UNIT_OCTETS, int ROW_OCTETS, int FIRST, int COUNT, int GATES_EACH = GATES>
struct Mainloop {
    static_assert(M::TENSOR || UNIT_OCTETS == 1,
                  "a warp multiplies one octet of units where it has no tensor cores");
    static constexpr int PER_LANE = M::TENSOR ? 4 : 8;
    /* As many as leave registers for MIN_BLOCKS blocks. */
    static constexpr int AHEAD = groups_ahead<M, UNIT_OCTETS, ROW_OCTETS>(GATES_EACH);
    using Sums = PartialSums<UNIT_OCTETS * 8, ROW_OCTETS * 8, COUNT>;

    const uint4 *weights; /* this lane's first word of the block's first octet */
    int groups, lane;
    Slice slice;
    uint4 word[AHEAD][COUNT][UNIT_OCTETS];
    float sum[COUNT][ROW_OCTETS][PER_LANE];

    /* all: the groups over which the block sums. */
    GRU_DEVICE Mainloop(const void *matrix, int octet, int groups_each, Slice all)
        : groups(groups_each), lane(threadIdx.x % 32), slice(slice_of(int(threadIdx.x) / 32, all)) {
        weights = static_cast<const uint4 *>(matrix) + int64_t(octet) * groups * GATES_EACH * 32 + lane;
        GRU_UNROLL for (int g = 0; g < COUNT; g++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
            GRU_UNROLL for (int i = 0; i < PER_LANE; i++) sum[g][tile][i] = 0.0f;
        fetch(slice.first);
    }

    /* Loads the weights of the next groups. No step writes weights, so this may precede dependency_wait. */
    GRU_DEVICE void fetch(int k) {
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) GRU_UNROLL for (int g = 0; g < COUNT; g++)
            GRU_UNROLL for (int o = 0; o < UNIT_OCTETS; o++) if (k + i < slice.last) word[i][g][o] =
                load_stream(weights + ((int64_t(o) * groups + k + i) * GATES_EACH + FIRST + g) * 32);
    }

    /* exchange: [row octet][group][fragment tile]; octets from row_octets on do not exist. */
    GRU_DEVICE void run(const void *exchange, int row_octet, int row_octets) {
        const uint4 *states = static_cast<const uint4 *>(exchange) + int64_t(row_octet) * groups * 32;
        for (int k = slice.first; k < slice.last; k += AHEAD) {
            if (k != slice.first) fetch(k);
            if constexpr (M::TENSOR)
                multiply_mma<AHEAD>(states, k, row_octets - row_octet);
            else
                multiply_fma(states, k, row_octets - row_octet);
        }
    }

    /* Multiplies the next LENGTH groups, or as many as the slice has left. Loads of states bypass L1, because another launch
     * wrote them. All loads of a round are issued before the first product. A load under a condition of its own would wait for
     * the products before it, so a row octet that does not exist is replaced by the last one, and its sums are not used. */
    template <int LENGTH> GRU_DEVICE void multiply_mma(const uint4 *states, int k, int tiles) {
        if constexpr (LENGTH > 1)
            if (k + LENGTH > slice.last) return multiply_mma<LENGTH - 1>(states, k, tiles);
        uint4 h[LENGTH][ROW_OCTETS];
        GRU_UNROLL for (int i = 0; i < LENGTH; i++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
            h[i][tile] = __ldcg(states + (int64_t(min(tile, tiles - 1)) * groups + k + i) * 32 + lane);
        GRU_UNROLL for (int i = 0; i < LENGTH; i++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++)
            GRU_UNROLL for (int g = 0; g < COUNT; g++) {
            const uint4 low = word[i][g][0];
            const uint4 high = UNIT_OCTETS == 2 ? word[i][g][UNIT_OCTETS - 1] : make_uint4(0, 0, 0, 0);
            M::mma(sum[g][tile], {low.x, high.x, low.y, high.y}, {h[i][tile].x, h[i][tile].y});
            M::mma(sum[g][tile], {low.z, high.z, low.w, high.w}, {h[i][tile].z, h[i][tile].w});
        }
    }

    /* Four lanes share a unit; each takes its 16 bytes of each row. */
    GRU_DEVICE void multiply_fma(const uint4 *states, int k, int tiles) {
        GRU_UNROLL for (int i = 0; i < AHEAD; i++) GRU_UNROLL for (int tile = 0; tile < ROW_OCTETS; tile++) {
            if (k + i >= slice.last || tile >= tiles) continue;
            const uint4 *from = states + (int64_t(tile) * groups + k + i) * 32 + lane % 4;
            GRU_UNROLL for (int row = 0; row < 8; row++) {
                const uint4 h = __ldcg(from + row * 4);
                GRU_UNROLL for (int g = 0; g < COUNT; g++) add_products(word[i][g][0], h, sum[g][tile][row]);
            }
        }
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
