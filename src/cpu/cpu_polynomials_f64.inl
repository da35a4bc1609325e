/* cpu_polynomials_f64.inl: the limits and polynomials of the functions in f64; cpu_polynomials_f32.inl says what they are.
 *
 * The polynomials interpolate in the zeros of Chebyshev polynomials. Their errors were computed with 60 digits, after the
 * coefficients were rounded. */

#define SIGMOID_LIMIT 708.0
#define TANH_LIMIT 19.1
#define EXPM1_LIMIT 38.0
#define EXP_START 746.0
#define EXP_END 710.0
#define NORMAL_LIMIT 39.0

/* 1.5 * 2^52. */
#define MAGIC 0x1.8p52

/* As in f32, of degree 11, with a relative error of exp of at most 1.7e-17. */
INLINE vec vec_exp_rest(vec x, vec *t) {
    *t = vec_fma(x, vec_set1(0x1.71547652b82fep0), vec_set1(MAGIC));
    const vec n = vec_sub(*t, vec_set1(MAGIC));
    vec r = vec_fnma(n, vec_set1(0x1.62e42feep-1), x);
    r = vec_fnma(n, vec_set1(0x1.a39ef35793c76p-33), r);
    vec q = vec_fma(vec_set1(0x1.af38a9b0ec855p-26), r, vec_set1(0x1.289185613a3d6p-22));
    q = vec_fma(q, r, vec_set1(0x1.71de0dae63bb3p-19));
    q = vec_fma(q, r, vec_set1(0x1.a019b90d2ae7ap-16));
    q = vec_fma(q, r, vec_set1(0x1.a01a01a7c41d5p-13));
    q = vec_fma(q, r, vec_set1(0x1.6c16c1788bd9p-10));
    q = vec_fma(q, r, vec_set1(0x1.11111111109b3p-7));
    q = vec_fma(q, r, vec_set1(0x1.5555555553d63p-5));
    q = vec_fma(q, r, vec_set1(0x1.5555555555556p-3));
    q = vec_fma(q, r, vec_set1(0x1.0000000000001p-1));
    return vec_fma(q, vec_mul(r, r), r);
}

/* Relative error: at most 3e-18. */
INLINE vec vec_log1p_polynomial(vec u) {
    vec p = vec_fma(vec_set1(0x1.401d3e65cdc48p-4), u, vec_set1(0x1.32e0d25c9c761p-5));
    p = vec_fma(p, u, vec_set1(0x1.bc37f0140c19ep-5));
    p = vec_fma(p, u, vec_set1(0x1.e0a2d581ab68fp-5));
    p = vec_fma(p, u, vec_set1(0x1.111abdc8abe16p-4));
    p = vec_fma(p, u, vec_set1(0x1.3b13515f6f9efp-4));
    p = vec_fma(p, u, vec_set1(0x1.745d19937b1fcp-4));
    p = vec_fma(p, u, vec_set1(0x1.c71c71bedea97p-4));
    p = vec_fma(p, u, vec_set1(0x1.2492492499d46p-3));
    p = vec_fma(p, u, vec_set1(0x1.9999999999944p-3));
    return vec_fma(p, u, vec_set1(0x1.5555555555555p-2));
}

/* Relative error: at most 1.1e-16. In t - 0.5, because in t the terms would cancel. */
INLINE vec vec_tail_polynomial(vec t) {
    const vec w = vec_sub(t, vec_set1(0.5));
    vec p = vec_fma(vec_set1(-0x1.6bfdc1273cd7cp-6), w, vec_set1(0x1.03704a19a9645p-5));
    p = vec_fma(p, w, vec_set1(0x1.135d1db19cf27p-6));
    p = vec_fma(p, w, vec_set1(-0x1.b935057bafecfp-5));
    p = vec_fma(p, w, vec_set1(0x1.406c79a149e97p-6));
    p = vec_fma(p, w, vec_set1(0x1.0b645b807dc6p-5));
    p = vec_fma(p, w, vec_set1(-0x1.4bffad8427fdp-5));
    p = vec_fma(p, w, vec_set1(0x1.dedf622993585p-8));
    p = vec_fma(p, w, vec_set1(0x1.c870c076e7e3fp-6));
    p = vec_fma(p, w, vec_set1(-0x1.000083eb9d188p-5));
    p = vec_fma(p, w, vec_set1(0x1.fed794961c008p-11));
    p = vec_fma(p, w, vec_set1(0x1.e893bfdedc51p-6));
    p = vec_fma(p, w, vec_set1(-0x1.98cd99976bc2p-6));
    p = vec_fma(p, w, vec_set1(-0x1.9cf0be282f483p-7));
    p = vec_fma(p, w, vec_set1(0x1.2b4c8abcfc319p-5));
    p = vec_fma(p, w, vec_set1(-0x1.2805ca916af99p-7));
    p = vec_fma(p, w, vec_set1(-0x1.459713bebbadfp-5));
    p = vec_fma(p, w, vec_set1(0x1.f93170f1c7f3ap-6));
    p = vec_fma(p, w, vec_set1(0x1.740a7eb13c419p-5));
    p = vec_fma(p, w, vec_set1(-0x1.cf019e59e8765p-5));
    p = vec_fma(p, w, vec_set1(-0x1.4f1588591d8cbp-4));
    p = vec_fma(p, w, vec_set1(0x1.4f67734a9de54p-4));
    p = vec_fma(p, w, vec_set1(0x1.2339073f580cap-2));
    p = vec_fma(p, w, vec_set1(0x1.5f39271ff675ap-2));
    return vec_fma(p, w, vec_set1(0x1.0352775bcd71fp-2));
}
