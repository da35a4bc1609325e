/* test_kernels_f64.c: the functions of the kernels in double precision, and the same bits from every instruction set.
 *
 * The widest instruction set is compared with long double over drawn numbers: of all exponents, of the range in which the
 * functions change, and near zero. Bounds are those of f32 in units of f64: test_kernels.c and core/activations.def. */
#define GRU_CPU_F64 /* the tables of f64 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/activation.h"
#include "cpu/cpu_best_kernels.h"
#include "cpu/cpu_reference_activation.h"
#include "support/tester.h"

#include <tgmath.h> /* the formulas of activations.def in long double; behind all that has functions of such names */

enum { BLOCK = 256, BLOCKS = 1200 };

static double from_bits(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t bits_of(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* A third of the blocks have any bits, infinities and NaN among them; a third lie in +-50, a third in +-1. */
static void draw(int block, double *v) {
    for (uint64_t i = 0; i < BLOCK; i++) {
        const uint64_t at = (uint64_t)block * BLOCK + i;
        v[i] = block % 3 == 0   ? from_bits(tester_random(1, at))
               : block % 3 == 1 ? 50 * tester_uniform(2, at)
                                : tester_uniform(3, at) * exp2((double)-(block % 60));
    }
}

static int differ(double a, double b) {
    return bits_of(a) != bits_of(b) && !(isnan(a) && isnan(b));
}

/* ---- sigmoid and tanh -------------------------------------------------------------------------------------------- */

static long double exact_sigmoid(long double v) {
    return 1 / (1 + exp(-v));
}

static long double exact_tanh(long double v) {
    return tanh(v);
}

static long double of_one(long double value) {
    (void)value;
    return 0x1p-53L;
}

/* As in test_kernels.c. */
static long double ulp_of(long double value) {
    int exponent;
    (void)frexp(value, &exponent);
    return ldexp(1.0L, exponent < -1021 ? -1074 : exponent - 53);
}

static void check_function(const char *name, void (*f)(double *v, size_t count),
                           long double (*right)(long double), long double (*unit)(long double),
                           long double bound) {
    long double worst = 0;
    double at = 0;
    for (int block = 0; block < BLOCKS; block++) {
        double v[BLOCK], value[BLOCK];
        if (!tester_takes((uint64_t)block)) continue;
        draw(block, v);
        memcpy(value, v, sizeof value);
        f(value, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            const long double expected = right((long double)v[i]);
            const long double error = fabs((long double)value[i] - expected) / unit(expected);
            if (isnan(expected) && isnan(value[i])) continue;
            if (!(error <= worst)) worst = isnan(error) ? HUGE_VALL : error, at = v[i];
        }
    }
    printf("%s: worst error %.3Lf units at %a\n", name, worst, at);
    CHECK(worst <= bound, "%s(%a): error %.3Lf, bound %.3Lf units", name, at, worst, bound);
}

TEST(kernels_f64, sigmoid_is_within_its_bound) {
    check_function("sigmoid", gru_cpu_best_kernels()->sigmoid, exact_sigmoid, of_one, 1.6L);
}

TEST(kernels_f64, tanh_is_within_its_bound) {
    check_function("tanh", gru_cpu_best_kernels()->tanh, exact_tanh, ulp_of, 3);
}

TEST(kernels_f64, infinities_nan_and_signs_are_kept) {
    double v[PANEL] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 0x1p-1074}, same[PANEL];
    memcpy(same, v, sizeof same);
    (gru_cpu_best_kernels()->tanh)(v, PANEL);
    gru_cpu_best_kernels()->sigmoid(same, PANEL);
    CHECK(v[0] == 1 && v[1] == -1 && isnan(v[2]) && v[3] == 0 && signbit(v[4]) && v[5] == 0x1p-1074,
          "tanh of inf, -inf, nan, 0, -0, 2^-1074 is %g %g %g %g %g %g", v[0], v[1], v[2], v[3], v[4], v[5]);
    CHECK(same[0] == 1 && same[1] >= 0 && same[1] < 4e-308 && isnan(same[2]) && same[3] == 0.5 &&
              same[4] == 0.5,
          "sigmoid of inf, -inf, nan, 0, -0 is %g %g %g %g %g", same[0], same[1], same[2], same[3], same[4]);
}

/* ---- the table of activations ------------------------------------------------------------------------------------ */

static const double bounds[GRU_ACTIVATIONS] = {
#define ACTIVATION(NAME, word, alpha, beta, sign, bound, ...) bound,
#include "core/activations.def"
#undef ACTIVATION
};

static long double logistic(long double v) {
    return exact_sigmoid(v);
}

static long double normal(long double v) {
    return erfc(-v * 0.707106781186547524400844362104849039L) / 2;
}

static long double gelu_cubic(long double v) {
    return 1.59576912160573071175978423973752L * (v + 0.044715L * v * v * v);
}

static long double gelu_cubic_slope(long double v) {
    return 1.59576912160573071175978423973752L * (1 + 3 * 0.044715L * v * v);
}

static long double between(long double low, long double v, long double high) {
    return v < low ? low : v > high ? high : v;
}

static long double limited(long double v) {
    return between(-1000, v, 1000);
}

static int inside(long double low, long double v, long double high) {
    return !(v < low || v > high);
}

static long double exact_activation(const gru_activation *f, long double v, long double *of_slope) {
    const long double alpha = (long double)f->alpha, beta = (long double)f->beta;
    long double y = NAN;
    *of_slope = NAN;
    switch (f->row) {
#define ACTIVATION(NAME, word, alpha_default, beta_default, sign, bound, value, slope) \
    case GRU_ROW_OF_##NAME:                                                            \
        y = value;                                                                     \
        *of_slope = slope;                                                             \
        break;
#include "core/activations.def"
#undef ACTIVATION
    default:
        break;
    }
    return y;
}

/* In units of 2^-53 max(1, |expected|). */
static double error_of(double got, long double expected) {
    if (isnan(expected)) return isnan(got) ? 0 : HUGE_VAL;
    if (fabs(expected) > DBL_MAX) return isinf(got) || fabs(got) > 0x1.fffffffffffp1023 ? 0 : HUGE_VAL;
    const long double error = fabs((long double)got - expected) / (0x1p-53L * fmax(1.0L, fabs(expected)));
    return isnan(error) ? HUGE_VAL : (double)error;
}

/* BLOCK values and slopes. */
typedef void (*evaluation)(const gru_activation *f, const double *v, double *value, double *slope);

static void evaluate_kernel(const gru_activation *f, const double *v, double *value, double *slope) {
    gru_cpu_best_kernels()->activation(f, v, value, slope, BLOCK);
}

static void evaluate_reference(const gru_activation *f, const double *v, double *value, double *slope) {
    for (int i = 0; i < BLOCK; i++) {
        value[i] = gru_reference_value(f, v[i]);
        slope[i] = gru_reference_slope(f, v[i], value[i]);
    }
}

static void check_activation(const gru_activation *f, evaluation evaluate, double bound) {
    const char *word = gru_activation_facts_of(f->row)->word;
    double worst = 0, worst_slope = 0, at = 0, slope_at = 0;
    for (int block = 0; block < BLOCKS / 8; block++) {
        double v[BLOCK], value[BLOCK], slope[BLOCK];
        if (!tester_takes((uint64_t)block)) continue;
        draw(block, v);
        evaluate(f, v, value, slope);
        for (int i = 0; i < BLOCK; i++) {
            long double right_slope;
            const long double right = exact_activation(f, (long double)v[i], &right_slope);
            const double error = error_of(value[i], right), slope_error = error_of(slope[i], right_slope);
            if (error > worst) worst = error, at = v[i];
            if (slope_error > worst_slope) worst_slope = slope_error, slope_at = v[i];
        }
    }
    printf("%s: value %.2f at %g, slope %.2f at %g, in units of 2^-53\n", word, worst, at, worst_slope,
           slope_at);
    CHECK(worst <= bound && worst_slope <= bound,
          "%s(%a): error %.3g, its slope at %a: %.3g, bound %g units of 2^-53", word, at, worst, slope_at,
          worst_slope, bound);
}

static gru_activation function_of(int32_t row) {
    const gru_activation_facts *facts = gru_activation_facts_of(row);
    return (gru_activation){row, isnan(facts->alpha) ? 0 : 0.625f, isnan(facts->beta) ? 0 : 0.375f};
}

TEST(kernels_f64, activations_are_within_the_bounds_of_the_table) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        const gru_activation f = function_of(row);
        check_activation(&f, evaluate_kernel, bounds[row]);
        check_activation(&f, evaluate_reference, bounds[row] + 1); /* it rounds products before it adds */
    }
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

static uint64_t differences_of(const gru_cpu_kernels *a, const gru_cpu_kernels *b, const gru_activation *f) {
    uint64_t different = 0;
    for (int block = 0; block < BLOCKS / 8; block++) {
        double v[BLOCK], value[2][BLOCK], slope[2][BLOCK];
        if (!tester_takes((uint64_t)block)) continue;
        draw(block, v);
        a->activation(f, v, value[0], slope[0], BLOCK);
        b->activation(f, v, value[1], slope[1], BLOCK);
        for (int i = 0; i < BLOCK; i++)
            different += (uint64_t)(differ(value[0][i], value[1][i]) + differ(slope[0][i], slope[1][i]));
    }
    return different;
}

static void check_same_functions(const char *name, const gru_cpu_kernels *kernels) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        const gru_activation f = function_of(row);
        const uint64_t different = differences_of(kernels, gru_cpu_best_kernels(), &f);
        CHECK(different == 0, "%s: %llu numbers of %s differ", gru_activation_facts_of(row)->word,
              (unsigned long long)different, name);
    }
}

/* One multiply-add of each of two kernels, on numbers of any bits and on sums that nearly cancel. */
static int multiply_add_differs(const gru_cpu_kernels *kernels, uint64_t draw) {
    double weights[PANEL], bias[PANEL], u = from_bits(tester_random(4, draw)), ours[PANEL], wide[PANEL];
    const gru_cpu_panel panel = {
        .weights = weights, .bias = bias, .lanes = 16, .K = 1, .type = GRU_F64, .gates = 1};
    const double *in = &u;
    double *out = ours, *wide_out = wide;
    int different = 0;
    for (uint64_t i = 0; i < PANEL; i++) {
        weights[i] = from_bits(tester_random(5, draw * PANEL + i));
        const double product = weights[i] * u, other = from_bits(tester_random(6, draw * PANEL + i));
        bias[i] = i % 2 ? other : from_bits(bits_of(-product) ^ (uint64_t)1 << (i + 40));
    }
    kernels->product(&panel, &in, &out, 1);
    gru_cpu_best_kernels()->product(&panel, &in, &wide_out, 1);
    for (int i = 0; i < PANEL; i++) different += differ(ours[i], wide[i]);
    return different;
}

static void check_same_products(const char *name, const gru_cpu_kernels *kernels) {
    int different = 0;
    for (uint64_t i = 0; i < 20000; i++) different += multiply_add_differs(kernels, i);
    CHECK(different == 0, "%d of 320,000 products of %s differ", different, name);
}

TEST(kernels_f64, scalar_has_the_bits_of_the_widest) {
    check_same_functions("cpu_scalar", &gru_cpu_kernels_scalar);
    check_same_products("cpu_scalar", &gru_cpu_kernels_scalar);
}

#if defined(__x86_64__)
TEST(kernels_f64, avx2_has_the_bits_of_the_widest) {
    if (!(gru_cpu_features() & GRU_CPU_AVX512)) SKIP("AVX2 is the widest here");
    check_same_functions("cpu_avx2", &gru_cpu_kernels_avx2);
    check_same_products("cpu_avx2", &gru_cpu_kernels_avx2);
}
#endif
