/* cpu_streaming.inl: the streaming step as one pass over the panels, with the vocabulary and the cell of cpu_cell.inl.
 *
 * A block is the units whose chains are computed at once: a panel, or as much of it as the registers hold. */

enum { STEP_WIDE = WIDE(1) };            /* vectors of a gate in a whole block */
enum { STEP_UNITS = STEP_WIDE * LANES }; /* units of a whole block */

_Static_assert(PANEL % STEP_UNITS == 0 && (int)PANEL == (int)GRU_STEP_UNITS,
               "blocks fill panels, panels fill states");

/* Adds the products of k + odd to the chains of the block that begins at `lane` of the panel w. */
INLINE void add_term(const void *w, int32_t type, int wide, size_t lane, size_t k, int odd, float u,
                     vec *sum) {
    const vec v = vec_set1(u);
#pragma GCC unroll 12
    for (int i = 0; i < GATES * wide; i++)
        sum[i] = vec_fma(
            load_weights(w, type, GATES, k, odd, (size_t)(i / wide), lane + (size_t)(i % wide) * LANES), v,
            sum[i]);
}

/* The same memory, which the compiler cannot know: with 16 registers pairs are read twice, as to keep them moves sums to memory
 * (AVX2, H = 256: 16 us instead of 10). */
INLINE const void *read_again(const void *memory) {
    if (LANES < 16) __asm__("" : "+r"(memory));
    return memory;
}

/* The same for a group of k: with bf16 two of them, but the last of an odd K alone. */
INLINE void add_group(const void *w, int32_t type, int wide, size_t lane, size_t k, size_t K, const float *u,
                      vec *sum) {
    add_term(w, type, wide, lane, k, 0, u[k], sum);
    if (type == GRU_BF16 && k + 1 < K) add_term(read_again(w), type, wide, lane, k, 1, u[k + 1], sum);
}

INLINE void load_bias(const float *bias, int wide, vec *sum) {
#pragma GCC unroll 12
    for (int i = 0; i < GATES * wide; i++)
        sum[i] = vec_load(bias + i / wide * PANEL + (size_t)(i % wide) * LANES);
}

/* Bytes from the weights of a panel to those of the next. */
INLINE size_t panel_pitch(const gru_cpu_panel *first, int32_t type) {
    const size_t element = type == GRU_F32 ? sizeof(float) : type == GRU_INT8 ? 1 : sizeof(uint16_t);
    return PANEL * GATES * gru_cpu_whole_groups(type, first->K) * element;
}

/* Weights of the panel of `unit`. */
INLINE const void *panel_weights(const gru_cpu_panel *first, int32_t type, size_t unit) {
    return (const char *)first->weights + unit / PANEL * panel_pitch(first, type);
}

/* Where a step reads and writes. */
typedef struct step_data {
    const float *x, *h;
    float *next, *y;
    const gru_cpu_narrow_row *x_narrow, *h_narrow; /* of products of pairs */
} step_data;

/* One lane's sums do not fit into registers: inline they made the step 8 % slower (Emerald Rapids, gcc 12, H = 64), and
 * the library a quarter larger. */
#if LANES > 1
#define SUMS INLINE
#else
#define SUMS static __attribute__((noinline))
#endif

/* Interleaves W x and R h: with small K the latency of a chain limits the speed, and this computes twice as many chains at
 * once. */
INLINE void float_sums(const gru_cpu_step *step, const step_data *data, int32_t type, int wide, size_t unit,
                       vec *a, vec *c) {
    const gru_cpu_panel *W = &step->W, *R = &step->R;
    const float *x = data->x, *h = data->h;
    const void *w = panel_weights(W, type, unit), *r = panel_weights(R, type, unit);
    const size_t common = W->K < R->K ? W->K : R->K, lane = wide * LANES < PANEL ? unit % PANEL : 0;
    const size_t group = type == GRU_BF16 ? 2 : 1;
    size_t k = 0;
    load_bias(W->bias + gru_cpu_bias_index(0, unit), wide, a);
    load_bias(R->bias + gru_cpu_bias_index(0, unit), wide, c);
    for (; k < common; k += group) {
        add_group(w, type, wide, lane, k, W->K, x, a);
        add_group(r, type, wide, lane, k, R->K, h, c);
    }
    for (size_t i = k; i < W->K; i += group) add_group(w, type, wide, lane, i, W->K, x, a);
    for (size_t i = k; i < R->K; i += group) add_group(r, type, wide, lane, i, R->K, h, c);
}

/* One matrix after the other. */
INLINE void sums_of_pairs(const gru_cpu_panel *first, const gru_cpu_narrow_row *in, int wide, size_t unit,
                          vec *sum) {
    const gru_cpu_panel panel = gru_cpu_panel_at(first, panel_pitch(first, PAIR_TYPE), unit / PANEL);
    pair_products(&panel, GATES, 1, wide, unit % PANEL, &in, sum);
}

SUMS void step_sums(const gru_cpu_step *step, const step_data *data, int32_t type, int wide, size_t unit,
                    cell_sums *sums) {
    vec a[GATES * STEP_WIDE], c[GATES * STEP_WIDE];
    if (type == PAIR_TYPE) {
        sums_of_pairs(&step->W, data->x_narrow, wide, unit, a);
        sums_of_pairs(&step->R, data->h_narrow, wide, unit, c);
    } else {
        float_sums(step, data, type, wide, unit, a, c);
    }
#pragma GCC unroll 4
    for (int i = 0; i < wide; i++) {
        sums[i].v_r = vec_add(a[GATE_R * wide + i], c[GATE_R * wide + i]);
        sums[i].v_z = vec_add(a[GATE_Z * wide + i], c[GATE_Z * wide + i]);
        sums[i].a_n = a[GATE_N * wide + i];
        sums[i].c_n = c[GATE_N * wide + i];
    }
}

/* Any other variant. Not inlined, as it is large and would be copied for each weight type. By pointer: a copy is stored in
 * pieces that the vector loads must wait for (AVX2, H = 64: 1.40 us instead of 1.13). */
static __attribute__((noinline)) vec other_cell(const gru_cpu_cell *variant, const cell_sums *sums, vec h) {
    return cell_vector(variant, sums, h, 0.0f, NULL, 0);
}

/* Stores a vector of the output, of which the last may be cut. */
INLINE void store_output(float *y, size_t at, size_t H, vec v) {
    float cut[LANES];
    if (at + LANES <= H) {
        vec_store(y + at, v);
        return;
    }
    vec_store(cut, v);
    for (size_t i = 0; at + i < H; i++) y[at + i] = cut[i];
}

INLINE void step_cell(const gru_cpu_step *step, int is_default, const cell_sums *sums, const step_data *data,
                      int wide, size_t unit) {
#pragma GCC unroll 4
    for (int i = 0; i < wide; i++) {
        const size_t at = unit + (size_t)i * LANES;
        const vec old = vec_load(data->h + at);
        const vec new = is_default ? cell_vector(&default_variant, &sums[i], old, 0.0f, NULL, 0)
                                   : other_cell(&step->cell, &sums[i], old);
        vec_store(data->next + at, new);
        if (data->y) store_output(data->y, at, step->H, new);
    }
}

/* Blocks of one vector, where the last units fill no more of a whole block than that. */
INLINE void narrow_blocks(const gru_cpu_step *step, int is_default, const step_data *data, int32_t type,
                          size_t unit) {
    for (; unit < step->H; unit += LANES) {
        cell_sums sums[1];
        step_sums(step, data, type, 1, unit, sums);
        step_cell(step, is_default, sums, data, 1, unit);
    }
}

/* Whole blocks, the first of them at `unit`, in steps of `stride` units. Computes the cell of a block after the sums of the
 * next block. Directly after its own sums it would fill the processor's queue with operations that wait for weights, and the
 * loads of the next weights would wait for the queue. */
INLINE void whole_blocks(const gru_cpu_step *step, int is_default, const step_data *data, int32_t type,
                         size_t unit, size_t stride, size_t count) {
    cell_sums last[STEP_WIDE], sums[STEP_WIDE];
    step_sums(step, data, type, STEP_WIDE, unit, last);
    for (; count > 1; count--, unit += stride) {
        step_sums(step, data, type, STEP_WIDE, unit + stride, sums);
        step_cell(step, is_default, last, data, STEP_WIDE, unit);
        memcpy(last, sums, sizeof last);
    }
    step_cell(step, is_default, last, data, STEP_WIDE, unit);
}

/* A stream's two states change places in each step, so every other step goes through the blocks backward: it begins with the
 * weights that the last one ended with, which are still in the level 1 cache where not all are. No block's sums depend on
 * the order. */
INLINE void step_blocks(const gru_cpu_step *step, int is_default, const step_data *data, int32_t type) {
    const size_t rest = step->H % STEP_UNITS;
    const int narrow = LANES > 1 && rest > 0 && rest <= STEP_UNITS - LANES;
    const int backward = (uintptr_t)data->h > (uintptr_t)data->next;
    const size_t count = (step->H + (narrow ? 0 : STEP_UNITS - 1)) / STEP_UNITS, end = count * STEP_UNITS;
    if (narrow && backward) narrow_blocks(step, is_default, data, type, end);
    if (count > 0)
        whole_blocks(step, is_default, data, type, backward ? end - STEP_UNITS : 0,
                     backward ? -(size_t)STEP_UNITS : STEP_UNITS, count);
    if (narrow && !backward) narrow_blocks(step, is_default, data, type, end);
}

INLINE void step_type(const gru_cpu_step *step, const step_data *data, int32_t type) {
    if (step->cell.is_default)
        step_blocks(step, 1, data, type);
    else
        step_blocks(step, 0, data, type);
}

/* Rounds x and h first. */
static void pair_streaming_step(const void *own, const void *x, const void *h, void *next, void *y,
                                void *workspace) {
    const gru_cpu_step *step = own;
    gru_cpu_narrow_row *x_row = workspace,
                       *h_row = (void *)((char *)workspace + gru_cpu_narrow_bytes(step->W.K));
    const step_data data = {.x = x, .h = h, .next = next, .y = y, .x_narrow = x_row, .h_narrow = h_row};
    narrow(x, step->W.K, x_row);
    narrow(h, step->R.K, h_row);
    step_type(step, &data, PAIR_TYPE);
}

const gru_cpu_pair_kernels PAIRS = {
    .narrow = narrow,
    .product = pair_product,
    .streaming_step = pair_streaming_step,
};
