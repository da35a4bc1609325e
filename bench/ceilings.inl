/* ceilings.inl: the two loops that nothing can beat, for one width of vector.
 *
 * The includer defines NAME(word), TARGET, VECTOR, WIDTH (floats), LOAD(p), STORE(p, v), SPLAT(f), ADD(a, b) and
 * FMA(a, b, c). SPDX-License-Identifier: Apache-2.0 */

/* Twelve chains: two units of four cycles latency need eight, sixteen registers hold twelve and the factors. */
TARGET static double NAME(multiply)(int64_t rounds, float *sink) {
    enum { CHAINS = 12 };
    const VECTOR factor = SPLAT(0.999f), term = SPLAT(0.001f);
    VECTOR sum[CHAINS];
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++) sum[k] = SPLAT((float)k);
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++) sum[k] = FMA(sum[k], factor, term);
    }
#pragma GCC unroll 12
    for (int k = 1; k < CHAINS; k++) sum[0] = ADD(sum[0], sum[k]);
    STORE(sink, sum[0]);
    return 2.0 * CHAINS * WIDTH * (double)rounds;
}

/* Eight sums hide the latency of the additions. Four places are read at once: from memory that gave a fifth more than one
 * (22 against 18 GB/s, Zen 4, November 2026), from the caches the same. count: a multiple of 16 floats. */
TARGET static void NAME(read)(const float *from, int64_t count, float *sink) {
    enum { SUMS = 8, PLACES = 4 };
    const int64_t share = count / PLACES / (2 * WIDTH) * (2 * WIDTH);
    VECTOR sum[SUMS];
#pragma GCC unroll 8
    for (int k = 0; k < SUMS; k++) sum[k] = SPLAT(0.0f);
    for (int64_t i = 0; i < share; i += 2 * WIDTH) {
#pragma GCC unroll 8
        for (int k = 0; k < SUMS; k++)
            sum[k] = ADD(sum[k], LOAD(from + k % PLACES * share + i + k / PLACES * WIDTH));
    }
    for (int64_t i = PLACES * share; i < count; i += WIDTH) sum[0] = ADD(sum[0], LOAD(from + i));
#pragma GCC unroll 8
    for (int k = 1; k < SUMS; k++) sum[0] = ADD(sum[0], sum[k]);
    STORE(sink, sum[0]);
}

#undef NAME
#undef TARGET
#undef VECTOR
#undef WIDTH
#undef LOAD
#undef STORE
#undef SPLAT
#undef ADD
#undef FMA
