/* ceilings.inl: a loop of multiply-adds and loops of reads, as fast as they get, for one width of vector.
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

/* Eight sums hide the latency of the additions. streams: as many parts of the numbers are read side by side. Which is
 * fastest depends on the cache: four streams gave 22 GB/s from memory where one gave 18 (Zen 4, November 2026).
 * count: a multiple of 16 floats. */
TARGET static inline __attribute__((always_inline)) void NAME(read_streams)(const float *from, int64_t count,
                                                                            int streams, float *sink) {
    enum { SUMS = 8 };
    const int64_t step = SUMS / streams * WIDTH, stream = count / streams / step * step;
    VECTOR sum[SUMS];
#pragma GCC unroll 8
    for (int k = 0; k < SUMS; k++) sum[k] = SPLAT(0.0f);
    for (int64_t i = 0; i < stream; i += step) {
#pragma GCC unroll 8
        for (int k = 0; k < SUMS; k++)
            sum[k] = ADD(sum[k], LOAD(from + k % streams * stream + i + k / streams * WIDTH));
    }
    for (int64_t i = streams * stream; i < count; i += WIDTH) sum[0] = ADD(sum[0], LOAD(from + i));
#pragma GCC unroll 8
    for (int k = 1; k < SUMS; k++) sum[0] = ADD(sum[0], sum[k]);
    STORE(sink, sum[0]);
}

TARGET static void NAME(read_one_stream)(const float *from, int64_t count, float *sink) {
    NAME(read_streams)(from, count, 1, sink);
}

TARGET static void NAME(read_four_streams)(const float *from, int64_t count, float *sink) {
    NAME(read_streams)(from, count, 4, sink);
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
