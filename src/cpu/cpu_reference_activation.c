/* cpu_reference_activation.c: makes functions in double precision of the formulas in the table of activations. */
#include "cpu_reference_activation.h"

#include <math.h>

/* ---- what the formulas call; NaN passes ---- */

static double logistic(double v) {
    return 1 / (1 + exp(-v));
}

/* The distribution function of the normal distribution. */
static double normal(double v) {
    return erfc(-v * 0.7071067811865476) / 2;
}

/* 2 sqrt(2 / pi) (v + 0.044715 v^3), of which 1 / 2 + tanh / 2 is the logistic function; and its derivative. */
static double gelu_cubic(double v) {
    return 1.5957691216057308 * (v + 0.044715 * v * v * v);
}

static double gelu_cubic_slope(double v) {
    return 1.5957691216057308 * (1 + 3 * 0.044715 * v * v);
}

static double between(double low, double v, double high) {
    return v < low ? low : v > high ? high : v;
}

static double limited(double v) {
    return between(-1000, v, 1000);
}

static int inside(double low, double v, double high) {
    return !(v < low || v > high);
}

/* ---- the table ---- */

double gru_reference_value(const gru_activation *f, double v) {
    const double alpha = (double)f->alpha, beta = (double)f->beta;
    switch (f->row) {
#define ACTIVATION(NAME, word, alpha_default, beta_default, sign, bound, value, slope) \
    case GRU_ROW_OF_##NAME:                                                            \
        return value;
#include "core/activations.def"
#undef ACTIVATION
    default:
        return NAN;
    }
}

double gru_reference_slope(const gru_activation *f, double v, double value) {
    const double alpha = (double)f->alpha, beta = (double)f->beta, y = value;
    switch (f->row) {
#define ACTIVATION(NAME, word, alpha_default, beta_default, sign, bound, value_of, slope) \
    case GRU_ROW_OF_##NAME:                                                               \
        return slope;
#include "core/activations.def"
#undef ACTIVATION
    default:
        return NAN;
    }
}
