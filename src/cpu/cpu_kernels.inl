/* cpu_kernels.inl: the hot loops (the product, the forward cell), written once in the vector vocabulary of the
 * file that includes them.
 *
 * It is compiled for f32 and for f64 (cpu_real.h). cpu_cell.inl lists the vocabulary; a file also defines KERNELS and PAIRS, the
 * names of its tables. */

#include "cpu_cell.inl"

/* ---- the product ---- */

/* Vectors narrower than a panel read its weights more than once: in blocks of k, which stay in a level 1 cache of 32 KiB
 * together with the block that follows. */
enum { BLOCKED = LANES < PANEL, BLOCK_K = SUM_BLOCK };

/* The weights that a loop over k prefetches: some lines at `at`, which then moves on by `step`. They come from a distant cache,
 * and the hardware prefetcher stops at pages of 4 KiB. */
typedef struct weights_ahead {
    const char *at;
    size_t step;
} weights_ahead;

enum { AHEAD_K = 48 }; /* without blocks */

/* One or two rows wait for the weights anyway: there prefetching costs more than it saves. */
INLINE void fetch_ahead(weights_ahead *ahead, int32_t type, int gates, int rows) {
    const int bytes = gates * PANEL * (int)weight_bytes(type);
    const int lines = rows <= 2 ? 0 : BLOCKED ? 2 : (bytes + 63) / 64;
#pragma GCC unroll 3
    for (int i = 0; i < lines; i++) __builtin_prefetch(ahead->at + (ptrdiff_t)64 * i);
    ahead->at += ahead->step;
}

/* The terms of k + odd for some vectors of weights, `wide` of each gate. One or two rows keep their inputs in registers and
 * read each weight once; more rows keep the weights. */
INLINE void add_terms(const gru_cpu_panel *panel, int32_t type, int gates, int rows, int wide, size_t first,
                      size_t k, int odd, const real *const *in, vec *sum) {
    const int vectors = gates * wide, few = rows <= 2;
    vec w[GATES * 4], few_in[2];
#pragma GCC unroll 2
    for (int m = 0; few && m < rows; m++) few_in[m] = vec_set1(in[m][k + (size_t)odd]);
#pragma GCC unroll 12
    for (int i = 0; i < vectors; i++) {
        w[i] = load_weights(panel->weights, type, gates, k, odd, (size_t)(i / wide),
                            (size_t)(i % wide) * LANES + first);
#pragma GCC unroll 2
        for (int m = 0; few && m < rows; m++) sum[i * rows + m] = vec_fma(w[i], few_in[m], sum[i * rows + m]);
    }
#pragma GCC unroll 8
    for (int m = 0; !few && m < rows; m++) {
        const vec u = vec_set1(in[m][k + (size_t)odd]);
#pragma GCC unroll 12
        for (int i = 0; i < vectors; i++) sum[i * rows + m] = vec_fma(w[i], u, sum[i * rows + m]);
    }
}

INLINE void start_sums(const gru_cpu_panel *panel, int vectors, int rows, int wide, size_t first,
                       size_t begin, real *const *out, vec *sum) {
    const int from_zero = panel->sums != SUMS_CHAIN, from_bias = begin == 0;
#pragma GCC unroll 48
    for (int i = 0; i < vectors; i++)
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            const size_t at = vector_at(i, wide, first);
            sum[i * rows + m] =
                from_zero ? vec_set1(0.0f) : vec_load(from_bias ? panel->bias + at : out[m] + at);
        }
}

INLINE void store_sums(const gru_cpu_panel *panel, int vectors, int rows, int wide, size_t first,
                       size_t begin, real *const *out, vec *sum) {
    const int add = panel->sums == SUMS_ADD || (panel->sums == SUMS_SET && begin > 0);
#pragma GCC unroll 48
    for (int i = 0; i < vectors; i++)
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            real *const to = out[m] + vector_at(i, wide, first);
            vec_store(to, add ? vec_add(vec_load(to), sum[i * rows + m]) : sum[i * rows + m]);
        }
}

/* k in [begin, end) for `wide` vectors of each gate from lane `first` on, and for `rows` rows: gates * wide * rows chains
 * at once. Callers pass constants for the three, so the compiler unrolls the loops over them and keeps the sums in
 * registers. A chain that is cut continues from the stored sum: the same sums in the same order. */
INLINE void product_block(const gru_cpu_panel *panel, int32_t type, int gates, int rows, int wide,
                          size_t first, size_t begin, size_t end, weights_ahead *ahead, const real *const *in,
                          real *const *out) {
    const size_t group = type == GRU_BF16 ? 2 : 1;
    weights_ahead fetched = *ahead;
    vec sum[GATES * PANEL];
    start_sums(panel, gates * wide, rows, wide, first, begin, out, sum);
    for (size_t k = begin; k < end; k += group) {
        fetch_ahead(&fetched, type, gates, rows);
        if (rows >= 8 && panel->ahead) __builtin_prefetch(in[0] + panel->ahead + k * 8, 0, 2);
        add_terms(panel, type, gates, rows, wide, first, k, 0, in, sum);
        if (group == 1 || k + 1 == end) continue;
        fetch_ahead(&fetched, type, gates, rows);
        add_terms(panel, type, gates, rows, wide, first, k, 1, in, sum);
    }
    if (BLOCKED) *ahead = fetched;
    store_sums(panel, gates * wide, rows, wide, first, begin, out, sum);
}

/* Zeros in the second half of the lanes. */
INLINE void clear_half(int gates, int rows, real *const *out) {
    for (int m = 0; m < rows; m++)
        for (size_t g = 0; g < (size_t)gates; g++)
            for (size_t i = PANEL / 2; i < PANEL; i += LANES)
                vec_store(out[m] + g * PANEL + i, vec_set1(0.0f));
}

/* The lanes of the panel for a constant number of rows: all 16, or the first half of them. */
INLINE void product_rows(const gru_cpu_panel *panel, int32_t type, int gates, int rows, int half,
                         size_t begin, size_t end, weights_ahead *ahead, const real *const *in,
                         real *const *out) {
    const int wide = half && WIDE(rows) * LANES == PANEL ? WIDE(rows) / 2 : WIDE(rows);
    const size_t lanes = half ? PANEL / 2 : PANEL;
#pragma GCC unroll 2
    for (size_t first = 0; first < lanes; first += (size_t)wide * LANES)
        product_block(panel, type, gates, rows, wide, first, begin, end, ahead, in, out);
    if (half) clear_half(gates, rows, out);
}

/* With blocks: the next block, spread evenly over the passes over this one. Else: AHEAD_K further. */
INLINE weights_ahead first_ahead(const gru_cpu_panel *panel, int32_t type, int gates, int half,
                                 int32_t groups, size_t begin, size_t end) {
    const size_t bytes = (size_t)gates * PANEL * weight_bytes(type);
    const size_t lanes = half ? PANEL / 2 : PANEL, passes = BLOCKED ? lanes / (WIDE(ROWS) * LANES) : 1,
                 share = (bytes + passes - 1) / passes;
    const size_t from = BLOCKED ? end : begin + AHEAD_K;
    const size_t step = BLOCKED && groups > 1 ? (share + (size_t)groups - 1) / (size_t)groups : share;
    return (weights_ahead){(const char *)panel->weights + from * bytes, step};
}

/* Rows in groups of at most ROWS, nearly equal: a group of one row would read the weights for little work. */
INLINE void product_range(const gru_cpu_panel *panel, int32_t type, int gates, int half, size_t begin,
                          size_t end, const real *const *in, real *const *out, int32_t rows) {
    weights_ahead ahead = {NULL, 0};
    if (rows == 1) { /* the search for its group takes 4 % of a step of 72 units */
        product_rows(panel, type, gates, 1, half, begin, end, &ahead, in, out);
        return;
    }
    int32_t groups = (rows + ROWS - 1) / ROWS;
    ahead = first_ahead(panel, type, gates, half, groups, begin, end);
    for (; groups > 0; groups--) {
        const int32_t count = groups == 1 ? rows : (rows + groups - 1) / groups;
#define IF_ROWS(n) \
    if ((n) <= ROWS && count == (n)) product_rows(panel, type, gates, n, half, begin, end, &ahead, in, out)
        IF_ROWS(8);
        IF_ROWS(7);
        IF_ROWS(6);
        IF_ROWS(5);
        IF_ROWS(4);
        IF_ROWS(3);
        IF_ROWS(2);
        IF_ROWS(1);
#undef IF_ROWS
        rows -= count, in += count, out += count;
    }
}

INLINE void product_gates(const gru_cpu_panel *panel, int32_t type, int gates, int half,
                          const real *const *in, real *const *out, int32_t rows) {
    const int one_pass = rows == 1 || (rows == 2 && WIDE(2) * LANES == PANEL);
    const int in_blocks = panel->sums != SUMS_CHAIN || (BLOCKED && !one_pass);
    const size_t K = panel->K, block = in_blocks && K > BLOCK_K ? BLOCK_K : K;
    size_t begin = 0;
    do {
        const size_t end = K - begin > block ? begin + block : K;
        product_range(panel, type, gates, half, begin, end, in, out, rows);
        begin = end;
    } while (begin < K);
}

INLINE void product_type(const gru_cpu_panel *panel, int32_t type, int half, const real *const *in,
                         real *const *out, int32_t rows) {
    if (panel->gates == 3)
        product_gates(panel, type, 3, half, in, out, rows);
    else if (panel->gates == 2)
        product_gates(panel, type, 2, half, in, out, rows);
    else
        product_gates(panel, type, 1, half, in, out, rows);
}

INLINE void product_lanes(const gru_cpu_panel *panel, int half, const real *const *in, real *const *out,
                          int32_t rows) {
    if (panel->type == REAL_TYPE) product_type(panel, REAL_TYPE, half, in, out, rows);
#ifndef GRU_CPU_F64
    else if (panel->type == GRU_F16)
        product_type(panel, GRU_F16, half, in, out, rows);
    else
        product_type(panel, GRU_BF16, half, in, out, rows);
#endif
}

/* Apart from `product`, whose loops would lose registers to it. */
#if LANES > 1 && LANES < 16
static __attribute__((noinline)) void half_product(const gru_cpu_panel *panel, const real *const *in,
                                                   real *const *out, int32_t rows) {
    product_lanes(panel, 1, in, out, rows);
}
#endif

static void product(const gru_cpu_panel *panel, const real *const *in, real *const *out, int32_t rows) {
#if LANES > 1 && LANES < 16
    if (panel->lanes <= PANEL / 2) {
        half_product(panel, in, out, rows);
        return;
    }
#endif
    product_lanes(panel, 0, in, out, rows);
}

/* ---- the cell ---- */

INLINE real *saved_units(const gru_cpu_rows *rows, int64_t row, size_t unit) {
    return rows->saved ? rows->saved[row] + unit * SAVED : NULL;
}

/* a and c of gate g at lane i of a panel, added. */
INLINE vec pre_activation(const real *a, const real *c, int g, size_t i) {
    return vec_add(vec_load(a + (size_t)g * PANEL + i), vec_load(c + (size_t)g * PANEL + i));
}

/* Lanes of the panel at `unit` that the cell computes: in training all, because the reserve has no gaps. */
INLINE size_t cell_lanes(const gru_cpu_rows *rows, size_t unit) {
    return !rows->saved && rows->units - unit < PANEL ? rows->units - unit : PANEL;
}

INLINE void cell_rows(const gru_cpu_cell *cell, const gru_cpu_rows *rows, int64_t first, int32_t count,
                      size_t unit, real *const *c, int general) {
    const size_t lanes = cell_lanes(rows, unit);
    for (int32_t m = 0; m < count; m++) {
        const real *a = rows->a[first + m] + unit * GATES, *h = rows->in[first + m] + unit;
        real *next = rows->next[first + m] + unit, *saved = saved_units(rows, first + m, unit);
        const real w = cell->has_attention ? rows->attention[first + m] : 0.0f;
        for (size_t i = 0; i < lanes; i += LANES) {
            const cell_sums sums = {
                .v_r = pre_activation(a, c[m], GATE_R, i),
                .v_z = pre_activation(a, c[m], GATE_Z, i),
                .a_n = vec_load(a + GATE_N * PANEL + i),
                .c_n = vec_load(c[m] + GATE_N * PANEL + i),
            };
            vec_store(next + i,
                      cell_vector(cell, &sums, vec_load(h + i), w, saved ? saved + i : NULL, general));
        }
    }
}

static void cell(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                 size_t unit, real *const *c) {
    if (variant->is_default)
        cell_rows(&default_variant, rows, first, count, unit, c, 0);
    else
        cell_rows(variant, rows, first, count, unit, c, 0);
}

static void general_cell(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                         size_t unit, real *const *c) {
    cell_rows(variant, rows, first, count, unit, c, 1);
}

INLINE void gate_rows(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                      size_t unit, real *const *c, int general) {
    const size_t lanes = cell_lanes(rows, unit);
    for (int32_t m = 0; m < count; m++) {
        const real *a = rows->a[first + m] + unit * GATES, *h = rows->in[first + m] + unit;
        real *saved = saved_units(rows, first + m, unit);
        for (size_t i = 0; i < lanes; i += LANES) {
            const vec v_r = pre_activation(a, c[m], GATE_R, i), r = vec_gate(variant, v_r, general);
            const vec v_z = pre_activation(a, c[m], GATE_Z, i), z = vec_gate(variant, v_z, general);
            const vec rh = vec_mul(r, vec_load(h + i));
            vec_store(rows->z[first + m] + unit + i, z);
            vec_store(rows->rh[first + m] + unit + i, rh);
            save_gates(variant, saved ? saved + i : NULL, v_r, r, v_z, z, rh, general);
        }
    }
}

static void gates(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                  size_t unit, real *const *c) {
    gate_rows(variant, rows, first, count, unit, c, 0);
}

static void general_gates(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                          size_t unit, real *const *c) {
    gate_rows(variant, rows, first, count, unit, c, 1);
}

INLINE void candidate_rows(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first,
                           int32_t count, size_t unit, real *const *c, int general) {
    const size_t lanes = cell_lanes(rows, unit);
    for (int32_t m = 0; m < count; m++) {
        const real *a_n = rows->a[first + m] + unit * GATES + GATE_N * PANEL, *h = rows->in[first + m] + unit;
        const real *z = rows->z[first + m] + unit;
        real *next = rows->next[first + m] + unit, *saved = saved_units(rows, first + m, unit);
        const real w = variant->has_attention ? rows->attention[first + m] : 0.0f;
        for (size_t i = 0; i < lanes; i += LANES) {
            const vec v = vec_add(vec_load(a_n + i), vec_load(c[m] + i));
            const vec n = vec_candidate(variant, v, general);
            save_candidate(variant, saved ? saved + i : NULL, v, n, general);
            vec_store(next + i, vec_update(variant, vec_load(z + i), n, vec_load(h + i), w));
        }
    }
}

static void candidate(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first, int32_t count,
                      size_t unit, real *const *c) {
    candidate_rows(variant, rows, first, count, unit, c, 0);
}

static void general_candidate(const gru_cpu_cell *variant, const gru_cpu_rows *rows, int64_t first,
                              int32_t count, size_t unit, real *const *c) {
    candidate_rows(variant, rows, first, count, unit, c, 1);
}

#ifndef GRU_CPU_F64
#include "cpu_int8.inl"
#include "cpu_pairs.inl"
#include "cpu_streaming.inl"

static void streaming_step(const void *own, const void *x, const void *h, void *next, void *y,
                           void *workspace) {
    const gru_cpu_step *step = own;
    const step_data data = {.x = x, .h = h, .next = next, .y = y};
    (void)workspace;
    if (step->W.type == GRU_F32)
        step_type(step, &data, GRU_F32);
    else if (step->W.type == GRU_F16)
        step_type(step, &data, GRU_F16);
    else
        step_type(step, &data, GRU_BF16);
}
#endif
#include "cpu_backward_step.inl"

/* ---- the functions alone ---- */

static void sigmoid_all(real *v, size_t count) {
    for (size_t i = 0; i < count; i += LANES) vec_store(v + i, vec_sigmoid(vec_load(v + i)));
}

static void tanh_all(real *v, size_t count) {
    for (size_t i = 0; i < count; i += LANES) vec_store(v + i, vec_tanh(vec_load(v + i)));
}

static void activation_all(const gru_activation *f, const real *v, real *value, real *slope, size_t count) {
    const vec_activation *functions = &vec_activations[f->row];
    for (size_t i = 0; i < count; i += LANES) {
        const vec x = vec_load(v + i), y = functions->value(f, x);
        vec_store(value + i, y);
        vec_store(slope + i, functions->slope(f, x, y));
    }
}

const gru_cpu_kernels KERNELS = {
    .product = product,
#ifndef GRU_CPU_F64
    .streaming_step = streaming_step,
#endif
    .common = {cell, gates, candidate, cell_backward, reset_gate_backward},
    .general = {general_cell, general_gates, general_candidate, general_cell_backward,
                general_reset_gate_backward},
    .transpose = transpose,
    .add_rows = add_rows,
    .sigmoid = sigmoid_all,
    .tanh = tanh_all,
    .activation = activation_all,
};
