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

/* A number that templates choose by. */
template <int VALUE> struct Constant { static constexpr int value = VALUE; };

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

/* The outputs of a thread on the default path of the epilogue: one unit of every fourth row of the block's share. BATCH of them
 * are in flight. */
template <int ROWS, int STATES, int SPLIT, int IN_FLIGHT> struct LargeShare {
    using Sums = LargeSums<ROWS, STATES>;
    static constexpr int APART = LARGE_THREADS / LARGE_UNITS, COUNT = ROWS / SPLIT / APART, BATCH = IN_FLIGHT;
    int sums_at[2]; /* of the outputs in the lower and upper half of an octet, first sum */
    int rows;       /* from the next output on */

    /* Of units and N rows in all. */
    GRU_DEVICE LargeShare(const BlockCoord &coord, int rank, int units, int N)
        : rows(first_unit(coord) < units ? N - first_row(coord, rank) : 0) {
        const int row = first_row(coord, rank) - coord.row_octet * 8,
                  unit = first_unit(coord) - coord.octet * 8;
        GRU_UNROLL for (int i = 0; i < 2; i++) sums_at[i] = Sums::at(0, row + i * APART, unit);
    }
    static GRU_DEVICE int first_unit(const BlockCoord &coord) {
        return coord.octet * 8 + int(threadIdx.x) % LARGE_UNITS;
    }
    static GRU_DEVICE int first_row(const BlockCoord &coord, int rank) {
        return coord.row_octet * 8 + rank * (ROWS / SPLIT) + int(threadIdx.x) / LARGE_UNITS;
    }
    GRU_DEVICE bool present(int i) const { return i * APART < rows; }
    GRU_DEVICE void next_batch() {
        rows -= BATCH * APART;
        GRU_UNROLL for (int i = 0; i < 2; i++) sums_at[i] += BATCH / 2 * 8 * LARGE_UNITS;
    }
};

/* ---- tensor cores: four warps along units, two along rows; a warp has two octets of units, all gates ---- */

template <class M, int ROWS, int STATES> struct MmaTile {
    static constexpr int ROW_OCTETS = ROWS / 8, PER_WARP = ROW_OCTETS / 2;
    static constexpr int STAGE_WORDS = ROW_OCTETS * STATES * 32, COPIES = STAGE_WORDS / LARGE_THREADS;
    static constexpr int STAGE_BYTES = STAGES * STAGE_WORDS * 16;
    float sum[SUMS_OF<STATES>][PER_WARP][4] = {};
    uint4 word[GATES][2];
    const uint4 *weights; /* of the group that was fetched last */
    const uint4 *states;  /* the first word of the next group to stage */
    int offset[COPIES];   /* of the words that this thread copies; negative: their row does not exist */
    int octet_apart;      /* words from an octet's weights to the next one's */
    int lane, unit_pair, row_half, tiles; /* tiles: row octets of this warp that exist */

    GRU_DEVICE explicit MmaTile(const BlockCoord &coord)
        : lane(threadIdx.x % 32), unit_pair(int(threadIdx.x) / 32 % 4), row_half(int(threadIdx.x) / 128) {
        const int octet = coord.octet + unit_pair * 2, group = min(coord.first, coord.groups - 1);
        weights = coord.weights +
                  (int64_t(min(octet, coord.octets - 2)) * coord.groups + group) * (GATES * 32) + lane;
        octet_apart = coord.groups * (GATES * 32);
        states = coord.states + (int64_t(coord.row_octet) * coord.groups + coord.first) * (STATES * 32);
        tiles = octet < coord.octets ? coord.row_octets - coord.row_octet - row_half * PER_WARP : 0;
        GRU_UNROLL for (int i = 0; i < COPIES; i++) {
            const int word_at = int(threadIdx.x) + i * LARGE_THREADS, tile = word_at / 32;
            offset[i] = coord.row_octet + tile / STATES < coord.row_octets
                            ? (tile / STATES * coord.groups * STATES + tile % STATES) * 32 + word_at % 32
                            : -1;
        }
        GRU_UNROLL for (int g = 0; g < GATES; g++) fetch(g);
    }
    /* Loads a gate's weights into registers. Not under a condition, which would wait for them: where there are none, others are
     * loaded and not used. */
    GRU_DEVICE void fetch(int g) {
        GRU_UNROLL for (int o = 0; o < 2; o++) word[g][o] =
            load_shared_stream(weights + o * octet_apart + g * 32);
    }
    GRU_DEVICE void prefetch(const BlockCoord &, uint4 *) {
    } /* the weights of the first group are on their way */
    GRU_DEVICE void stage_prefetched(const BlockCoord &coord, uint4 *to, int k) { stage(coord, to, k); }
    /* Copies the states of a group, all rows, into a stage; of one group after the other. */
    GRU_DEVICE void stage(const BlockCoord &coord, uint4 *to, int k) {
        GRU_UNROLL for (int i = 0; i < COPIES; i++) if (k < coord.last && offset[i] >= 0)
            copy_async16(to + int(threadIdx.x) + i * LARGE_THREADS, states + offset[i]);
        states += STATES * 32;
        copy_async_commit();
    }
    /* Gate after gate: all row octets take the same fragments of weights, and the next group's are fetched into their place. */
    GRU_DEVICE void multiply(const BlockCoord &coord, const uint4 *stage, int k) {
        const uint4 *from = stage + row_half * (PER_WARP * STATES * 32) + lane;
        uint4 h[PER_WARP];
        weights += k + 1 < coord.last ? GATES * 32 : 0;
        GRU_UNROLL for (int g = 0; g < GATES; g++) {
            const uint4 low = word[g][0], high = word[g][1];
            GRU_UNROLL for (int tile = 0; tile < PER_WARP; tile++) if ((g == 0 || STATES > 1) && tile < tiles)
                h[tile] = from[(tile * STATES + g % STATES) * 32];
            GRU_UNROLL for (int tile = 0; tile < PER_WARP; tile++) if (tile < tiles) /* of the whole warp */
                M::mma(sum[g / STATES][tile], {low.x, high.x, low.y, high.y}, {h[tile].x, h[tile].y});
            GRU_UNROLL for (int tile = 0; tile < PER_WARP; tile++) if (tile < tiles)
                M::mma(sum[g / STATES][tile], {low.z, high.z, low.w, high.w}, {h[tile].z, h[tile].w});
            fetch(g);
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
    /* Copies words first .. last - 1 of a stage: weights, then states. */
    GRU_DEVICE void copy(const BlockCoord &coord, uint4 *to, int k, int first, int last) {
        if (k >= coord.last) return;
        for (int i = first + int(threadIdx.x); i < last; i += LARGE_THREADS) {
            const int tile = i / 32, at = tile * 32 + word(i % 32 / 4, i % 4);
            const int octet = coord.octet + tile / GATES, state = tile - LARGE_OCTETS * GATES;
            if (i >= WEIGHT_WORDS) {
                if (coord.row_octet + state / STATES < coord.row_octets)
                    copy_async16(to + at, coord.states + state_word<STATES>(coord, state, k) + i % 32);
            } else if (octet < coord.octets) {
                copy_async16(to + at, coord.weights +
                                          ((int64_t(octet) * coord.groups + k) * GATES + tile % GATES) * 32 +
                                          i % 32);
            }
        }
    }
    GRU_DEVICE void prefetch(const BlockCoord &coord, uint4 *stages) {
        for (int i = 0; i < STAGES - 1; i++)
            copy(coord, stages + i * STAGE_WORDS, coord.first + i, 0, WEIGHT_WORDS);
    }
    GRU_DEVICE void stage_prefetched(const BlockCoord &coord, uint4 *to, int k) {
        copy(coord, to, k, WEIGHT_WORDS, STAGE_WORDS);
        copy_async_commit();
    }
    GRU_DEVICE void stage(const BlockCoord &coord, uint4 *to, int k) {
        copy(coord, to, k, 0, STAGE_WORDS);
        copy_async_commit();
    }
    GRU_DEVICE void multiply(const BlockCoord &coord, const uint4 *weights, int) {
        const uint4 *states = weights + WEIGHT_WORDS;
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

/* Sums the groups of k of this block, in stages. What prefetch loads no step writes, so that may precede dependency_wait. */
template <class Mainloop> GRU_DEVICE void sum_k(Mainloop &mainloop, const BlockCoord &coord, uint4 *stages) {
    constexpr int WORDS = Mainloop::STAGE_WORDS;
    uint4 *filled = stages, *read = stages; /* the next stage of each; a ring */
    auto next = [&](uint4 *&stage) {
        stage = stage == stages + (STAGES - 1) * WORDS ? stages : stage + WORDS;
    };
    for (int i = 0; i < STAGES - 1; i++) {
        mainloop.stage_prefetched(coord, filled, coord.first + i);
        next(filled);
    }
    for (int k = coord.first; k < coord.last; k++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads(); /* this stage is complete for all threads, and all have read the one that is filled next */
        mainloop.stage(coord, filled, k + STAGES - 1);
        next(filled);
        mainloop.multiply(coord, read, k);
        next(read);
    }
    copy_async_wait<0>();
    GRU_FAULT_POINT(stages_read) __syncthreads(); /* all stages are read: the sums reuse their memory */
}

/* Calls visit with the split as a constant. Not a switch, whose jump would go through a table in memory. */
template <class Visit> GRU_DEVICE void visit_split(int split, Visit visit) {
    if (split < 2) return visit(Constant<1>{});
    if (split < 4) return visit(Constant<2>{});
    if (split < 8) return visit(Constant<4>{});
    return visit(Constant<8>{});
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

/* Runs the main loop and stores its sums. After await_sums those of all blocks of the cluster are there; release_sums waits
 * until all have been read. Between the two barriers of a cluster only shared memory passes from block to block. */
template <class Mainloop>
GRU_DEVICE float *run_mainloop(Mainloop &mainloop, const BlockCoord &coord, uint4 *shared, int split) {
    sum_k(mainloop, coord, shared);
    float *sums = reinterpret_cast<float *>(shared);
    mainloop.store_partial_sums(sums);
    if (split > 1) cluster_arrive_shared();
    return sums;
}
GRU_DEVICE void await_sums(int split) {
    if (split == 1) {
        __syncthreads(); /* all warps have stored their sums */
        return;
    }
    GRU_FAULT_POINT(partial_sums_stored) cluster_wait();
}
GRU_DEVICE void release_sums(int split) {
    if (split == 1) return;
    cluster_arrive_shared();
    cluster_wait(); /* no block exits while others read its sums */
}

} // namespace
#endif
