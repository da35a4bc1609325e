/* cpu_backward_step.inl: the backward cell, one vector of units at a time, in the vocabulary of cpu_cell.inl.
 *
 * The order of operations is normative (docs/bit-order.md): what is written as one vec_fma is rounded once. */

/* ---- slopes ---- */

/* slope, or 0 where v is clipped. */
INLINE vec clip_slope(const gru_cpu_cell *cell, vec v, vec slope) {
    if (cell->clip == 0.0f) return slope;
    slope = vec_if_less(vec_set1(cell->clip), v, vec_set1(0.0f), slope);
    return vec_if_less(v, vec_set1(-cell->clip), vec_set1(0.0f), slope);
}

INLINE vec gate_slope(const gru_cpu_cell *cell, vec saved, vec value, int general) {
    const vec zero = vec_set1(0.0f), one = vec_set1(1.0f);
    if (general) {
        const vec inner =
            vec_activations[cell->functions[0].row].slope(&cell->functions[0], vec_clip(cell, saved), value);
        return clip_slope(cell, saved, inner);
    }
    if (cell->gate == GRU_GATE_SIGMOID) {
        const vec slope = vec_mul(value, vec_sub(one, value));
        return clip_slope(cell, saved, slope);
    }
    const vec line = vec_fma(vec_set1(cell->slope), vec_clip(cell, saved), vec_set1(0.5f));
    const vec slope = vec_if_less(one, line, zero, vec_if_less(line, zero, zero, vec_set1(cell->slope)));
    return clip_slope(cell, saved, slope);
}

INLINE vec candidate_slope(const gru_cpu_cell *cell, vec saved, vec value, int general) {
    const vec one = vec_set1(1.0f);
    vec slope = one;
    if (general) {
        slope =
            vec_activations[cell->functions[1].row].slope(&cell->functions[1], vec_clip(cell, saved), value);
        return clip_slope(cell, saved, slope);
    }
    if (cell->candidate == GRU_CANDIDATE_TANH) slope = vec_fnma(value, value, one);
    if (cell->candidate == GRU_CANDIDATE_RELU)
        slope = vec_if_less(saved, vec_set1(0.0f), vec_set1(0.0f), one);
    return clip_slope(cell, saved, slope);
}

/* ---- a panel ---- */

/* Addresses of one panel of a row. Arrays without padding are copied if the panel is not full. */
typedef struct backward_panel {
    const real *saved;      /* [4][16] */
    const real *h;          /* [16] */
    const real *dy;         /* [16], NULL: zeros */
    const real *drh;        /* [16] */
    real *dh;               /* [16] */
    real *d_gates[D_GATES]; /* [16] */
} backward_panel;

/* Padded copies of arrays without padding. */
typedef struct padded_copies {
    real h[PANEL], dy[PANEL], d_gates[D_GATES][PANEL];
} padded_copies;

INLINE size_t units_of_panel(size_t unit, size_t H) {
    return H - unit < PANEL ? H - unit : PANEL;
}

INLINE const real *padded_copy(real *copy, const real *from, size_t count) {
    memset(copy, 0, PANEL * sizeof *copy);
    memcpy(copy, from, count * sizeof *copy);
    return copy;
}

INLINE backward_panel find_panel(const gru_cpu_backward_rows *rows, int64_t i, size_t unit, size_t H,
                                 padded_copies *copies) {
    const real *dy = rows->dy[i];
    const int whole = units_of_panel(unit, H) == PANEL;
    const size_t count = H - unit;
    backward_panel panel;
    panel.saved = rows->saved[i] + unit * SAVED;
    panel.h = whole ? rows->h[i] + unit : padded_copy(copies->h, rows->h[i] + unit, count);
    panel.dy = dy ? whole ? dy + unit : padded_copy(copies->dy, dy + unit, count) : NULL;
    panel.drh = rows->drh ? rows->drh[i] + unit : NULL;
    panel.dh = rows->dh[i] + unit;
    for (size_t g = 0; g < D_GATES; g++)
        panel.d_gates[g] = whole ? rows->d_gates[i] + g * H + unit : copies->d_gates[g];
    return panel;
}

INLINE void put_back(const gru_cpu_backward_rows *rows, int64_t i, size_t unit, size_t H, size_t first,
                     size_t last, const padded_copies *copies) {
    if (units_of_panel(unit, H) == PANEL) return;
    for (size_t g = first; g <= last; g++)
        memcpy(rows->d_gates[i] + g * H + unit, copies->d_gates[g], (H - unit) * sizeof(real));
}

/* ---- the cell ---- */

/* Units i .. i + LANES of a panel. Returns the gradient of the attention weight w of the row. */
INLINE vec cell_backward_vector(const gru_cpu_cell *cell, const backward_panel *panel, size_t i, real w,
                                int general) {
    const vec one = vec_set1(1.0f), h = vec_load(panel->h + i);
    const vec saved_r = vec_load(panel->saved + SAVED_R * PANEL + i),
              saved_z = vec_load(panel->saved + SAVED_Z * PANEL + i);
    const vec saved_n = vec_load(panel->saved + SAVED_N * PANEL + i),
              aux = vec_load(panel->saved + SAVED_AUX * PANEL + i);
    const vec z = gate_saves_value(cell, general) ? saved_z : vec_gate(cell, saved_z, general);
    const vec n = candidate_saves_value(cell, general) ? saved_n : vec_candidate(cell, saved_n, general);
    const int keep = cell->update == GRU_UPDATE_KEEP;
    vec dh = vec_load(panel->dh + i), attended = z, dattention = vec_set1(0.0f);
    if (panel->dy) dh = vec_add(dh, vec_load(panel->dy + i));
    vec dz = vec_mul(dh, keep ? vec_sub(h, n) : vec_sub(n, h));
    if (cell->has_attention) {
        const vec rest = vec_sub(one, vec_set1(w));
        attended = keep ? vec_mul(rest, z) : vec_sub(one, vec_mul(rest, vec_sub(one, z)));
        dattention = keep ? vec_mul(dz, vec_sub(vec_set1(0.0f), z)) : vec_mul(dz, vec_sub(one, z));
        dz = vec_mul(dz, rest);
    }
    const vec others = vec_sub(one, attended);
    const vec dn = vec_mul(dh, keep ? others : attended);
    const vec dv = vec_mul(dn, candidate_slope(cell, saved_n, n, general));
    vec_store(panel->dh + i, vec_mul(dh, keep ? attended : others));
    vec_store(panel->d_gates[D_Z] + i, vec_mul(dz, gate_slope(cell, saved_z, z, general)));
    if (cell->reset_mode == GRU_RESET_BEFORE) {
        vec_store(panel->d_gates[D_N] + i, dv);
        vec_store(panel->d_gates[D_RECURRENT] + i, aux);
        return dattention;
    }
    const vec r = gate_saves_value(cell, general) ? saved_r : vec_gate(cell, saved_r, general);
    const vec inner = vec_mul(dv, r), dr = vec_mul(dv, aux);
    vec_store(panel->d_gates[D_RECURRENT] + i, inner);
    vec_store(panel->d_gates[D_N] + i, cell->reset_mode == GRU_RESET_AFTER ? dv : inner);
    vec_store(panel->d_gates[D_R] + i, vec_mul(dr, gate_slope(cell, saved_r, r, general)));
    return dattention;
}

INLINE void cell_backward_rows(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                               size_t end, size_t H, int general) {
    for (int64_t m = 0; m < rows->count; m++) {
        const real w = cell->has_attention ? rows->attention[m] : 0.0f;
        for (size_t unit = begin; unit < end; unit += PANEL) {
            padded_copies copies;
            real dattention[PANEL];
            const backward_panel panel = find_panel(rows, m, unit, H, &copies);
            for (size_t i = 0; i < PANEL; i += LANES) {
                const vec part = cell_backward_vector(cell, &panel, i, w, general);
                if (cell->has_attention) vec_store(dattention + i, part);
            }
            put_back(rows, m, unit, H, D_RECURRENT, D_N, &copies);
            if (!cell->has_attention || !rows->dattention) continue;
            real sum = 0.0f;
            for (size_t i = 0; i < units_of_panel(unit, H); i++) sum += dattention[i];
            rows->dattention[m][unit / PANEL] = sum;
        }
    }
}

static void cell_backward(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                          size_t end, size_t H) {
    if (cell->is_default)
        cell_backward_rows(&default_variant, rows, begin, end, H, 0);
    else
        cell_backward_rows(cell, rows, begin, end, H, 0);
}

static void general_cell_backward(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                                  size_t end, size_t H) {
    cell_backward_rows(cell, rows, begin, end, H, 1);
}

INLINE void reset_gate_rows(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                            size_t end, size_t H, int general) {
    for (int64_t m = 0; m < rows->count; m++)
        for (size_t unit = begin; unit < end; unit += PANEL) {
            padded_copies copies;
            const backward_panel panel = find_panel(rows, m, unit, H, &copies);
            for (size_t i = 0; i < PANEL; i += LANES) {
                const vec saved = vec_load(panel.saved + SAVED_R * PANEL + i), drh = vec_load(panel.drh + i);
                const vec r = gate_saves_value(cell, general) ? saved : vec_gate(cell, saved, general);
                const vec dr = vec_mul(drh, vec_load(panel.h + i));
                vec_store(panel.d_gates[D_R] + i, vec_mul(dr, gate_slope(cell, saved, r, general)));
                vec_store(panel.dh + i, vec_fma(drh, r, vec_load(panel.dh + i)));
            }
            put_back(rows, m, unit, H, D_R, D_R, &copies);
        }
}

static void reset_gate_backward(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows, size_t begin,
                                size_t end, size_t H) {
    reset_gate_rows(cell, rows, begin, end, H, 0);
}

static void general_reset_gate_backward(const gru_cpu_cell *cell, const gru_cpu_backward_rows *rows,
                                        size_t begin, size_t end, size_t H) {
    reset_gate_rows(cell, rows, begin, end, H, 1);
}

/* ---- rows ---- */

/* Squares of LANES x LANES, then the remaining rows and columns number by number. */
static void transpose(const real *const *rows, size_t count, size_t first, size_t width, real *to,
                      size_t pitch) {
    const size_t whole_rows = count - count % LANES, whole = width - width % LANES;
    for (size_t c = 0; c < whole_rows; c += LANES)
        for (size_t i = 0; i < whole; i += LANES) {
            vec v[LANES];
#pragma GCC unroll 16
            for (size_t l = 0; l < LANES; l++) v[l] = vec_load(rows[c + l] + first + i);
            vec_transpose(v);
#pragma GCC unroll 16
            for (size_t l = 0; l < LANES; l++) vec_store(to + (i + l) * pitch + c, v[l]);
        }
    for (size_t c = 0; c < count; c++)
        for (size_t i = c < whole_rows ? whole : 0; i < width; i++) to[i * pitch + c] = rows[c][first + i];
}

/* The compiler finds the vectors of doubles. */
static void add_rows(const real *const *rows, size_t count, size_t begin, size_t end, double *sums) {
    size_t i = begin;
    for (; i + PANEL <= end; i += PANEL) {
        double sum[PANEL];
        memcpy(sum, sums + i, sizeof sum);
        for (size_t c = 0; c < count; c++)
            for (size_t l = 0; l < PANEL; l++) sum[l] += (double)rows[c][i + l];
        memcpy(sums + i, sum, sizeof sum);
    }
    for (; i < end; i++)
        for (size_t c = 0; c < count; c++) sums[i] += (double)rows[c][i];
}
