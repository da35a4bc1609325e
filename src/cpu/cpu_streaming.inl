/* cpu_streaming.inl: the streaming step as one pass over the panels, with the vocabulary and the cell of cpu_kernels.inl.
 *
 * A block is the units whose chains are computed at once: a panel, or as much of it as the registers hold. */

enum { STEP_WIDE = WIDE(1) };            /* vectors of a gate */
enum { STEP_UNITS = STEP_WIDE * LANES }; /* units of a block */

/* Adds the products of k to a block's chains; its weights begin at w. */
INLINE void add_term(const void *w, int32_t type, size_t k, float u, vec *sum) {
    const vec v = vec_set1(u);
#pragma GCC unroll 12
    for (int i = 0; i < GATES * STEP_WIDE; i++) {
        const size_t at = (k * GATES + (size_t)(i / STEP_WIDE)) * PANEL + (size_t)(i % STEP_WIDE) * LANES;
        sum[i] = vec_fma(load_weights(w, type, at), v, sum[i]);
    }
}

INLINE void load_bias(const float *bias, vec *sum) {
#pragma GCC unroll 12
    for (int i = 0; i < GATES * STEP_WIDE; i++)
        sum[i] = vec_load(bias + i / STEP_WIDE * PANEL + (size_t)(i % STEP_WIDE) * LANES);
}

/* Weights of the block that begins at `unit`. */
INLINE const void *block_weights(const gru_cpu_panel *first, int32_t type, size_t unit) {
    const size_t element = type == GRU_F32 ? sizeof(float) : sizeof(uint16_t);
    return (const char *)first->weights + gru_cpu_weight_index(0, first->K, 0, unit, 0) * element;
}

/* One lane's sums do not fit into registers: inline they made the step 8 % slower (Emerald Rapids, gcc 12, H = 64), and
 * the library a quarter larger. */
#if LANES > 1
#define SUMS INLINE
#else
#define SUMS static __attribute__((noinline))
#endif

/* Interleaves W x and R h: with small K the latency of a chain limits the speed, and this computes twice as many chains at
 * once. */
SUMS void step_sums(const gru_cpu_panel *W, const float *x, const gru_cpu_panel *R, const float *h,
                    int32_t type, size_t unit, cell_sums *sums) {
    const void *w = block_weights(W, type, unit), *r = block_weights(R, type, unit);
    const size_t common = W->K < R->K ? W->K : R->K;
    vec a[GATES * STEP_WIDE], c[GATES * STEP_WIDE];
    load_bias(W->bias + gru_cpu_bias_index(0, unit), a);
    load_bias(R->bias + gru_cpu_bias_index(0, unit), c);
    for (size_t k = 0; k < common; k++) {
        add_term(w, type, k, x[k], a);
        add_term(r, type, k, h[k], c);
    }
    for (size_t k = common; k < W->K; k++) add_term(w, type, k, x[k], a);
    for (size_t k = common; k < R->K; k++) add_term(r, type, k, h[k], c);
#pragma GCC unroll 4
    for (int i = 0; i < STEP_WIDE; i++) {
        sums[i].v_r = vec_add(a[GATE_R * STEP_WIDE + i], c[GATE_R * STEP_WIDE + i]);
        sums[i].v_z = vec_add(a[GATE_Z * STEP_WIDE + i], c[GATE_Z * STEP_WIDE + i]);
        sums[i].a_n = a[GATE_N * STEP_WIDE + i];
        sums[i].c_n = c[GATE_N * STEP_WIDE + i];
    }
}

/* Any other variant. Not inlined, as it is large and would be copied for each weight type. By pointer: a copy is stored in
 * pieces that the vector loads must wait for (AVX2, H = 64: 1.40 us instead of 1.13). */
static __attribute__((noinline)) vec other_cell(const gru_cpu_cell *variant, const cell_sums *sums, vec h) {
    return cell_vector(variant, sums, h, 0.0f, NULL, 0);
}

INLINE void step_cell(const gru_cpu_cell *variant, int is_default, const cell_sums *sums, const float *h,
                      float *next, size_t unit) {
#pragma GCC unroll 4
    for (int i = 0; i < STEP_WIDE; i++) {
        const size_t at = unit + (size_t)i * LANES;
        const vec old = vec_load(h + at);
        vec_store(next + at, is_default ? cell_vector(&default_variant, &sums[i], old, 0.0f, NULL, 0)
                                        : other_cell(variant, &sums[i], old));
    }
}

/* Computes the cell of a block after the sums of the next block. Directly after its own sums it would fill the processor's
 * queue with operations that wait for weights, and the loads of the next weights would wait for the queue. */
INLINE void step_blocks(const gru_cpu_cell *variant, int is_default, const gru_cpu_panel *W, const float *x,
                        const gru_cpu_panel *R, const float *h, float *next, size_t units, int32_t type) {
    cell_sums last[STEP_WIDE], sums[STEP_WIDE];
    step_sums(W, x, R, h, type, 0, last);
    for (size_t unit = STEP_UNITS; unit < units; unit += STEP_UNITS) {
        step_sums(W, x, R, h, type, unit, sums);
        step_cell(variant, is_default, last, h, next, unit - STEP_UNITS);
        memcpy(last, sums, sizeof last);
    }
    step_cell(variant, is_default, last, h, next, units - STEP_UNITS);
}

INLINE void step_type(const gru_cpu_cell *variant, const gru_cpu_panel *W, const float *x,
                      const gru_cpu_panel *R, const float *h, float *next, size_t units, int32_t type) {
    if (variant->is_default)
        step_blocks(variant, 1, W, x, R, h, next, units, type);
    else
        step_blocks(variant, 0, W, x, R, h, next, units, type);
}

static void streaming_step(const gru_cpu_cell *variant, const gru_cpu_panel *W, const float *x,
                           const gru_cpu_panel *R, const float *h, float *next, size_t units) {
    if (W->type == GRU_F32)
        step_type(variant, W, x, R, h, next, units, GRU_F32);
    else if (W->type == GRU_F16)
        step_type(variant, W, x, R, h, next, units, GRU_F16);
    else
        step_type(variant, W, x, R, h, next, units, GRU_BF16);
}
