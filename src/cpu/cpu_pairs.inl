/* cpu_pairs.inl: the product where the processor multiplies two values of k at once, with the vocabulary of cpu_cell.inl and these
 * words: PAIR_TYPE (of the weights), PAIR_BYTES (of a pair of them), PAIR_ROWS (rows whose sums fill the registers), PAIR_PARTS(rows)
 * (1, or 2 where a sum is added up in two parts, so that chains do not wait), pair_sum, pair_numbers, pair_start (a sum before the first
 * pair), pair_load (LANES pairs of weights), pair_set1 (a pair of the row), pair_add, pair_join (of two parts), pair_end (the product from
 * the sum), and narrow, which rounds a row. `at` is a place in a panel's biases. */

/* The products of k and k + 1. */
INLINE void pair_terms(const gru_cpu_panel *panel, int gates, int rows, int wide, size_t first, size_t k,
                       const gru_cpu_narrow_row *const *in, pair_sum *sum) {
    const char *line = (const char *)panel->weights + k / 2 * (size_t)gates * PANEL * PAIR_BYTES;
    pair_numbers w[GATES * 4];
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide; i++) w[i] = pair_load(line + vector_at(i, wide, first) * PAIR_BYTES);
#pragma GCC unroll 8
    for (int m = 0; m < rows; m++) {
        const pair_numbers u = pair_set1(in[m]->values + k);
#pragma GCC unroll 12
        for (int i = 0; i < gates * wide; i++) sum[i * rows + m] = pair_add(sum[i * rows + m], w[i], u);
    }
}

/* Constants as in product_block. sum: [gates * wide][rows]. Returns the first k that is left. */
INLINE size_t pair_add_parts(const gru_cpu_panel *panel, int gates, int rows, int wide, size_t first,
                             const gru_cpu_narrow_row *const *in, pair_sum *sum) {
    pair_sum other[GATES * 4];
    size_t k = 0;
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide * rows; i++) other[i] = pair_start(panel, 0);
    for (; k + 2 < panel->K; k += 4) {
        pair_terms(panel, gates, rows, wide, first, k, in, sum);
        pair_terms(panel, gates, rows, wide, first, k + 2, in, other);
    }
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide * rows; i++) sum[i] = pair_join(sum[i], other[i]);
    return k;
}

/* products: [gates * wide][rows]. */
INLINE void pair_products(const gru_cpu_panel *panel, int gates, int rows, int wide, size_t first,
                          const gru_cpu_narrow_row *const *in, vec *products) {
    pair_sum sum[GATES * 8];
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide; i++)
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) sum[i * rows + m] = pair_start(panel, vector_at(i, wide, first));
    size_t k = PAIR_PARTS(rows) == 2 ? pair_add_parts(panel, gates, rows, wide, first, in, sum) : 0;
    for (; PAIR_ROWS >= 8 && k < panel->K;
         k += 2) /* unrolled, the sums of 8 rows would leave the registers */
        pair_terms(panel, gates, rows, wide, first, k, in, sum);
#pragma GCC unroll 2
    for (; k < panel->K; k += 2) pair_terms(panel, gates, rows, wide, first, k, in, sum);
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide; i++)
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++)
            products[i * rows + m] = pair_end(panel, vector_at(i, wide, first), sum[i * rows + m], in[m]);
}

INLINE void pair_rows(const gru_cpu_panel *panel, int gates, int rows, const gru_cpu_narrow_row *const *in,
                      float *const *out) {
    const int wide = WIDE(rows > 1 ? ROWS : 1);
    for (size_t first = 0; first < PANEL; first += (size_t)wide * LANES) {
        vec products[GATES * 8];
        pair_products(panel, gates, rows, wide, first, in, products);
#pragma GCC unroll 12
        for (int i = 0; i < gates * wide; i++)
#pragma GCC unroll 8
            for (int m = 0; m < rows; m++)
                vec_store(out[m] + vector_at(i, wide, first), products[i * rows + m]);
    }
}

/* Groups of nearly as many rows: one alone would read the weights for little work. */
INLINE void pair_gates(const gru_cpu_panel *panel, int gates, const gru_cpu_narrow_row *const *in,
                       float *const *out, int32_t rows) {
    for (int32_t groups = (rows + PAIR_ROWS - 1) / PAIR_ROWS, count; groups > 0; groups--) {
        count = (rows + groups - 1) / groups;
#define IF_PAIR_ROWS(n) \
    if ((n) <= PAIR_ROWS && count == (n)) pair_rows(panel, gates, n, in, out)
        IF_PAIR_ROWS(8);
        IF_PAIR_ROWS(7);
        IF_PAIR_ROWS(6);
        IF_PAIR_ROWS(5);
        IF_PAIR_ROWS(4);
        IF_PAIR_ROWS(3);
        IF_PAIR_ROWS(2);
        IF_PAIR_ROWS(1);
#undef IF_PAIR_ROWS
        rows -= count, in += count, out += count;
    }
}

static void pair_product(const gru_cpu_panel *panel, const gru_cpu_narrow_row *const *in, float *const *out,
                         int32_t rows) {
    if (panel->gates == 3)
        pair_gates(panel, 3, in, out, rows);
    else if (panel->gates == 2)
        pair_gates(panel, 2, in, out, rows);
    else
        pair_gates(panel, 1, in, out, rows);
}
