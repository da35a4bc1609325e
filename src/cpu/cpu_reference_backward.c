/* cpu_reference_backward.c: the gradients of the reference engine, from the equations differentiated by hand.
 *
 * The forward pass saves only the entering states; each step is recomputed. The data part goes through each row from
 * its last step to its first and stores the gradients of the pre-activations in the workspace; the weight part sums them.
 * With v the pre-activations, a = W x + bW and c = R h + bR, the prefix d means "gradient of". */
#include "cpu_reference_backward.h"

#include <string.h>

#include "core/error.h"
#include "core/layout.h"
#include "core/reserve.h"
#include "cpu_backward_tag.h"
#include "cpu_reference_activation.h"
#include "cpu_reference_step.h"

/* What the data part stores for the weight part, [4H] per step and row: da of r, z, n (dc of r and z are the same), and
 * AUX: dc of n with AFTER, the product r h with BEFORE, nothing with ALL, where dc of n is da of n. */
enum { DA_R, DA_Z, DA_N, AUX, STEP_VECTORS };

typedef struct backward_pass {
    reference ref;
    const gru_gradients *gradients;
    double *steps; /* [T][N][4H] */
    double *dh;    /* [H] gradient of the state that leaves, then of the one that enters */
    double *drh;   /* [H] BEFORE: gradient of r h */
} backward_pass;

/* Slope of the clip at v. */
static double clip_slope(const gru_layer_config *config, double v) {
    const double limit = config->clip;
    return limit != 0 && (v > limit || v < -limit) ? 0 : 1;
}

/* Slope of the activation of a gate or of the candidate at pre-activation v. */
static double gate_slope(const gru_layer_config *config, double v, double value) {
    const gru_activation f = gru_gate_of(config);
    return clip_slope(config, v) * gru_reference_slope(&f, gru_reference_clip(config, v), value);
}

static double candidate_slope(const gru_layer_config *config, double v, double value) {
    const gru_activation g = gru_candidate_of(config);
    return clip_slope(config, v) * gru_reference_slope(&g, gru_reference_clip(config, v), value);
}

/* Adds R_g' dc to out: dh or d(r h). */
static void add_transposed_R(const reference *ref, int g, const double *dc, double *out) {
    for (size_t k = 0; k < ref->H; k++) {
        double sum = 0;
        for (size_t j = 0; j < ref->H; j++) sum += gru_reference_R(ref, g, j, k) * dc[j];
        out[k] += sum;
    }
}

/* dr of unit j through the candidate, dv being the gradient of its pre-activation; also sets da of n and AUX. */
static double through_candidate(const backward_pass *pass, size_t j, double dv, double *d) {
    const reference *ref = &pass->ref;
    const size_t H = ref->H;
    const double a = ref->a[GATE_N * H + j], c = ref->c[GATE_N * H + j];
    switch (ref->config->reset_mode) {
    case GRU_RESET_AFTER:
        d[DA_N * H + j] = dv;
        d[AUX * H + j] = dv * ref->r[j];
        return dv * c;
    case GRU_RESET_ALL:
        d[DA_N * H + j] = dv * ref->r[j];
        return dv * (a + c);
    default: /* BEFORE: r acts inside the product; backward_step adds its part */
        d[DA_N * H + j] = dv;
        d[AUX * H + j] = ref->r[j] * ref->h[j];
        return 0;
    }
}

/* dc of gate g within the vectors d of one step. */
static const double *recurrent_gradient(const backward_pass *pass, const double *d, int g) {
    const int extra = g == GATE_N && pass->ref.config->reset_mode == GRU_RESET_AFTER;
    return d + (extra ? AUX : g) * (int64_t)pass->ref.H;
}

/* Gradients of the cell of step (t, n): fills d [4H] and changes pass->dh from the gradient of the leaving state to that of the
 * entering state. Returns the gradient of the attention weight. */
static double backward_step(backward_pass *pass, double *d, int64_t t, int64_t n) {
    reference *ref = &pass->ref;
    const gru_layer_config *config = ref->config;
    const size_t H = ref->H;
    const double w = gru_reference_attention(ref, t, n);
    const int keep = config->update == GRU_UPDATE_KEEP;
    double dw = 0, *dr = d + DA_R * H;
    gru_reference_step(ref, t, n);
    for (size_t j = 0; j < H; j++) {
        const double dh = pass->dh[j], z = gru_reference_attended(config, ref->z[j], w);
        const double dn = keep ? dh * (1 - z) : dh * z;
        const double dz =
            keep ? dh * (ref->h[j] - ref->n[j]) : dh * (ref->n[j] - ref->h[j]); /* after attention */
        pass->dh[j] = keep ? dh * z : dh * (1 - z);
        dw += keep ? -dz * ref->z[j] : dz * (1 - ref->z[j]);
        d[DA_Z * H + j] = dz * (1 - w) * gate_slope(config, ref->v[GATE_Z * H + j], ref->z[j]);
        dr[j] =
            through_candidate(pass, j, dn * candidate_slope(config, ref->v[GATE_N * H + j], ref->n[j]), d);
    }
    if (config->reset_mode == GRU_RESET_BEFORE) {
        memset(pass->drh, 0, H * sizeof *pass->drh);
        add_transposed_R(ref, GATE_N, d + DA_N * H, pass->drh);
        for (size_t j = 0; j < H; j++) {
            dr[j] += pass->drh[j] * ref->h[j];
            pass->dh[j] += pass->drh[j] * ref->r[j];
        }
    } else {
        add_transposed_R(ref, GATE_N, recurrent_gradient(pass, d, GATE_N), pass->dh);
    }
    for (size_t j = 0; j < H; j++) dr[j] *= gate_slope(config, ref->v[GATE_R * H + j], ref->r[j]);
    add_transposed_R(ref, GATE_R, d + DA_R * H, pass->dh);
    add_transposed_R(ref, GATE_Z, d + DA_Z * H, pass->dh);
    return dw;
}

static void write_input_gradients(const backward_pass *pass, const double *d, int64_t t, int64_t n,
                                  double dw) {
    const reference *ref = &pass->ref;
    const gru_gradients *g = pass->gradients;
    const int32_t io = ref->config->io_type;
    if (g->dattention.data)
        gru_store_double(g->dattention.data, ref->state_type, GRU_ROW(g->dattention, t, n), dw);
    if (g->dprojected.data)
        for (size_t i = 0; i < GATES * ref->H; i++)
            gru_store_double(g->dprojected.data, io, GRU_ROW(g->dprojected, t, n) + i, d ? d[i] : 0);
    if (!g->dx.data) return;
    for (size_t i = 0; i < ref->I; i++) {
        double sum = 0;
        if (d)
            for (int q = 0; q < GATES; q++)
                for (size_t j = 0; j < ref->H; j++)
                    sum += gru_reference_W(ref, q, j, i) * d[(size_t)q * ref->H + j];
        gru_store_double(g->dx.data, io, GRU_ROW(g->dx, t, n) + i, sum);
    }
}

static void load_entering_state(const reference *ref, const gru_layer *layer, int64_t s, int64_t n) {
    const void *states = gru_reserve_states(ref->run);
    const size_t at = gru_reserve_index(layer, ref->run, s, n);
    for (size_t j = 0; j < ref->H; j++) ref->h[j] = gru_load_double(states, ref->state_type, at + j);
}

static double *step_vectors(const backward_pass *pass, int64_t s, int64_t n) {
    return pass->steps + ((size_t)s * (size_t)pass->ref.run->N + (size_t)n) * STEP_VECTORS * pass->ref.H;
}

/* The gradient that leaves row n through h0, and what segment starts passed to h_restart. */
static void backward_row(backward_pass *pass, const gru_layer *layer, int64_t n) {
    const gru_gradients *g = pass->gradients;
    const reference *ref = &pass->ref;
    const int32_t state = ref->config->state_type, io = ref->config->io_type;
    const int64_t steps = gru_timeline_steps(&ref->timeline, n);
    double *dh_restart = pass->drh + ref->H; /* [H] */
    for (size_t j = 0; j < ref->H; j++) {
        pass->dh[j] = g->dhT ? gru_load_double(g->dhT, state, (size_t)n * ref->H + j) : 0;
        dh_restart[j] = 0;
    }
    for (int64_t s = steps - 1; s >= 0; s--) {
        const int64_t t = gru_timeline_time(&ref->timeline, s, n);
        double *d = step_vectors(pass, s, n);
        if (g->dy.data)
            for (size_t j = 0; j < ref->H; j++)
                pass->dh[j] += gru_load_double(g->dy.data, io, GRU_ROW(g->dy, t, n) + j);
        load_entering_state(ref, layer, s, n);
        const double dw = backward_step(pass, d, t, n);
        write_input_gradients(pass, d, t, n, dw);
        if (!gru_timeline_restarts(&ref->timeline, s, n)) continue;
        for (size_t j = 0; j < ref->H; j++) {
            dh_restart[j] += pass->dh[j];
            pass->dh[j] = 0; /* the gradient does not pass the start of a segment */
        }
    }
    for (int64_t s = steps; s < ref->run->T && !gru_run_is_ragged(ref->run); s++)
        write_input_gradients(pass, NULL, gru_timeline_time(&ref->timeline, s, n), n, 0);
    for (size_t j = 0; j < ref->H; j++) {
        if (g->dh0) gru_store_double(g->dh0, state, (size_t)n * ref->H + j, pass->dh[j]);
        if (g->dh_restart) gru_store_double(g->dh_restart, state, (size_t)n * ref->H + j, dh_restart[j]);
    }
}

/* ---- weights ---- */

/* What gate g's recurrent weights multiplied at a step, number k of it. */
static double recurrent_input(const backward_pass *pass, const gru_layer *layer, int g, size_t k, int64_t s,
                              int64_t n) {
    const reference *ref = &pass->ref;
    const void *states = gru_reserve_states(ref->run);
    if (g == GATE_N && ref->config->reset_mode == GRU_RESET_BEFORE)
        return step_vectors(pass, s, n)[AUX * ref->H + k];
    return gru_load_double(states, ref->state_type, gru_reserve_index(layer, ref->run, s, n) + k);
}

/* The sum over all steps of all rows for one number of dW (recurrent 0) or dR (1), or of their bias (k = BIAS). */
enum { BIAS = -1 };

static double weight_gradient(const backward_pass *pass, const gru_layer *layer, int recurrent, int g,
                              size_t j, int64_t k) {
    const reference *ref = &pass->ref;
    const gru_run *run = ref->run;
    double sum = 0;
    for (int64_t n = 0; n < run->N; n++) {
        const int64_t steps = gru_timeline_steps(&ref->timeline, n);
        for (int64_t s = 0; s < steps; s++) {
            const double *d = step_vectors(pass, s, n);
            const double gradient = recurrent ? recurrent_gradient(pass, d, g)[j] : d[(size_t)g * ref->H + j];
            const int64_t t = gru_timeline_time(&ref->timeline, s, n);
            if (k == BIAS)
                sum += gradient;
            else if (recurrent)
                sum += gradient * recurrent_input(pass, layer, g, (size_t)k, s, n);
            else
                sum += gradient *
                       gru_load_double(run->x.data, ref->config->io_type, GRU_ROW(run->x, t, n) + (size_t)k);
        }
    }
    return sum;
}

/* One of dW, dR (columns K), dbW, dbR (columns 0, the bias). out: [3H][K] or [3H], f32 or f64; NULL: not wanted. */
static void add_weight_gradients(const backward_pass *pass, const gru_layer *layer, int recurrent, size_t K,
                                 void *out) {
    const int overwrite = (pass->gradients->parts & GRU_GRAD_OVERWRITE) != 0;
    const double scale = pass->gradients->loss_scale ? 1 / (double)*pass->gradients->loss_scale : 1;
    const size_t H = pass->ref.H, columns = K ? K : 1;
    if (!out) return;
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < H; j++)
            for (size_t k = 0; k < columns; k++) {
                const size_t at = ((size_t)g * H + j) * columns + k;
                const double sum = weight_gradient(pass, layer, recurrent, g, j, K ? (int64_t)k : BIAS);
                const double before = overwrite ? 0 : gru_load_double(out, pass->ref.state_type, at);
                gru_store_double(out, pass->ref.state_type, at, before + scale * sum);
            }
}

/* ---- the call ---- */

size_t gru_reference_backward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    const size_t H = (size_t)layer->config.hidden;
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    const size_t steps = gru_size_times(rows, STEP_VECTORS * H * sizeof(double));
    const size_t fixed = GRU_CPU_TAG_BYTES + gru_reference_scratch(&layer->config) + 3 * H * sizeof(double);
    return gru_size_plus(gru_size_plus(steps, gru_size_lines(fixed)), gru_timeline_bytes(T, N));
}

static gru_status backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    const uint32_t parts = gru_cpu_wanted_parts(gradients);
    double *memory = (double *)((char *)run->workspace + GRU_CPU_TAG_BYTES);
    backward_pass pass = {.gradients = gradients};
    if (!(parts & GRU_GRAD_DATA)) GRU_TRY(gru_cpu_backward_tag_check(run, GRU_CPU_TAG_REFERENCE));
    pass.ref = gru_reference_over(layer, run, memory);
    pass.dh = memory + gru_reference_scratch(&layer->config) / sizeof(double);
    pass.drh = pass.dh + pass.ref.H;
    pass.steps = pass.drh + 2 * pass.ref.H;
    pass.ref.timeline = gru_timeline_of(run, layer->config.direction,
                                        pass.steps + (size_t)(run->T * run->N) * STEP_VECTORS * pass.ref.H);
    if (parts & GRU_GRAD_DATA) {
        gru_cpu_backward_tag_write(run, GRU_CPU_TAG_REFERENCE);
        for (int64_t n = 0; n < run->N; n++) backward_row(&pass, layer, n);
    }
    if (parts & GRU_GRAD_WEIGHTS) {
        add_weight_gradients(&pass, layer, 0, pass.ref.I, pass.ref.I ? gradients->dW : NULL);
        add_weight_gradients(&pass, layer, 1, pass.ref.H, gradients->dR);
        add_weight_gradients(&pass, layer, 0, 0, gradients->dbW);
        add_weight_gradients(&pass, layer, 1, 0, gradients->dbR);
    }
    return GRU_OK;
}

gru_status gru_reference_backward(const gru_job *jobs, const gru_plan *plan) {
    for (int32_t i = 0; i < plan->count; i++)
        GRU_TRY(backward(jobs[i].layer, jobs[i].run, jobs[i].gradients));
    return GRU_OK;
}
