/* cpu_int8.inl: the words of cpu_pairs.inl for int8 weights, which multiply integers of 16 bits. Theirs are: isum (LANES sums of
 * 32 bits), isum_zero, isum_join (of two), ipairs (LANES pairs of 16 bits), ipairs_load (widens pairs of int8), ipairs_set1 (one pair in
 * all lanes), isum_add (sum + the products of both of a pair), vec_from_isum, vec_store_low_bits (16 bits of each lane), and INT8_ROWS.
 *
 * Sums of integers are exact, so their order is free, and each instruction set takes its own. */

#define PAIR_TYPE GRU_INT8
#define PAIR_ROWS INT8_ROWS
#define PAIR_PARTS(rows) ((rows) == 1 && LANES == PANEL ? 2 : 1)
enum { PAIR_BYTES = 2 };
typedef isum pair_sum;
typedef ipairs pair_numbers;

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
static void narrow(const float *row, size_t K, gru_cpu_narrow_row *to) {
    const float largest = largest_magnitude(row, K), limit = (float)gru_cpu_largest_integer(K);
    const float range = largest < 0x1p-100f ? 0x1p-100f : largest;
    const vec inverse = vec_set1(limit / range);
    to->scale = range / limit;
    for (size_t k = 0; k < K; k += LANES)
        vec_store_low_bits(to->values + k, vec_fma(load_numbers(row, K, k), inverse, vec_set1(MAGIC)));
    if (LANES == 1 && K % 2) to->values[K] = 0;
}

INLINE pair_sum pair_start(const gru_cpu_panel *panel, size_t at) {
    (void)panel, (void)at;
    return isum_zero();
}
INLINE pair_numbers pair_load(const char *weights) {
    return ipairs_load((const int8_t *)weights);
}
INLINE pair_numbers pair_set1(const int16_t *pair) {
    return ipairs_set1(pair);
}
INLINE pair_sum pair_add(pair_sum sum, pair_numbers w, pair_numbers u) {
    return isum_add(sum, w, u);
}
INLINE pair_sum pair_join(pair_sum a, pair_sum b) {
    return isum_join(a, b);
}
/* The scale of the weights first: packing has seen to it that this product is finite, and nothing limits the other scale. */
INLINE vec pair_end(const gru_cpu_panel *panel, size_t at, pair_sum sum, const gru_cpu_narrow_row *in) {
    const vec product = vec_mul(vec_from_isum(sum), vec_load(panel->scales + at));
    return vec_fma(product, vec_set1(in->scale), vec_load(panel->bias + at));
}
