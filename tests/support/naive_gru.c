/* naive_gru.c: a GRU as one reads it, one row after the other, written independently of the engines. */
#include "naive_gru.h"

#include <math.h>
#include <string.h>

typedef struct model {
    const problem *p;
    uint64_t sides;
} model;

static double at(const gru_const_view *view, const problem *p, int64_t row, int64_t t, int64_t n, int64_t i) {
    return ((const double *)view->data)[(t * p->shape.N + n) * row + i];
}

/* Notes whether v lies below, on or above the kink. */
static void note(model *m, double v, double kink) {
    const unsigned char side = (unsigned char)((v > kink) - (v < kink) + 1);
    m->sides = tester_hash(m->sides, &side, 1);
}

static double clipped(model *m, double v) {
    const double limit = m->p->config.clip;
    if (limit == 0) return v;
    note(m, v, limit);
    note(m, v, -limit);
    return fmin(limit, fmax(-limit, v));
}

static double stepwise_line(model *m, double v, double from, double to) {
    note(m, v, from);
    note(m, v, to);
    return v < from ? from : v > to ? to : v;
}

/* The functions of gru.h that both f and g can be, each as its source has it. */
static double activation_of(model *m, int32_t kind, double alpha, double beta, double v) {
    if (kind == GRU_ACTIVATION_RELU || kind == GRU_ACTIVATION_LEAKY_RELU || kind == GRU_ACTIVATION_ELU ||
        kind == GRU_ACTIVATION_SELU)
        note(m, v, 0);
    const double positive = fmax(0, v), negative = fmin(0, v), softplus = log(1 + exp(v));
    const double pi = acos(-1), lambda = 1.05070098735548049342, selu_alpha = 1.67326324235437728482;
    switch (kind) {
    case GRU_ACTIVATION_SIGMOID:
        return 0.5 + 0.5 * tanh(0.5 * v);
    case GRU_ACTIVATION_HARD_SIGMOID:
        return stepwise_line(m, alpha * v + beta, 0, 1);
    case GRU_ACTIVATION_TANH:
        return (exp(v) - exp(-v)) / (exp(v) + exp(-v));
    case GRU_ACTIVATION_RELU:
        return positive;
    case GRU_ACTIVATION_LINEAR:
        return v;
    case GRU_ACTIVATION_AFFINE:
        return alpha * v + beta;
    case GRU_ACTIVATION_LEAKY_RELU:
        return positive + alpha * negative;
    case GRU_ACTIVATION_THRESHOLDED_RELU:
        note(m, v, alpha);
        return v > alpha ? v : 0;
    case GRU_ACTIVATION_SCALED_TANH:
        return alpha * (1 - 2 / (exp(2 * beta * v) + 1));
    case GRU_ACTIVATION_ELU:
        return positive + alpha * (exp(negative) - 1);
    case GRU_ACTIVATION_SOFTSIGN:
        return v >= 0 ? 1 - 1 / (1 + v) : 1 / (1 - v) - 1;
    case GRU_ACTIVATION_SOFTPLUS:
        return softplus;
    case GRU_ACTIVATION_SELU:
        return lambda * (positive + selu_alpha * (exp(negative) - 1));
    case GRU_ACTIVATION_SILU:
        return v * (0.5 + 0.5 * tanh(0.5 * v));
    case GRU_ACTIVATION_GELU:
        return v * (1 + erf(v / sqrt(2))) / 2;
    case GRU_ACTIVATION_GELU_TANH:
        return v * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 * pow(v, 3)))) / 2;
    case GRU_ACTIVATION_EXPONENTIAL:
        return exp(v);
    case GRU_ACTIVATION_RELU6:
        return stepwise_line(m, v, 0, 6);
    case GRU_ACTIVATION_HARD_TANH:
        return stepwise_line(m, v, -1, 1);
    case GRU_ACTIVATION_HARD_SILU:
        return v * stepwise_line(m, v + 3, 0, 6) / 6;
    case GRU_ACTIVATION_MISH:
        return v * tanh(softplus);
    default:
        REQUIRE(0, "the naive GRU has no activation %d", kind);
    }
    return 0;
}

double naive_activation(int32_t kind, double alpha, double beta, double v) {
    model m = {NULL, 0};
    return activation_of(&m, kind, alpha, beta, v);
}

static double gate_of(model *m, double v) {
    const gru_layer_config *config = &m->p->config;
    const double slope = config->hard_slope;
    v = clipped(m, v);
    if (config->gate >= GRU_ACTIVATION_FIRST)
        return activation_of(m, config->gate, config->gate_alpha, config->gate_beta, v);
    if (m->p->config.gate == GRU_GATE_SIGMOID) return 1 / (1 + exp(-v));
    note(m, slope * v + 0.5, 0);
    note(m, slope * v + 0.5, 1);
    return fmax(0, fmin(1, slope * v + 0.5));
}

static double candidate_of(model *m, double v) {
    const gru_layer_config *config = &m->p->config;
    v = clipped(m, v);
    if (config->candidate >= GRU_ACTIVATION_FIRST)
        return activation_of(m, config->candidate, config->candidate_alpha, config->candidate_beta, v);
    if (m->p->config.candidate == GRU_CANDIDATE_TANH) return tanh(v);
    if (m->p->config.candidate == GRU_CANDIDATE_LINEAR) return v;
    note(m, v, 0);
    return fmax(0, v);
}

/* One side of a pre-activation: gate q (0 r, 1 z, 2 n), unit j. */
static double input_side(const problem *p, int q, int64_t j, int64_t t, int64_t n) {
    const int64_t H = p->shape.H, I = p->shape.I, row = q * H + j;
    if (p->run.projected.data) return at(&p->run.projected, p, 3 * H, t, n, row);
    double sum = p->weights.bW ? ((const double *)p->weights.bW)[row] : 0;
    for (int64_t i = 0; i < I; i++)
        sum += ((const double *)p->weights.W)[row * I + i] * at(&p->run.x, p, I, t, n, i);
    return sum;
}

static double recurrent_side(const problem *p, int q, int64_t j, const double *u) {
    const int64_t H = p->shape.H, row = q * H + j;
    double sum = p->weights.bR ? ((const double *)p->weights.bR)[row] : 0;
    for (int64_t k = 0; k < H; k++) sum += ((const double *)p->weights.R)[row * H + k] * u[k];
    return sum;
}

static void step(model *m, int64_t t, int64_t n, double *h) {
    const problem *p = m->p;
    const int64_t H = p->shape.H;
    const int32_t reset = p->config.reset_mode;
    const double w = p->run.attention.data ? at(&p->run.attention, p, 1, t, n, 0) : 0;
    double r[NAIVE_GRU_UNITS], z[NAIVE_GRU_UNITS], rh[NAIVE_GRU_UNITS], next[NAIVE_GRU_UNITS];
    for (int64_t j = 0; j < H; j++) {
        r[j] = gate_of(m, input_side(p, 0, j, t, n) + recurrent_side(p, 0, j, h));
        z[j] = gate_of(m, input_side(p, 1, j, t, n) + recurrent_side(p, 1, j, h));
        z[j] = p->config.update == GRU_UPDATE_KEEP ? (1 - w) * z[j] : 1 - (1 - w) * (1 - z[j]);
        rh[j] = r[j] * h[j];
    }
    for (int64_t j = 0; j < H; j++) {
        const double a = input_side(p, 2, j, t, n);
        const double c = recurrent_side(p, 2, j, reset == GRU_RESET_BEFORE ? rh : h);
        const double v = reset == GRU_RESET_AFTER    ? a + r[j] * c
                         : reset == GRU_RESET_BEFORE ? a + c
                                                     : r[j] * (a + c);
        const double candidate = candidate_of(m, v);
        next[j] = p->config.update == GRU_UPDATE_KEEP ? (1 - z[j]) * candidate + z[j] * h[j]
                                                      : (1 - z[j]) * h[j] + z[j] * candidate;
    }
    memcpy(h, next, (size_t)H * sizeof *h);
}

/* Whether the state starts anew before the s-th step that the layer makes, at time t. */
static int starts_segment(const problem *p, int64_t s, int64_t t, int64_t n) {
    const uint8_t *reset = p->run.restart.data;
    if (!reset) return 0;
    if (p->config.direction == GRU_FORWARD) return reset[t * p->shape.N + n] != 0;
    return s > 0 && reset[(t + 1) * p->shape.N + n] != 0; /* the later step, just made, began a segment */
}

static double run_row(model *m, int64_t n, double *y, double *hT) {
    const problem *p = m->p;
    const int64_t H = p->shape.H, N = p->shape.N, length = p->run.lengths ? p->run.lengths[n] : p->shape.T;
    double h[NAIVE_GRU_UNITS], value = 0;
    for (int64_t j = 0; j < H; j++) h[j] = p->run.h0 ? ((const double *)p->run.h0)[n * H + j] : 0;
    for (int64_t s = 0; s < length; s++) {
        const int64_t t = p->config.direction == GRU_FORWARD ? s : length - 1 - s;
        if (starts_segment(p, s, t, n))
            for (int64_t j = 0; j < H; j++)
                h[j] = p->run.h_restart ? ((const double *)p->run.h_restart)[n * H + j] : 0;
        step(m, t, n, h);
        for (int64_t j = 0; j < H; j++) {
            if (y) y[(t * N + n) * H + j] = h[j];
            if (p->dy.data) value += h[j] * at(&p->dy, p, H, t, n, j);
        }
    }
    for (int64_t j = 0; j < H; j++) {
        if (hT) hT[n * H + j] = h[j];
        if (p->dhT) value += h[j] * ((const double *)p->dhT)[n * H + j];
    }
    return value;
}

double naive_gru_run(const problem *p, double *y, double *hT, uint64_t *sides) {
    model m = {p, 0xcbf29ce484222325u};
    double value = 0;
    REQUIRE(p->shape.H <= NAIVE_GRU_UNITS, "H is %d, the model has room for %d", p->shape.H, NAIVE_GRU_UNITS);
    if (y) memset(y, 0, (size_t)(p->shape.T * p->shape.N * p->shape.H) * sizeof *y);
    for (int64_t n = 0; n < p->shape.N; n++) value += run_row(&m, n, y, hT);
    if (sides) *sides = m.sides;
    return value;
}
