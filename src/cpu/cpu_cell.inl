/* cpu_cell.inl: functions of one vector: sigmoid, tanh, the cell, and the weights of a vector, in the vocabulary of the file that
 * includes it.
 *
 * It is compiled for f32 and for f64 (cpu_real.h). The vocabulary: LANES, ROWS (rows of a product), WIDE(rows) (vectors of a gate that a product of that many rows keeps
 * in registers), KERNELS (the table's name), vec, vec_load, vec_store, vec_set1, vec_add, vec_sub, vec_mul, vec_div,
 * vec_fma (a b + c), vec_fnma (c - a b), vec_min and vec_max (the second argument if one is NaN), vec_abs,
 * vec_copysign, vec_power (2^n from n + MAGIC), vec_if_less (a < b ? x : y), vec_transpose (LANES vectors, in place), and
 * in f32 vec_load_f16, which widens, and vec_load_bf16(pairs, odd), which widens the first or the second of each of LANES pairs.
 * cpu_int8.inl lists the words of integers. */

#define INLINE static inline __attribute__((always_inline))

/* ---- functions of one vector ---- */

#ifdef GRU_CPU_F64
#include "cpu_polynomials_f64.inl"
#else
#include "cpu_polynomials_f32.inl"
#endif

/* 2^n, for |x| <= SIGMOID_LIMIT. */
INLINE vec vec_exp_parts(vec x, vec *rest) {
    vec t;
    *rest = vec_exp_rest(x, &t);
    return vec_power(t);
}

/* 1 / (1 + exp(-v)). Beyond +-SIGMOID_LIMIT the value is that at the limit: 1, or almost 0. */
INLINE vec vec_sigmoid(vec v) {
    vec rest;
    const vec x =
        vec_min(vec_set1(SIGMOID_LIMIT), vec_max(vec_set1(-SIGMOID_LIMIT), vec_sub(vec_set1(0.0f), v)));
    const vec scale = vec_exp_parts(x, &rest);
    return vec_div(vec_set1(1.0f), vec_add(vec_set1(1.0f), vec_fma(scale, rest, scale)));
}

/* e / (e + 2) with e = exp(2 |v|) - 1, which has no cancellation near zero. */
INLINE vec vec_tanh(vec v) {
    vec rest;
    const vec x = vec_min(vec_set1(TANH_LIMIT), vec_abs(v));
    const vec scale = vec_exp_parts(vec_add(x, x), &rest);
    const vec e = vec_fma(scale, rest, vec_sub(scale, vec_set1(1.0f)));
    return vec_copysign(vec_div(e, vec_add(e, vec_set1(2.0f))), v);
}

INLINE vec vec_clip(const gru_cpu_cell *cell, vec v) {
    if (cell->clip == 0.0f) return v;
    return vec_min(vec_set1(cell->clip), vec_max(vec_set1(-cell->clip), v));
}

#include "cpu_activations.inl"

/* f of the equations. general: of a cell with functions, from the table; else 0. It is a constant everywhere, so that the
 * common cell has neither the calls nor the question. */
INLINE vec vec_gate(const gru_cpu_cell *cell, vec v, int general) {
    v = vec_clip(cell, v);
    if (general) return vec_activations[cell->functions[0].row].value(&cell->functions[0], v);
    if (cell->gate == GRU_GATE_SIGMOID) return vec_sigmoid(v);
    const vec line = vec_fma(vec_set1(cell->slope), v, vec_set1(0.5f));
    return vec_max(vec_set1(0.0f), vec_min(vec_set1(1.0f), line));
}

/* g of the equations. */
INLINE vec vec_candidate(const gru_cpu_cell *cell, vec v, int general) {
    v = vec_clip(cell, v);
    if (general) return vec_activations[cell->functions[1].row].value(&cell->functions[1], v);
    if (cell->candidate == GRU_CANDIDATE_TANH) return vec_tanh(v);
    return cell->candidate == GRU_CANDIDATE_RELU ? vec_max(vec_set1(0.0f), v) : v;
}

/* h' from z, n, h; w: attention of the row. */
INLINE vec vec_update(const gru_cpu_cell *cell, vec z, vec n, vec h, real w) {
    const vec one = vec_set1(1.0f);
    const int keep = cell->update == GRU_UPDATE_KEEP;
    if (cell->has_attention) {
        const vec rest = vec_sub(one, vec_set1(w));
        z = keep ? vec_mul(rest, z) : vec_sub(one, vec_mul(rest, vec_sub(one, z)));
    }
    return keep ? vec_fma(z, h, vec_mul(vec_sub(one, z), n)) : vec_fma(z, n, vec_mul(vec_sub(one, z), h));
}

/* ---- weights and rows ---- */

/* LANES numbers of the row from k on; zeros past its end. */
INLINE vec load_numbers(const real *row, size_t K, size_t k) {
    if (K - k >= LANES) return vec_load(row + k);
    real cut[LANES] = {0};
    memcpy(cut, row + k, (K - k) * sizeof *cut);
    return vec_load(cut);
}

INLINE size_t weight_bytes(int32_t type) {
    return type == REAL_TYPE ? sizeof(real) : sizeof(uint16_t);
}

/* LANES weights of a gate and of k + odd, from `lane` on of 16. odd: 0, or 1 where two values of k lie in pairs; k is even
 * there. */
INLINE vec load_weights(const void *weights, int32_t type, int gates, size_t k, int odd, size_t gate,
                        size_t lane) {
    const size_t group = type == GRU_BF16 ? 2 : 1;
    const size_t at = ((k / group * (size_t)gates + gate) * PANEL + lane) * group;
#ifdef GRU_CPU_F64
    (void)odd; /* none are narrower */
#else
    if (type == GRU_F16) return vec_load_f16((const uint16_t *)weights + at);
    if (type == GRU_BF16) return vec_load_bf16((const uint16_t *)weights + at, odd);
#endif
    return vec_load((const real *)weights + at);
}

/* Where vector i of the `wide` of each gate lies in a row of 16 lanes a gate. */
INLINE size_t vector_at(int i, int wide, size_t first) {
    return (size_t)(i / wide) * PANEL + (size_t)(i % wide) * LANES + first;
}

/* ---- the cell ---- */

/* Whether gates or the candidate save their value for backward; else they save the pre-activation. */
INLINE int gate_saves_value(const gru_cpu_cell *cell, int general) {
    return !general && cell->gate == GRU_GATE_SIGMOID && cell->clip == 0.0f;
}

INLINE int candidate_saves_value(const gru_cpu_cell *cell, int general) {
    return !general && cell->candidate == GRU_CANDIDATE_TANH && cell->clip == 0.0f;
}

/* saved: of these units; NULL: saves nothing. */
INLINE void save_gates(const gru_cpu_cell *cell, real *saved, vec v_r, vec r, vec v_z, vec z, vec aux,
                       int general) {
    const int value = gate_saves_value(cell, general);
    if (!saved) return;
    vec_store(saved + SAVED_R * PANEL, value ? r : v_r);
    vec_store(saved + SAVED_Z * PANEL, value ? z : v_z);
    vec_store(saved + SAVED_AUX * PANEL, aux);
}

INLINE void save_candidate(const gru_cpu_cell *cell, real *saved, vec v, vec n, int general) {
    if (saved) vec_store(saved + SAVED_N * PANEL, candidate_saves_value(cell, general) ? n : v);
}

/* The sums that the cell of a vector of units needs. */
typedef struct cell_sums {
    vec v_r, v_z, a_n, c_n;
} cell_sums;

/* w: attention of the row. saved: as above. */
INLINE vec cell_vector(const gru_cpu_cell *cell, const cell_sums *sums, vec h, real w, real *saved,
                       int general) {
    const vec r = vec_gate(cell, sums->v_r, general), z = vec_gate(cell, sums->v_z, general);
    const int after = cell->reset_mode == GRU_RESET_AFTER;
    const vec aux = after ? sums->c_n : vec_add(sums->a_n, sums->c_n);
    const vec v = after ? vec_fma(r, aux, sums->a_n) : vec_mul(r, aux);
    const vec n = vec_candidate(cell, v, general);
    save_gates(cell, saved, sums->v_r, r, sums->v_z, z, aux, general);
    save_candidate(cell, saved, v, n, general);
    return vec_update(cell, z, n, h, w);
}

/* The default variant as a constant, so that the compiler specialises the cell for it. */
static const gru_cpu_cell default_variant = {
    .reset_mode = GRU_RESET_AFTER, .update = GRU_UPDATE_KEEP, .is_default = 1};
