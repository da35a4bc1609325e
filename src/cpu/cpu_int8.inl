/* cpu_int8.inl: the product with int8 weights as sums of integers, in the vocabulary of cpu_kernels.inl and these words of
 * integers: isum (LANES sums of 32 bits), isum_zero, ipairs (LANES pairs of 16 bits), ipairs_load (widens pairs of int8),
 * ipairs_set1 (one pair in all lanes), isum_add (sum + the products of both of a pair), vec_from_isum, and vec_store_low_bits
 * (16 bits of each lane).
 *
 * Sums of integers are exact, so their order is free, and each instruction set takes its own. */

/* LANES numbers of the row from k on; zeros past its end. */
INLINE vec load_numbers(const float *row, size_t K, size_t k) {
    if (K - k >= LANES) return vec_load(row + k);
    float cut[LANES] = {0};
    memcpy(cut, row + k, (K - k) * sizeof *cut);
    return vec_load(cut);
}

/* The largest magnitude of the row, or NaN if a number is infinite or NaN: v - v is 0 or NaN. */
static float largest_magnitude(const float *row, size_t K) {
    vec most = vec_set1(0.0f), rest = vec_set1(0.0f);
    float mosts[LANES], rests[LANES], largest = 0.0f, sum = 0.0f;
    for (size_t k = 0; k < K; k += LANES) {
        const vec v = load_numbers(row, K, k);
        most = vec_max(vec_abs(v), most);
        rest = vec_add(rest, vec_sub(v, v));
    }
    vec_store(mosts, most);
    vec_store(rests, rest);
    for (size_t i = 0; i < LANES; i++) {
        largest = mosts[i] > largest ? mosts[i] : largest;
        sum += rests[i];
    }
    return largest + sum;
}

/* Adding MAGIC rounds to an integer and leaves it in the low bits. A row below 2^-100 is rounded as if 2^-100 were in it,
 * because the inverse of its scale might be infinite. */
static void quantise(const float *row, size_t K, gru_cpu_quantised *to) {
    const float largest = largest_magnitude(row, K), limit = (float)gru_cpu_largest_integer(K);
    const float range = largest < 0x1p-100f ? 0x1p-100f : largest;
    const vec inverse = vec_set1(limit / range);
    to->scale = range / limit;
    for (size_t k = 0; k < K; k += LANES)
        vec_store_low_bits(to->values + k, vec_fma(load_numbers(row, K, k), inverse, vec_set1(MAGIC)));
    if (LANES == 1 && K % 2) to->values[K] = 0;
}

/* Constants as in product_block. products: [gates * wide][rows]. */
INLINE void int8_sums(const gru_cpu_panel *panel, int gates, int rows, int wide, size_t first,
                      const gru_cpu_quantised *const *in, vec *products) {
    const size_t pitch = (size_t)gates * PANEL * 2, K = panel->K + panel->K % 2;
    isum sum[GATES * 4];
#pragma GCC unroll 48
    for (int i = 0; i < gates * wide * rows; i++) sum[i] = isum_zero();
    const int8_t *line = panel->weights;
#pragma GCC unroll 2
    for (size_t k = 0; k < K; k += 2, line += pitch) {
        ipairs w[GATES * 4];
#pragma GCC unroll 12
        for (int i = 0; i < gates * wide; i++) w[i] = ipairs_load(line + 2 * vector_at(i, wide, first));
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            const ipairs u = ipairs_set1(in[m]->values + k);
#pragma GCC unroll 12
            for (int i = 0; i < gates * wide; i++) sum[i * rows + m] = isum_add(sum[i * rows + m], w[i], u);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide; i++) {
        const size_t at = vector_at(i, wide, first);
        const vec scales = vec_load(panel->scales + at), bias = vec_load(panel->bias + at);
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            const vec product = vec_mul(vec_from_isum(sum[i * rows + m]), vec_set1(in[m]->scale));
            products[i * rows + m] = vec_fma(product, scales, bias);
        }
    }
}

INLINE void int8_block(const gru_cpu_panel *panel, int gates, int rows, int wide, size_t first,
                       const gru_cpu_quantised *const *in, float *const *out) {
    vec products[GATES * 4];
    int8_sums(panel, gates, rows, wide, first, in, products);
#pragma GCC unroll 12
    for (int i = 0; i < gates * wide; i++)
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) vec_store(out[m] + vector_at(i, wide, first), products[i * rows + m]);
}

INLINE void int8_rows(const gru_cpu_panel *panel, int gates, int rows, const gru_cpu_quantised *const *in,
                      float *const *out) {
    const int wide = WIDE(rows > 1 ? ROWS : 1); /* a product needs a register of its own beside the sums */
    for (size_t first = 0; first < PANEL; first += (size_t)wide * LANES)
        int8_block(panel, gates, rows, wide, first, in, out);
}

/* Four rows where there are 32 registers. Where there are 16, three, but four as two and two: one alone would read the weights
 * for little work. */
INLINE void int8_gates(const gru_cpu_panel *panel, int gates, const gru_cpu_quantised *const *in,
                       float *const *out, int32_t rows) {
#if ROWS >= 8
    for (; rows >= 4; rows -= 4, in += 4, out += 4) int8_rows(panel, gates, 4, in, out);
#elif ROWS >= 4
    for (; rows >= 3 && rows != 4; rows -= 3, in += 3, out += 3) int8_rows(panel, gates, 3, in, out);
#endif
#if ROWS >= 2
    for (; rows >= 2; rows -= 2, in += 2, out += 2) int8_rows(panel, gates, 2, in, out);
#endif
    for (; rows > 0; rows--, in++, out++) int8_rows(panel, gates, 1, in, out);
}

static void int8_product(const gru_cpu_panel *panel, const gru_cpu_quantised *const *in, float *const *out,
                         int32_t rows) {
    if (panel->gates == 3)
        int8_gates(panel, 3, in, out, rows);
    else if (panel->gates == 2)
        int8_gates(panel, 2, in, out, rows);
    else
        int8_gates(panel, 1, in, out, rows);
}
