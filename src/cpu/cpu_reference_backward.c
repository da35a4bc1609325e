/* cpu_reference_backward.c: the gradients of the reference engine, from the equations differentiated by hand.
 *
 * Nothing but the entering states is kept from the forward pass; each step is computed again. The data part walks each row
 * from its last step to its first and leaves the gradients of the pre-activations in the workspace; the weight part sums
 * them. With v the pre-activations, a = W x + bW and c = R h + bR, the prefix d means "gradient of". */
#include "cpu_reference_backward.h"

#include <string.h>

#include "core/error.h"
#include "core/layout.h"
#include "core/reserve.h"
#include "cpu_backward_tag.h"
#include "cpu_reference_step.h"

/* What the data part leaves for the weight part, [4H] per step and row: da of r, z, n (dc of r and z are the same), and
 * EXTRA: dc of n with AFTER, the product r h with BEFORE, nothing with ALL, where dc of n is da of n. */
enum { DA_R, DA_Z, DA_N, EXTRA, STEP_VECTORS };

typedef struct sweep {
    reference f;
    const gru_gradients *gradients;
    double *steps; /* [T][N][4H] */
    double *dh;    /* [H] gradient of the state that leaves, then of the one that enters */
    double *drh;   /* [H] BEFORE: gradient of r h */
} sweep;

/* Slope of the clip at v. */
static double clip_slope(const gru_layer_config *config, double v) {
    const double limit = config->clip;
    return limit != 0 && (v > limit || v < -limit) ? 0 : 1;
}

static double gate_slope(const gru_layer_config *config, double v, double value) {
    const double outer = clip_slope(config, v);
    if (config->gate == GRU_GATE_SIGMOID) return outer * value * (1 - value);
    const double line = (double)config->hard_slope * gru_reference_clip(config, v) + 0.5;
    return line > 1 || line < 0 ? 0 : outer * (double)config->hard_slope;
}

static double candidate_slope(const gru_layer_config *config, double v, double value) {
    const double outer = clip_slope(config, v);
    if (config->candidate == GRU_CANDIDATE_TANH) return outer * (1 - value * value);
    if (config->candidate == GRU_CANDIDATE_RELU) return v < 0 ? 0 : outer;
    return outer;
}

/* Adds R_g' dc to out: dh or d(r h). */
static void add_transposed_R(const reference *f, int g, const double *dc, double *out) {
    for (size_t k = 0; k < f->H; k++) {
        double sum = 0;
        for (size_t j = 0; j < f->H; j++) sum += gru_reference_R(f, g, j, k) * dc[j];
        out[k] += sum;
    }
}

/* dr of unit j through the candidate, dv being the gradient of its pre-activation; also sets da of n and EXTRA. */
static double through_candidate(const sweep *p, size_t j, double dv, double *d) {
    const reference *f = &p->f;
    const size_t H = f->H;
    const double a = f->a[GATE_N * H + j], c = f->c[GATE_N * H + j];
    switch (f->config->reset_mode) {
    case GRU_RESET_AFTER:
        d[DA_N * H + j] = dv;
        d[EXTRA * H + j] = dv * f->r[j];
        return dv * c;
    case GRU_RESET_ALL:
        d[DA_N * H + j] = dv * f->r[j];
        return dv * (a + c);
    default: /* BEFORE: r acts inside the product; sweep_step adds its part */
        d[DA_N * H + j] = dv;
        d[EXTRA * H + j] = f->r[j] * f->h[j];
        return 0;
    }
}

/* dc of gate g within the vectors d of one step. */
static const double *recurrent_gradient(const sweep *p, const double *d, int g) {
    const int extra = g == GATE_N && p->f.config->reset_mode == GRU_RESET_AFTER;
    return d + (extra ? EXTRA : g) * (int64_t)p->f.H;
}

/* Gradients of the cell of step (t, n): fills d [4H] and turns p->dh from the leaving to the entering state. The value
 * is the gradient of the attention weight. */
static double sweep_step(sweep *p, double *d, int64_t t, int64_t n) {
    reference *f = &p->f;
    const gru_layer_config *config = f->config;
    const size_t H = f->H;
    const double w = gru_reference_attention(f, t, n);
    const int keep = config->update == GRU_UPDATE_KEEP;
    double dw = 0, *dr = d + DA_R * H;
    gru_reference_step(f, t, n);
    for (size_t j = 0; j < H; j++) {
        const double dh = p->dh[j], z = gru_reference_attended(config, f->z[j], w);
        const double dn = keep ? dh * (1 - z) : dh * z;
        const double dz = keep ? dh * (f->h[j] - f->n[j]) : dh * (f->n[j] - f->h[j]); /* after attention */
        p->dh[j] = keep ? dh * z : dh * (1 - z);
        dw += keep ? -dz * f->z[j] : dz * (1 - f->z[j]);
        d[DA_Z * H + j] = dz * (1 - w) * gate_slope(config, f->v[GATE_Z * H + j], f->z[j]);
        dr[j] = through_candidate(p, j, dn * candidate_slope(config, f->v[GATE_N * H + j], f->n[j]), d);
    }
    if (config->reset_mode == GRU_RESET_BEFORE) {
        memset(p->drh, 0, H * sizeof *p->drh);
        add_transposed_R(f, GATE_N, d + DA_N * H, p->drh);
        for (size_t j = 0; j < H; j++) {
            dr[j] += p->drh[j] * f->h[j];
            p->dh[j] += p->drh[j] * f->r[j];
        }
    } else {
        add_transposed_R(f, GATE_N, recurrent_gradient(p, d, GATE_N), p->dh);
    }
    for (size_t j = 0; j < H; j++) dr[j] *= gate_slope(config, f->v[GATE_R * H + j], f->r[j]);
    add_transposed_R(f, GATE_R, d + DA_R * H, p->dh);
    add_transposed_R(f, GATE_Z, d + DA_Z * H, p->dh);
    return dw;
}

static void write_input_gradients(const sweep *p, const double *d, int64_t t, int64_t n, double dw) {
    const reference *f = &p->f;
    const gru_gradients *g = p->gradients;
    const int32_t io = f->config->io_type;
    if (g->dattention.data)
        gru_store_double(g->dattention.data, f->state_type, GRU_ROW(g->dattention, t, n), dw);
    if (g->dprojected.data)
        for (size_t i = 0; i < GATES * f->H; i++)
            gru_store_double(g->dprojected.data, io, GRU_ROW(g->dprojected, t, n) + i, d ? d[i] : 0);
    if (!g->dx.data) return;
    for (size_t i = 0; i < f->I; i++) {
        double sum = 0;
        if (d)
            for (int q = 0; q < GATES; q++)
                for (size_t j = 0; j < f->H; j++)
                    sum += gru_reference_W(f, q, j, i) * d[(size_t)q * f->H + j];
        gru_store_double(g->dx.data, io, GRU_ROW(g->dx, t, n) + i, sum);
    }
}

static void load_entering_state(const reference *f, const gru_layer *layer, int64_t s, int64_t n) {
    const void *states = gru_reserve_states(f->run);
    const size_t at = gru_reserve_index(layer, f->run, s, n);
    for (size_t j = 0; j < f->H; j++) f->h[j] = gru_load_double(states, f->state_type, at + j);
}

static double *step_vectors(const sweep *p, int64_t s, int64_t n) {
    return p->steps + ((size_t)s * (size_t)p->f.run->N + (size_t)n) * STEP_VECTORS * p->f.H;
}

/* The gradient that leaves row n through h0, and what segment starts passed to h_restart. */
static void sweep_row(sweep *p, const gru_layer *layer, int64_t n) {
    const gru_gradients *g = p->gradients;
    const reference *f = &p->f;
    const int32_t state = f->config->state_type, io = f->config->io_type, direction = f->config->direction;
    const int64_t length = gru_run_length(f->run, n);
    double *dh_restart = p->drh + f->H; /* [H] */
    for (size_t j = 0; j < f->H; j++) {
        p->dh[j] = g->dhT ? gru_load_double(g->dhT, state, (size_t)n * f->H + j) : 0;
        dh_restart[j] = 0;
    }
    for (int64_t s = length - 1; s >= 0; s--) {
        const int64_t t = gru_step_time(direction, length, s);
        double *d = step_vectors(p, s, n);
        if (g->dy.data)
            for (size_t j = 0; j < f->H; j++)
                p->dh[j] += gru_load_double(g->dy.data, io, GRU_ROW(g->dy, t, n) + j);
        load_entering_state(f, layer, s, n);
        const double dw = sweep_step(p, d, t, n);
        write_input_gradients(p, d, t, n, dw);
        if (!gru_segment_starts(f->run, direction, length, s, n)) continue;
        for (size_t j = 0; j < f->H; j++) {
            dh_restart[j] += p->dh[j];
            p->dh[j] = 0; /* nothing flows past the start of a segment */
        }
    }
    for (int64_t t = length; t < f->run->T; t++) write_input_gradients(p, NULL, t, n, 0);
    for (size_t j = 0; j < f->H; j++) {
        if (g->dh0) gru_store_double(g->dh0, state, (size_t)n * f->H + j, p->dh[j]);
        if (g->dh_restart) gru_store_double(g->dh_restart, state, (size_t)n * f->H + j, dh_restart[j]);
    }
}

/* ---- weights ---- */

/* What gate g's recurrent weights multiplied at a step, number k of it. */
static double recurrent_input(const sweep *p, const gru_layer *layer, int g, size_t k, int64_t s, int64_t n) {
    const reference *f = &p->f;
    const void *states = gru_reserve_states(f->run);
    if (g == GATE_N && f->config->reset_mode == GRU_RESET_BEFORE)
        return step_vectors(p, s, n)[EXTRA * f->H + k];
    return gru_load_double(states, f->state_type, gru_reserve_index(layer, f->run, s, n) + k);
}

/* The sum over all steps of all rows for one number of dW (recurrent 0) or dR (1), or of their bias (k = BIAS). */
enum { BIAS = -1 };

static double weight_gradient(const sweep *p, const gru_layer *layer, int recurrent, int g, size_t j,
                              int64_t k) {
    const reference *f = &p->f;
    const gru_run *run = f->run;
    double sum = 0;
    for (int64_t n = 0; n < run->N; n++) {
        const int64_t length = gru_run_length(run, n);
        for (int64_t s = 0; s < length; s++) {
            const double *d = step_vectors(p, s, n);
            const double gradient = recurrent ? recurrent_gradient(p, d, g)[j] : d[(size_t)g * f->H + j];
            const int64_t t = gru_step_time(f->config->direction, length, s);
            if (k == BIAS)
                sum += gradient;
            else if (recurrent)
                sum += gradient * recurrent_input(p, layer, g, (size_t)k, s, n);
            else
                sum += gradient *
                       gru_load_double(run->x.data, f->config->io_type, GRU_ROW(run->x, t, n) + (size_t)k);
        }
    }
    return sum;
}

/* One of dW, dR (columns K), dbW, dbR (columns 0, the bias). out: [3H][K] or [3H], f32 or f64; NULL: not wanted. */
static void add_weight_gradients(const sweep *p, const gru_layer *layer, int recurrent, size_t K, void *out) {
    const int overwrite = (p->gradients->parts & GRU_GRAD_OVERWRITE) != 0;
    const double scale = p->gradients->loss_scale ? 1 / (double)*p->gradients->loss_scale : 1;
    const size_t H = p->f.H, columns = K ? K : 1;
    if (!out) return;
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < H; j++)
            for (size_t k = 0; k < columns; k++) {
                const size_t at = ((size_t)g * H + j) * columns + k;
                const double sum = weight_gradient(p, layer, recurrent, g, j, K ? (int64_t)k : BIAS);
                const double before = overwrite ? 0 : gru_load_double(out, p->f.state_type, at);
                gru_store_double(out, p->f.state_type, at, before + scale * sum);
            }
}

/* ---- the call ---- */

size_t gru_reference_backward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    const size_t H = (size_t)layer->config.hidden;
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    const size_t steps = gru_size_times(rows, STEP_VECTORS * H * sizeof(double));
    const size_t fixed = GRU_CPU_PARTS_BYTES + gru_reference_scratch(&layer->config) + 3 * H * sizeof(double);
    return gru_size_plus(steps, gru_size_lines(fixed));
}

static gru_status backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    const uint32_t parts = gru_cpu_parts_wanted(gradients);
    double *memory = (double *)((char *)run->workspace + GRU_CPU_PARTS_BYTES);
    sweep p = {.gradients = gradients};
    if (!(parts & GRU_GRAD_DATA)) GRU_TRY(gru_cpu_parts_check(run, GRU_CPU_PARTS_DOUBLES));
    p.f = gru_reference_over(layer, run, memory);
    p.dh = memory + gru_reference_scratch(&layer->config) / sizeof(double);
    p.drh = p.dh + p.f.H;
    p.steps = p.drh + 2 * p.f.H;
    if (parts & GRU_GRAD_DATA) {
        gru_cpu_parts_sign(run, GRU_CPU_PARTS_DOUBLES);
        for (int64_t n = 0; n < run->N; n++) sweep_row(&p, layer, n);
    }
    if (parts & GRU_GRAD_WEIGHTS) {
        add_weight_gradients(&p, layer, 0, p.f.I, p.f.I ? gradients->dW : NULL);
        add_weight_gradients(&p, layer, 1, p.f.H, gradients->dR);
        add_weight_gradients(&p, layer, 0, 0, gradients->dbW);
        add_weight_gradients(&p, layer, 1, 0, gradients->dbR);
    }
    return GRU_OK;
}

gru_status gru_reference_backward(const gru_job *jobs, int32_t count) {
    for (int32_t i = 0; i < count; i++) GRU_TRY(backward(jobs[i].layer, jobs[i].run, jobs[i].gradients));
    return GRU_OK;
}
