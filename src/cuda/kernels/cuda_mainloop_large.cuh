/* cuda_mainloop_large.cuh: the main loop of large block tiles, 64 units x 64 or 128 rows. Several warps read each state here,
 * so states go through shared memory in stages; without tensor cores weights do too.
 *
 * Weights are [unit octet][group][3 fragment tiles]. Forward, R h: the three belong to three gates and share one fragment tile
 * of states (STATES 1), for three sums. Backward, R' dc: they are three groups of k with a fragment tile of states each
 * (STATES 3), for one sum. A block sums the groups first .. last - 1 in one chain for each output. */
#ifndef GRU_CUDA_MAINLOOP_LARGE_CUH
#define GRU_CUDA_MAINLOOP_LARGE_CUH

#include "cuda_math_types.cuh"

namespace {

constexpr int LARGE_UNITS = 64, LARGE_OCTETS = LARGE_UNITS / 8, LARGE_THREADS = 256, STAGES = 3;

/* What a block reads: unit octets from octet on, row octets from row_octet on, groups of k from first to last. */
struct BlockCoord {
    const uint4 *weights, *states; /* [unit octet][group][3][32], [row octet][group][STATES][32] */
    int octets, groups;            /* of all units; of k */
    int octet, row_octet, row_octets, first, last;
};

template <int STATES> constexpr int SUMS_OF = GATES / STATES;

/* The first word of fragment tile number `tile` of a group's states, counted from the block's first row octet. */
template <int STATES> GRU_DEVICE int64_t state_word(const BlockCoord &coord, int tile, int k) {
    return ((int64_t(coord.row_octet + tile / STATES) * coord.groups + k) * STATES + tile % STATES) * 32;
}

/* The sums of a block in shared memory, [sum][row][unit]. The units of different pairs of rows are permuted by 8, so that the
 * stores of fragments have no bank conflicts. */
template <int ROWS, int STATES> struct LargeSums {
    static constexpr int BYTES = SUMS_OF<STATES> * ROWS * LARGE_UNITS * int(sizeof(float));
    static GRU_DEVICE int at(int g, int row, int unit) {
        return (g * ROWS + row) * LARGE_UNITS + (unit ^ row / 2 % 4 * 8);
    }
};

/* ---- tensor cores: four warps along units, two along rows; a warp has two octets of units, all gates ---- */

template <class M, int ROWS, int STATES> struct MmaTile {
    static constexpr int ROW_OCTETS = ROWS / 8, PER_WARP = ROW_OCTETS / 2;
    static constexpr int STAGE_WORDS = ROW_OCTETS * STATES * 32;
    static constexpr int STAGE_BYTES = STAGES * STAGE_WORDS * 16;
    float sum[SUMS_OF<STATES>][PER_WARP][4] = {};
    uint4 next[GATES][2];
    const uint4 *weights;
    int lane, unit_pair, row_half;

    GRU_DEVICE explicit MmaTile(const BlockCoord &coord)
        : lane(threadIdx.x % 32), unit_pair(int(threadIdx.x) / 32 % 4), row_half(int(threadIdx.x) / 128) {
        const int octet = coord.octet + unit_pair * 2;
        weights = octet < coord.octets ? coord.weights + int64_t(octet) * coord.groups * GATES * 32 + lane
                                       : nullptr;
        fetch(coord, coord.first);
    }
    /* Loads the weights of a group for this warp into registers. */
    GRU_DEVICE void fetch(const BlockCoord &coord, int k) {
        GRU_UNROLL for (int g = 0; g < GATES; g++)
            GRU_UNROLL for (int o = 0; o < 2; o++) if (weights && k < coord.last) next[g][o] =
                load_stream(weights + ((int64_t(o) * coord.groups + k) * GATES + g) * 32);
    }
    /* Copies the states of a group, all rows, into a stage. */
    GRU_DEVICE void stage(const BlockCoord &coord, uint4 *stages, int k) {
        uint4 *to = stages + (k - coord.first) % STAGES * STAGE_WORDS;
        if (k < coord.last)
            for (int i = int(threadIdx.x); i < STAGE_WORDS; i += LARGE_THREADS)
                if (coord.row_octet + i / 32 / STATES < coord.row_octets)
                    copy_async16(to + i, coord.states + state_word<STATES>(coord, i / 32, k) + i % 32);
        copy_async_commit();
    }
    GRU_DEVICE void multiply(const BlockCoord &coord, const uint4 *stages, int k) {
        uint4 w[GATES][2];
        GRU_UNROLL for (int g = 0; g < GATES; g++) GRU_UNROLL for (int o = 0; o < 2; o++) w[g][o] =
            next[g][o];
        fetch(coord, k + 1);
        const uint4 *from = stages + (k - coord.first) % STAGES * STAGE_WORDS + lane;
        GRU_UNROLL for (int tile = 0; tile < PER_WARP; tile++) {
            const int octet = row_half * PER_WARP + tile;
            if (!weights || coord.row_octet + octet >= coord.row_octets)
                continue; /* the same for the whole warp */
            GRU_UNROLL for (int state = 0; state < STATES; state++) {
                const uint4 h = from[(octet * STATES + state) * 32];
                GRU_UNROLL for (int g = state; g < GATES; g += STATES) {
                    float(&s)[4] = sum[g / STATES][tile];
                    M::mma(s, {w[g][0].x, w[g][1].x, w[g][0].y, w[g][1].y}, {h.x, h.y});
                    M::mma(s, {w[g][0].z, w[g][1].z, w[g][0].w, w[g][1].w}, {h.z, h.w});
                }
            }
        }
    }
    GRU_DEVICE void store_partial_sums(float *sums) const {
        GRU_UNROLL for (int g = 0; g < SUMS_OF<STATES>; g++)
            GRU_UNROLL for (int tile = 0; tile < PER_WARP; tile++) GRU_UNROLL for (int i = 0; i < 4; i++) {
            const int row = (row_half * PER_WARP + tile) * 8 + lane % 4 * 2 + i % 2;
            sums[LargeSums<ROWS, STATES>::at(g, row, unit_pair * 16 + i / 2 * 8 + lane / 4)] =
                sum[g][tile][i];
        }
    }
};

/* ---- fused multiply-adds: a thread has every sixteenth unit and every sixteenth row, all gates ---- */

template <int ROWS, int STATES> struct FmaTile {
    static constexpr int ROW_OCTETS = ROWS / 8, UNITS_EACH = LARGE_UNITS / 16, ROWS_EACH = ROWS / 16;
    static constexpr int WEIGHT_WORDS = LARGE_OCTETS * GATES * 32,
                         STAGE_WORDS = WEIGHT_WORDS + ROW_OCTETS * STATES * 32;
    static constexpr int STAGE_BYTES = STAGES * STAGE_WORDS * 16;
    float sum[SUMS_OF<STATES>][UNITS_EACH][ROWS_EACH] = {};
    int unit, row; /* the first of each */

    /* A warp has four units and eight rows, so that a load of one word by all lanes reads 64 or 128 bytes. */
    GRU_DEVICE explicit FmaTile(const BlockCoord &)
        : unit(int(threadIdx.x) % 4 + int(threadIdx.x) / 32 % 4 * 4),
          row(int(threadIdx.x) / 4 % 8 + int(threadIdx.x) / 128 * 8) {}
    /* Position of word c of row r in a fragment tile: the same word of eight rows is in eight different groups of banks. */
    static GRU_DEVICE int word(int r, int c) { return r * 4 + (c ^ r / 2 % 4); }
    GRU_DEVICE void stage(const BlockCoord &coord, uint4 *stages, int k) {
        uint4 *to = stages + (k - coord.first) % STAGES * STAGE_WORDS;
        if (k < coord.last)
            for (int i = int(threadIdx.x); i < STAGE_WORDS; i += LARGE_THREADS) {
                const int tile = i / 32, at = tile * 32 + word(i % 32 / 4, i % 4);
                const int octet = coord.octet + tile / GATES, state = tile - LARGE_OCTETS * GATES;
                if (i >= WEIGHT_WORDS) {
                    if (coord.row_octet + state / STATES < coord.row_octets)
                        copy_async16(to + at, coord.states + state_word<STATES>(coord, state, k) + i % 32);
                } else if (octet < coord.octets) {
                    copy_async16(to + at,
                                 coord.weights +
                                     ((int64_t(octet) * coord.groups + k) * GATES + tile % GATES) * 32 +
                                     i % 32);
                }
            }
        copy_async_commit();
    }
    GRU_DEVICE void multiply(const BlockCoord &coord, const uint4 *stages, int k) {
        const uint4 *weights = stages + (k - coord.first) % STAGES * STAGE_WORDS,
                    *states = weights + WEIGHT_WORDS;
        GRU_UNROLL for (int c = 0; c < 4; c++) GRU_UNROLL for (int state = 0; state < STATES; state++) {
            float4 h[ROWS_EACH];
            GRU_UNROLL for (int j = 0; j < ROWS_EACH; j++) {
                const int r = row + j * 16;
                if (coord.row_octet + r / 8 < coord.row_octets)
                    h[j] = as_floats(states[(r / 8 * STATES + state) * 32 + word(r % 8, c)]);
                else
                    h[j] = make_float4(0, 0, 0, 0);
            }
            GRU_UNROLL for (int i = 0; i < UNITS_EACH; i++) {
                const int u = unit + i * 16;
                if (coord.octet + u / 8 >= coord.octets) continue;
                GRU_UNROLL for (int g = state; g < GATES; g += STATES) {
                    const float4 w = as_floats(weights[(u / 8 * GATES + g) * 32 + word(u % 8, c)]);
                    GRU_UNROLL for (int j = 0; j < ROWS_EACH; j++) {
                        float &s = sum[g / STATES][i][j];
                        s = __fmaf_rn(w.x, h[j].x, s);
                        s = __fmaf_rn(w.y, h[j].y, s);
                        s = __fmaf_rn(w.z, h[j].z, s);
                        s = __fmaf_rn(w.w, h[j].w, s);
                    }
                }
            }
        }
    }
    static GRU_DEVICE float4 as_floats(uint4 v) {
        return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                           __uint_as_float(v.w));
    }
    GRU_DEVICE void store_partial_sums(float *sums) const {
        GRU_UNROLL for (int g = 0; g < SUMS_OF<STATES>; g++) GRU_UNROLL for (int i = 0; i < UNITS_EACH; i++)
            GRU_UNROLL for (int j = 0; j < ROWS_EACH; j++)
                sums[LargeSums<ROWS, STATES>::at(g, row + j * 16, unit + i * 16)] = sum[g][i][j];
    }
};

/* ---- a block's work ---- */

template <class M, int ROWS, int STATES> struct LargeMainloop { using Type = MmaTile<M, ROWS, STATES>; };
template <int ROWS, int STATES> struct LargeMainloop<F32, ROWS, STATES> {
    using Type = FmaTile<ROWS, STATES>;
};

template <class M, int ROWS, int STATES> constexpr int large_shared_bytes() {
    constexpr int stages = LargeMainloop<M, ROWS, STATES>::Type::STAGE_BYTES;
    constexpr int sums = LargeSums<ROWS, STATES>::BYTES;
    return stages > sums ? stages : sums; /* the sums reuse the memory of the stages */
}

/* Sums the groups of k of this block, in stages. */
template <class Mainloop> GRU_DEVICE void sum_k(Mainloop &mainloop, const BlockCoord &coord, uint4 *stages) {
    for (int k = coord.first; k < coord.first + STAGES - 1; k++) mainloop.stage(coord, stages, k);
    for (int k = coord.first; k < coord.last; k++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads(); /* this stage is complete for all threads, and all have read the one that is filled next */
        mainloop.stage(coord, stages, k + STAGES - 1);
        mainloop.multiply(coord, stages, k);
    }
    copy_async_wait<0>();
    GRU_FAULT_POINT(stages_read) __syncthreads(); /* all stages are read: the sums reuse their memory */
}

/* One output: adds the partial sums of the blocks of a cluster in the order of their ranks. */
template <int ROWS, int STATES>
GRU_DEVICE void gather_sums(float *sums, int split, int row, int unit, float (&c)[SUMS_OF<STATES>]) {
    for (int g = 0; g < SUMS_OF<STATES>; g++) c[g] = 0.0f;
    for (int block = 0; block < split; block++) {
        const float *part = cluster_map(sums, unsigned(block));
        GRU_UNROLL for (int g = 0; g < SUMS_OF<STATES>; g++) c[g] +=
            part[LargeSums<ROWS, STATES>::at(g, row, unit)];
    }
}

/* The coordinates of this block in a grid of units (times the blocks of a cluster), rows and directions. */
template <int ROWS>
GRU_DEVICE BlockCoord block_coord(const gru_cuda_sequence &seq, const void *weights, const void *states,
                                  int split) {
    const int rank = int(blockIdx.x) % split, each = (seq.groups + split - 1) / split;
    return {static_cast<const uint4 *>(weights),
            static_cast<const uint4 *>(states),
            seq.octets,
            seq.groups,
            int(blockIdx.x) / split * LARGE_OCTETS,
            int(blockIdx.y) * (ROWS / 8),
            (seq.N + 7) / 8,
            min(rank * each, seq.groups),
            min((rank + 1) * each, seq.groups)};
}

/* Runs the main loop and returns the sums, when all blocks of the cluster have stored theirs. release_sums waits until all
 * have read them. */
template <class Mainloop>
GRU_DEVICE float *run_mainloop(Mainloop &mainloop, const BlockCoord &coord, uint4 *shared, int split) {
    sum_k(mainloop, coord, shared);
    float *sums = reinterpret_cast<float *>(shared);
    mainloop.store_partial_sums(sums);
    if (split > 1) {
        cluster_arrive();
        /* The partial sums of all blocks of the cluster are there. */
        GRU_FAULT_POINT(partial_sums_stored) cluster_wait();
    } else {
        __syncthreads(); /* all warps have stored their sums */
    }
    return sums;
}
GRU_DEVICE void release_sums(int split) {
    if (split == 1) return;
    cluster_arrive();
    cluster_wait(); /* no block exits while others read its sums */
}

} // namespace
#endif
