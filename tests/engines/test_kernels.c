/* test_kernels.c: sigmoid and tanh of the kernels over every float, and the same bits from every instruction set.
 *
 * The widest instruction set of this processor is compared with double precision over all 2^32 floats; the others must give
 * its bits. Bounds: sigmoid within 1.6 x 2^-24 of the exact value: rounding 1 + exp(-v), which is up to 2, costs 1,
 * the division 0.5, exp the rest; tanh within 3 ulps of the value, from its e, its e + 2 and its division. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu_best_kernels.h"
#include "core/number.h"
#include "support/tester.h"

enum { BLOCK = 4096 };

/* Every 389th float, or every GRU_TEST_STRIDE-th: 1 for all of them, more under a sanitizer. */
static uint32_t float_stride(void) {
    const char *text = getenv("GRU_TEST_STRIDE");
    const long stride = text ? strtol(text, NULL, 10) : 389;
    return stride >= 1 && stride <= 100000 ? (uint32_t)stride : 1;
}

/* Of the numbers that tests draw a tenth, where the stride is that of a sanitizer or of another processor. */
static int drawn(int all) {
    return float_stride() < 500 ? all : all / 10;
}

typedef void (*function)(float *v, size_t count);

/* Truths in double, by series where the library function would only take longer: the first term left out is below 1e-17
 * of the value. */
static double true_sigmoid(double x) {
    if (x > 120) return 1;
    if (fabs(x) < 0x1p-6) {
        const double q = x * x;
        return 0.5 + x * (1.0 / 4 - q * (1.0 / 48 - q * (1.0 / 480 - q * 17 / 80640)));
    }
    return 1 / (1 + exp(-x));
}

static double true_tanh(double x) {
    if (fabs(x) > 22) return x > 0 ? 1 : -1;
    if (fabs(x) < 0x1p-6) {
        const double q = x * x;
        return x * (1 - q * (1.0 / 3 - q * (2.0 / 15 - q * (17.0 / 315 - q * 62 / 2835))));
    }
    return tanh(x);
}

/* Half an ulp is what rounding costs; smaller than normal numbers the ulp stays that of the smallest normal. */
static double ulp_of(double value) {
    int exponent;
    (void)frexp(value, &exponent);
    return ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

typedef struct worst {
    double error;
    float at;
    uint64_t compared;
} worst;

/* The largest error over the floats of `sign` (0 or 2^31), in units of what `unit` gives for the exact value. */
static worst scan(function f, double (*exact)(double), double (*unit)(double), uint32_t sign) {
    static _Thread_local float v[BLOCK];
    const uint32_t stride = float_stride();
    worst w = {0};
    for (uint32_t begin = 0; begin < 0x7f800000u; begin += BLOCK * stride) {
        for (uint32_t i = 0; i < BLOCK; i++) v[i] = gru_float_from_bits(sign | (begin + i * stride));
        f(v, BLOCK);
        for (uint32_t i = 0; i < BLOCK && begin + i * stride < 0x7f800000u; i++) {
            const float x = gru_float_from_bits(sign | (begin + i * stride));
            const double expected = exact((double)x), error = fabs((double)v[i] - expected) / unit(expected);
            w.compared++;
            if (error <= w.error) continue; /* NaN falls through */
            w.error = error;
            w.at = x;
            if (isnan(error)) return w;
        }
    }
    return w;
}

static double of_one(double value) {
    (void)value;
    return 0x1p-24;
}

static void check_floats(const char *name, function f, double (*exact)(double), double (*unit)(double),
                         uint32_t sign, double bound) {
    const worst w = scan(f, exact, unit, sign);
    printf("%s(%s): %llu floats, worst error %.3f units at %a\n", name, sign ? "x < 0" : "x >= 0",
           (unsigned long long)w.compared, w.error, (double)w.at);
    const uint32_t stride = float_stride();
    CHECK(w.compared == (0x7f800000u + stride - 1) / stride,
          "%s: compared %llu floats, expected all finite ones that the stride meets", name,
          (unsigned long long)w.compared);
    CHECK(w.error <= bound, "%s(%a): error %.3f, bound %.3f units", name, (double)w.at, w.error, bound);
}

TEST(kernels, sigmoid_of_every_positive_float) {
    check_floats("sigmoid", gru_cpu_best_kernels()->sigmoid, true_sigmoid, of_one, 0, 1.6);
}

TEST(kernels, sigmoid_of_every_negative_float) {
    check_floats("sigmoid", gru_cpu_best_kernels()->sigmoid, true_sigmoid, of_one, 0x80000000u, 1.6);
}

/* tanh is odd to the bit (the next test), so half of the floats are enough. */
TEST(kernels, tanh_of_every_positive_float) {
    check_floats("tanh", gru_cpu_best_kernels()->tanh, true_tanh, ulp_of, 0, 3.0);
}

TEST(kernels, tanh_is_odd_and_infinities_and_nan_are_kept) {
    const gru_cpu_kernels *k = gru_cpu_best_kernels();
    float v[PANEL], negative[PANEL];
    for (int round = drawn(100000); round > 0; round--) {
        for (int i = 0; i < PANEL; i++)
            v[i] = gru_float_from_bits((uint32_t)(round * PANEL + i) * 1337u & 0x7fffffffu);
        for (int i = 0; i < PANEL; i++) negative[i] = -v[i];
        k->tanh(v, PANEL);
        k->tanh(negative, PANEL);
        for (int i = 0; i < PANEL; i++)
            CHECK((isnan(v[i]) && isnan(negative[i])) || v[i] == -negative[i], "tanh gives %a and %a",
                  (double)v[i], (double)negative[i]);
    }
    float special[PANEL] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f}, same[PANEL];
    memcpy(same, special, sizeof same);
    k->tanh(special, PANEL);
    k->sigmoid(same, PANEL);
    CHECK(special[0] == 1 && special[1] == -1 && isnan(special[2]) && special[3] == 0 && signbit(special[4]),
          "tanh of inf, -inf, nan, 0, -0 is %g %g %g %g %g", (double)special[0], (double)special[1],
          (double)special[2], (double)special[3], (double)special[4]);
    CHECK(same[0] == 1 && same[1] < 2e-38f && same[1] >= 0 && isnan(same[2]) && same[3] == 0.5f &&
              same[4] == 0.5f,
          "sigmoid of inf, -inf, nan, 0, -0 is %g %g %g %g %g", (double)same[0], (double)same[1],
          (double)same[2], (double)same[3], (double)same[4]);
}

/* Compares f with g, which is the widest, on every stride-th float of both signs, NaN with NaN. */
static void check_same(const char *name, function f, function g, uint32_t sparse) {
    const uint32_t stride = sparse * float_stride();
    static _Thread_local float a[BLOCK], b[BLOCK];
    uint64_t compared = 0, different = 0;
    for (uint64_t begin = 0; begin < 0x100000000u; begin += (uint64_t)stride * BLOCK) {
        for (uint64_t i = 0; i < BLOCK; i++) a[i] = gru_float_from_bits((uint32_t)(begin + i * stride));
        memcpy(b, a, sizeof b);
        f(a, BLOCK);
        g(b, BLOCK);
        for (int i = 0; i < BLOCK; i++, compared++)
            different +=
                gru_bits_from_float(a[i]) != gru_bits_from_float(b[i]) && !(isnan(a[i]) && isnan(b[i]));
    }
    CHECK(compared >= 0x100000000u / stride && different == 0, "%s: %llu of %llu floats differ", name,
          (unsigned long long)different, (unsigned long long)compared);
}

TEST(kernels, scalar_has_the_bits_of_the_widest) {
    check_same("sigmoid", gru_cpu_kernels_scalar.sigmoid, gru_cpu_best_kernels()->sigmoid, 251);
    check_same("tanh", gru_cpu_kernels_scalar.tanh, gru_cpu_best_kernels()->tanh, 251);
}

/* One multiply-add, on numbers of any bits: products and sums that cancel, overflow, underflow, tie. */
static void check_multiply_add(const gru_cpu_kernels *k, uint32_t a, uint32_t b, uint32_t c,
                               uint64_t *different) {
    float weights[PANEL], bias[PANEL], u = gru_float_from_bits(b), ours[PANEL], wide[PANEL];
    const gru_cpu_panel panel = {
        .weights = weights, .bias = bias, .lanes = 16, .K = 1, .type = GRU_F32, .gates = 1};
    const float *in = &u;
    float *out = ours, *wide_out = wide;
    for (uint32_t i = 0; i < PANEL; i++) {
        weights[i] = gru_float_from_bits(a + i);
        bias[i] = gru_float_from_bits(c ^ i << 7);
    }
    k->product(&panel, &in, &out, 1);
    gru_cpu_best_kernels()->product(&panel, &in, &wide_out, 1);
    for (int i = 0; i < PANEL; i++)
        *different += gru_bits_from_float(ours[i]) != gru_bits_from_float(wide[i]) &&
                      !(isnan(ours[i]) && isnan(wide[i]));
}

TEST(kernels, scalar_multiplies_and_adds_with_one_rounding) {
    uint64_t state = 1, different = 0;
    const int draws = drawn(500000);
    for (int i = 0; i < draws; i++) {
        uint32_t bits[3];
        for (int j = 0; j < 3; j++)
            bits[j] = (uint32_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 32);
        check_multiply_add(&gru_cpu_kernels_scalar, bits[0], bits[1], bits[2], &different);
        /* and with a sum near the product, where roundings are close calls */
        const uint32_t near =
            gru_bits_from_float(gru_float_from_bits(bits[0]) * gru_float_from_bits(bits[1]));
        const uint32_t shift = (bits[2] % 60) << 23;
        check_multiply_add(&gru_cpu_kernels_scalar, bits[0], bits[1],
                           (near ^ (bits[2] & 0x80000000u)) - shift, &different);
    }
    CHECK(different == 0, "%llu of %d results differ", (unsigned long long)different, 2 * draws * PANEL);
}

#if defined(__x86_64__)
TEST(kernels, avx2_has_the_bits_of_the_widest) {
    if (!(gru_cpu_features() & GRU_CPU_AVX512)) SKIP("AVX2 is the widest here");
    check_same("sigmoid", gru_cpu_kernels_avx2.sigmoid, gru_cpu_best_kernels()->sigmoid, 1);
    check_same("tanh", gru_cpu_kernels_avx2.tanh, gru_cpu_best_kernels()->tanh, 1);
}
#endif
