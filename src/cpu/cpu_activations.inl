/* cpu_activations.inl: the activations of the general cell, one vector at a time, in the vocabulary of cpu_cell.inl.
 *
 * They are called through a table: one function for each row of core/activations.def and one for its slope. NaN passes. Where a
 * limit stands, the exact value beyond it is that at the limit within the error of the function. */

/* ---- what they are made of ---- */

/* exp(v) for all v; 0 and infinity where the type ends. In two factors, because 2^n alone would end earlier. */
INLINE vec vec_exp(vec v) {
    vec t;
    const vec x = vec_min(vec_set1(EXP_END), vec_max(vec_set1(-EXP_START), v));
    const vec rest = vec_exp_rest(x, &t), n = vec_sub(t, vec_set1(MAGIC));
    const vec half = vec_fma(n, vec_set1(0.5f), vec_set1(MAGIC));
    const vec other = vec_add(vec_sub(n, vec_sub(half, vec_set1(MAGIC))), vec_set1(MAGIC));
    const vec scale = vec_power(half);
    return vec_mul(vec_fma(scale, rest, scale), vec_power(other));
}

/* exp(v) - 1 for v up to 0, without cancellation. From -EXPM1_LIMIT on it rounds to -1. */
INLINE vec vec_expm1_negative(vec v) {
    vec rest;
    const vec x = vec_max(vec_set1(-EXPM1_LIMIT), vec_min(vec_set1(0.0f), v)),
              scale = vec_exp_parts(x, &rest);
    return vec_fma(scale, rest, vec_sub(scale, vec_set1(1.0f)));
}

/* log(1 + e) for e in 0..1: 2 atanh(s) with s = e / (2 + e). */
INLINE vec vec_log1p(vec e) {
    const vec s = vec_div(e, vec_add(vec_set1(2.0f), e)), u = vec_mul(s, s), twice = vec_add(s, s);
    return vec_fma(twice, vec_mul(u, vec_log1p_polynomial(u)), twice);
}

/* exp(-v^2 / 2). */
INLINE vec vec_bell(vec v) {
    return vec_exp(vec_mul(vec_mul(vec_set1(-0.5f), v), v));
}

/* What the normal distribution has above v, for v from 0 to NORMAL_LIMIT: exp(-v^2 / 2), bell, times a polynomial in
 * t = 1 / (1 + 0.35 v). */
INLINE vec vec_normal_tail(vec v, vec bell) {
    const vec t = vec_div(vec_set1(1.0f), vec_fma(vec_set1(REAL(0.35)), v, vec_set1(1.0f)));
    return vec_mul(vec_mul(vec_tail_polynomial(t), t), bell);
}

INLINE vec vec_limit(real low, vec v, real high) {
    return vec_max(vec_set1(low), vec_min(vec_set1(high), v));
}

/* inner where low <= v <= high, else 0. */
INLINE vec vec_inside(real low, vec v, real high, real inner) {
    const vec zero = vec_set1(0.0f);
    return vec_if_less(vec_set1(high), v, zero, vec_if_less(v, vec_set1(low), zero, vec_set1(inner)));
}

INLINE vec vec_if_negative(vec v, vec negative, vec other) {
    return vec_if_less(v, vec_set1(0.0f), negative, other);
}

/* ---- the functions of the table, each with its slope ---- */

#define VALUE(name) static vec name(const gru_activation *f, vec v)
#define SLOPE(name) static vec name(const gru_activation *f, vec v, vec y)

VALUE(sigmoid) {
    (void)f;
    return vec_sigmoid(v);
}
SLOPE(sigmoid_slope) {
    (void)f, (void)v;
    return vec_mul(y, vec_sub(vec_set1(1.0f), y));
}

VALUE(hard_sigmoid) {
    return vec_limit(0.0f, vec_fma(vec_set1(f->alpha), v, vec_set1(f->beta)), 1.0f);
}
SLOPE(hard_sigmoid_slope) {
    (void)y;
    return vec_inside(0.0f, vec_fma(vec_set1(f->alpha), v, vec_set1(f->beta)), 1.0f, f->alpha);
}

VALUE(tangent) {
    (void)f;
    return vec_tanh(v);
}
SLOPE(tangent_slope) {
    (void)f, (void)v;
    return vec_fnma(y, y, vec_set1(1.0f));
}

VALUE(relu) {
    (void)f;
    return vec_max(vec_set1(0.0f), v);
}
SLOPE(relu_slope) {
    (void)f, (void)y;
    return vec_if_negative(v, vec_set1(0.0f), vec_set1(1.0f));
}

VALUE(linear) {
    (void)f;
    return v;
}
SLOPE(linear_slope) {
    (void)f, (void)v, (void)y;
    return vec_set1(1.0f);
}

VALUE(affine) {
    return vec_fma(vec_set1(f->alpha), v, vec_set1(f->beta));
}
SLOPE(affine_slope) {
    (void)v, (void)y;
    return vec_set1(f->alpha);
}

VALUE(leaky_relu) {
    return vec_if_negative(v, vec_mul(vec_set1(f->alpha), v), v);
}
SLOPE(leaky_relu_slope) {
    (void)y;
    return vec_if_negative(v, vec_set1(f->alpha), vec_set1(1.0f));
}

/* v - alpha is 0 where they are equal, and NaN where v is. */
VALUE(thresholded_relu) {
    const vec alpha = vec_set1(f->alpha);
    return vec_if_less(alpha, v, v, vec_if_less(v, alpha, vec_set1(0.0f), vec_sub(v, alpha)));
}
SLOPE(thresholded_relu_slope) {
    (void)y;
    return vec_if_less(vec_set1(f->alpha), v, vec_set1(1.0f), vec_set1(0.0f));
}

VALUE(scaled_tanh) {
    return vec_mul(vec_set1(f->alpha), vec_tanh(vec_mul(vec_set1(f->beta), v)));
}
SLOPE(scaled_tanh_slope) {
    const vec t = vec_tanh(vec_mul(vec_set1(f->beta), v));
    (void)y;
    return vec_mul(vec_set1((real)f->alpha * (real)f->beta), vec_fnma(t, t, vec_set1(1.0f)));
}

VALUE(elu) {
    return vec_if_negative(v, vec_mul(vec_set1(f->alpha), vec_expm1_negative(v)), v);
}
SLOPE(elu_slope) {
    return vec_if_negative(v, vec_add(y, vec_set1(f->alpha)), vec_set1(1.0f));
}

VALUE(softsign) {
    (void)f;
    return vec_div(v, vec_add(vec_set1(1.0f), vec_abs(v)));
}
SLOPE(softsign_slope) {
    const vec q = vec_div(vec_set1(1.0f), vec_add(vec_set1(1.0f), vec_abs(v)));
    (void)f, (void)y;
    return vec_mul(q, q);
}

VALUE(softplus) {
    const vec e = vec_exp(vec_sub(vec_set1(0.0f), vec_abs(v)));
    (void)f;
    return vec_add(vec_max(vec_set1(0.0f), v), vec_log1p(e));
}
SLOPE(softplus_slope) {
    (void)f, (void)y;
    return vec_sigmoid(v);
}

#define SELU_BELOW REAL(1.7580993408473768)
#define SELU_ABOVE REAL(1.0507009873554805)
VALUE(selu) {
    (void)f;
    return vec_if_negative(v, vec_mul(vec_set1(SELU_BELOW), vec_expm1_negative(v)),
                           vec_mul(vec_set1(SELU_ABOVE), v));
}
SLOPE(selu_slope) {
    (void)f;
    return vec_if_negative(v, vec_add(y, vec_set1(SELU_BELOW)), vec_set1(SELU_ABOVE));
}

/* The slope of v s, where s is the sigmoid of inner, whose slope is factor. 1 - s is the sigmoid of -inner. */
INLINE vec gated_slope(vec inner, vec v, vec factor) {
    const vec rest = vec_sigmoid(vec_sub(vec_set1(0.0f), inner));
    return vec_mul(vec_sigmoid(inner), vec_fma(vec_mul(v, rest), factor, vec_set1(1.0f)));
}
VALUE(silu) {
    (void)f;
    return vec_mul(vec_max(vec_set1(-EXP_START), v), vec_sigmoid(v));
}
SLOPE(silu_slope) {
    const vec x = vec_limit(-EXP_START, v, EXP_START);
    (void)f, (void)y;
    return gated_slope(x, x, vec_set1(1.0f));
}

VALUE(gelu) {
    const vec x = vec_limit(-NORMAL_LIMIT, v, NORMAL_LIMIT),
              part = vec_mul(x, vec_normal_tail(vec_abs(x), vec_bell(x)));
    (void)f;
    return vec_if_negative(v, part, vec_sub(v, part));
}
SLOPE(gelu_slope) {
    const vec x = vec_limit(-NORMAL_LIMIT, v, NORMAL_LIMIT), bell = vec_bell(x),
              tail = vec_normal_tail(vec_abs(x), bell);
    const vec below = vec_if_negative(v, tail, vec_sub(vec_set1(1.0f), tail));
    (void)f, (void)y;
    return vec_fma(vec_mul(x, vec_set1(REAL(0.3989422804014327))), bell, below);
}

#define GELU_LINEAR REAL(1.5957691216057308)
#define GELU_CUBIC REAL(0.07135481627260025) /* 0.044715 GELU_LINEAR */
INLINE vec gelu_inner(vec x) {
    return vec_mul(x, vec_fma(vec_set1(GELU_CUBIC), vec_mul(x, x), vec_set1(GELU_LINEAR)));
}
VALUE(gelu_tanh) {
    (void)f;
    return vec_mul(vec_max(vec_set1(-NORMAL_LIMIT), v),
                   vec_sigmoid(gelu_inner(vec_limit(-NORMAL_LIMIT, v, NORMAL_LIMIT))));
}
SLOPE(gelu_tanh_slope) {
    const vec x = vec_limit(-NORMAL_LIMIT, v, NORMAL_LIMIT);
    (void)f, (void)y;
    return gated_slope(gelu_inner(x), x,
                       vec_fma(vec_set1(3.0f * GELU_CUBIC), vec_mul(x, x), vec_set1(GELU_LINEAR)));
}

VALUE(exponential) {
    (void)f;
    return vec_exp(v);
}
SLOPE(exponential_slope) {
    (void)f, (void)v;
    return y;
}

VALUE(relu6) {
    (void)f;
    return vec_limit(0.0f, v, 6.0f);
}
SLOPE(relu6_slope) {
    (void)f, (void)y;
    return vec_inside(0.0f, v, 6.0f, 1.0f);
}

VALUE(hard_tanh) {
    (void)f;
    return vec_limit(-1.0f, v, 1.0f);
}
SLOPE(hard_tanh_slope) {
    (void)f, (void)y;
    return vec_inside(-1.0f, v, 1.0f, 1.0f);
}

VALUE(hard_silu) {
    const vec line = vec_fma(v, vec_set1(REAL(1.0) / 6), vec_set1(0.5f));
    (void)f;
    return vec_mul(vec_max(vec_set1(-3.0f), v), vec_limit(0.0f, line, 1.0f));
}
SLOPE(hard_silu_slope) {
    const vec one = vec_set1(1.0f), line = vec_fma(v, vec_set1(REAL(1.0) / 3), vec_set1(0.5f));
    (void)f, (void)y;
    return vec_if_less(v, vec_set1(-3.0f), vec_set1(0.0f), vec_if_less(vec_set1(3.0f), v, one, line));
}

/* w / (w + 2) is tanh(log(1 + exp(v))), which from 20 on rounds to 1. */
INLINE vec mish_w(vec v) {
    const vec e = vec_exp(vec_min(vec_set1(20.0f), v));
    return vec_mul(e, vec_add(e, vec_set1(2.0f)));
}
VALUE(mish) {
    const vec w = mish_w(v), t = vec_div(w, vec_add(w, vec_set1(2.0f)));
    (void)f;
    return vec_mul(vec_max(vec_set1(-EXP_START), v), t);
}
SLOPE(mish_slope) {
    const vec x = vec_limit(-EXP_START, v, 20.0f), w = mish_w(x), sum = vec_add(w, vec_set1(2.0f));
    const vec t = vec_div(w, sum), rest = vec_div(vec_set1(2.0f), sum); /* 1 - t, so 1 - t^2 = rest (1 + t) */
    const vec slope = vec_mul(rest, vec_add(vec_set1(1.0f), t));
    (void)f, (void)y;
    return vec_fma(vec_mul(x, slope), vec_sigmoid(x), t);
}

/* ---- the table ---- */

typedef struct vec_activation {
    vec (*value)(const gru_activation *f, vec v);
    vec (*slope)(const gru_activation *f, vec v, vec y);
} vec_activation;

static const vec_activation vec_activations[GRU_ACTIVATIONS] = {
    [GRU_ROW_OF_SIGMOID] = {sigmoid, sigmoid_slope},
    [GRU_ROW_OF_HARD_SIGMOID] = {hard_sigmoid, hard_sigmoid_slope},
    [GRU_ROW_OF_TANH] = {tangent, tangent_slope},
    [GRU_ROW_OF_RELU] = {relu, relu_slope},
    [GRU_ROW_OF_LINEAR] = {linear, linear_slope},
    [GRU_ROW_OF_AFFINE] = {affine, affine_slope},
    [GRU_ROW_OF_LEAKY_RELU] = {leaky_relu, leaky_relu_slope},
    [GRU_ROW_OF_THRESHOLDED_RELU] = {thresholded_relu, thresholded_relu_slope},
    [GRU_ROW_OF_SCALED_TANH] = {scaled_tanh, scaled_tanh_slope},
    [GRU_ROW_OF_ELU] = {elu, elu_slope},
    [GRU_ROW_OF_SOFTSIGN] = {softsign, softsign_slope},
    [GRU_ROW_OF_SOFTPLUS] = {softplus, softplus_slope},
    [GRU_ROW_OF_SELU] = {selu, selu_slope},
    [GRU_ROW_OF_SILU] = {silu, silu_slope},
    [GRU_ROW_OF_GELU] = {gelu, gelu_slope},
    [GRU_ROW_OF_GELU_TANH] = {gelu_tanh, gelu_tanh_slope},
    [GRU_ROW_OF_EXPONENTIAL] = {exponential, exponential_slope},
    [GRU_ROW_OF_RELU6] = {relu6, relu6_slope},
    [GRU_ROW_OF_HARD_TANH] = {hard_tanh, hard_tanh_slope},
    [GRU_ROW_OF_HARD_SILU] = {hard_silu, hard_silu_slope},
    [GRU_ROW_OF_MISH] = {mish, mish_slope},
};
