/* cpu_polynomials_f32.inl: the limits and polynomials of the functions in f32. cpu_polynomials_f64.inl has the same in f64. */

#define SIGMOID_LIMIT 87.0f /* exp of it and of its negative are normal numbers */
#define TANH_LIMIT 9.1f     /* from here on tanh rounds to 1 */
#define EXPM1_LIMIT 18.0f   /* from its negative on exp - 1 rounds to -1 */
#define EXP_START 104.0f    /* up to its negative exp rounds to 0 */
#define EXP_END 89.0f       /* from here on exp is infinite */
#define NORMAL_LIMIT 14.0f  /* exp(-v^2 / 2) of it is almost 0 */

/* 1.5 * 2^23: adding it rounds to an integer and leaves that in the low bits. */
#define MAGIC 0x1.8p23f

/* exp(x) = 2^n (1 + rest), *t = n + MAGIC. rest is a polynomial of degree 6 on |r| <= ln 2 / 2, a minimax fit with a
 * relative error of exp of at most 4e-9 and exact coefficients of 1 and r. ln 2 is split in two, the first with so few
 * bits that n times it is exact. */
INLINE vec vec_exp_rest(vec x, vec *t) {
    *t = vec_fma(x, vec_set1(0x1.715476p+0f), vec_set1(MAGIC));
    const vec n = vec_sub(*t, vec_set1(MAGIC));
    vec r = vec_fnma(n, vec_set1(0x1.62e4p-1f), x);
    r = vec_fnma(n, vec_set1(0x1.7f7d1cp-20f), r);
    vec q = vec_fma(vec_set1(0x1.6a23d2p-10f), r, vec_set1(0x1.123a2p-7f));
    q = vec_fma(q, r, vec_set1(0x1.5558f2p-5f));
    q = vec_fma(q, r, vec_set1(0x1.555492p-3f));
    q = vec_fma(q, r, vec_set1(0x1.fffffcp-2f));
    return vec_fma(q, vec_mul(r, r), r);
}

/* atanh(s) = s + s u p(u) with u = s^2 up to 1 / 9: a minimax fit with a relative error of at most 5e-9. */
INLINE vec vec_log1p_polynomial(vec u) {
    vec p = vec_fma(vec_set1(0x1.1ef858p-3f), u, vec_set1(0x1.1eb618p-3f));
    p = vec_fma(p, u, vec_set1(0x1.99d27cp-3f));
    return vec_fma(p, u, vec_set1(0x1.5555p-2f));
}

/* A minimax fit for v up to NORMAL_LIMIT with a relative error of at most 4e-8. */
INLINE vec vec_tail_polynomial(vec t) {
    vec p = vec_fma(vec_set1(-0x1.dd86dp-6f), t, vec_set1(0x1.26da96p-3f));
    p = vec_fma(p, t, vec_set1(-0x1.05d9e8p-2f));
    p = vec_fma(p, t, vec_set1(0x1.45fcfep-3f));
    p = vec_fma(p, t, vec_set1(-0x1.7aa11ap-6f));
    p = vec_fma(p, t, vec_set1(0x1.b0291ap-4f));
    p = vec_fma(p, t, vec_set1(0x1.ead5e2p-4f));
    p = vec_fma(p, t, vec_set1(0x1.1e6fe6p-3f));
    return vec_fma(p, t, vec_set1(0x1.1df1d4p-3f));
}
