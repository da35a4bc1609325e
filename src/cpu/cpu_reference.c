/* cpu_reference.c: the definition of the layer: double precision, every variant, no tricks.
 *
 * One row of the batch at a time, one step at a time. A state rounds to f32 after each step unless io_type is f64: that
 * is what training stores and what a call hands to the next, so the bits do not depend on how T was cut. */
#include <math.h>

#include "cpu_reference.h"

/* ---- the equations of one step ---- */

static double weight(const reference *f, const void *part, int split, size_t K, int g, size_t j, size_t k) {
    return gru_load_double(part, f->weight_type, gru_cpu_weight_index(split, K, g, j, k));
}

double gru_reference_W(const reference *f, int g, size_t j, size_t i) {
    return weight(f, f->W, 0, f->I, g, j, i);
}

double gru_reference_R(const reference *f, int g, size_t j, size_t k) {
    return weight(f, f->R, f->config->reset == GRU_RESET_BEFORE, f->H, g, j, k);
}

static double bias(const reference *f, const void *part, int g, size_t j) {
    return gru_load_double(part, f->bias_type, gru_cpu_bias_index(g, j));
}

double gru_reference_clip(const gru_layer_config *config, double v) {
    const double limit = config->clip;
    if (limit == 0) return v;
    return v > limit ? limit : v < -limit ? -limit : v; /* NaN passes */
}

static double gate(const gru_layer_config *config, double v) {
    v = gru_reference_clip(config, v);
    if (config->gate == GRU_GATE_SIGMOID) return 1 / (1 + exp(-v));
    const double line = (double)config->hard_slope * v + 0.5;
    return line > 1 ? 1 : line < 0 ? 0 : line;
}

static double candidate(const gru_layer_config *config, double v) {
    v = gru_reference_clip(config, v);
    if (config->candidate == GRU_CANDIDATE_TANH) return tanh(v);
    if (config->candidate == GRU_CANDIDATE_RELU) return v < 0 ? 0 : v;
    return v;
}

/* R_g u + bR_g for one unit, u being h or r h. */
static double recurrent(const reference *f, int g, size_t j, const double *u) {
    double sum = bias(f, f->bR, g, j);
    for (size_t k = 0; k < f->H; k++) sum += gru_reference_R(f, g, j, k) * u[k];
    return sum;
}

static void project(reference *f, int64_t t, int64_t n) {
    const int32_t io = f->config->io_type;
    if (f->run->projected.data) {
        const size_t row = GRU_ROW(f->run->projected, t, n);
        for (size_t i = 0; i < GATES * f->H; i++)
            f->a[i] = gru_load_double(f->run->projected.data, io, row + i);
        return;
    }
    const size_t row = GRU_ROW(f->run->x, t, n);
    for (size_t i = 0; i < f->I; i++) f->x[i] = gru_load_double(f->run->x.data, io, row + i);
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < f->H; j++) {
            double sum = bias(f, f->bW, g, j);
            for (size_t i = 0; i < f->I; i++) sum += gru_reference_W(f, g, j, i) * f->x[i];
            f->a[(size_t)g * f->H + j] = sum;
        }
}

double gru_reference_attention(const reference *f, int64_t t, int64_t n) {
    const gru_const_view *w = &f->run->attention;
    return w->data ? gru_load_double(w->data, f->state_type, GRU_ROW(*w, t, n)) : 0;
}

double gru_reference_attended(const gru_layer_config *config, double z, double w) {
    return config->update == GRU_UPDATE_KEEP ? (1 - w) * z : 1 - (1 - w) * (1 - z);
}

static void reset_and_update_gates(reference *f) {
    const size_t H = f->H;
    for (int g = GATE_R; g <= GATE_Z; g++)
        for (size_t j = 0; j < H; j++) {
            const size_t i = (size_t)g * H + j;
            f->c[i] = recurrent(f, g, j, f->h);
            f->v[i] = f->a[i] + f->c[i];
            (g == GATE_R ? f->r : f->z)[j] = gate(f->config, f->v[i]);
        }
}

static void candidates(reference *f) {
    const size_t H = f->H;
    const int32_t reset = f->config->reset;
    double *rh = f->next; /* free until the new state is written */
    for (size_t k = 0; k < H; k++) rh[k] = f->r[k] * f->h[k];
    for (size_t j = 0; j < H; j++) {
        const size_t i = GATE_N * H + j;
        f->c[i] = recurrent(f, GATE_N, j, reset == GRU_RESET_BEFORE ? rh : f->h);
        if (reset == GRU_RESET_AFTER)
            f->v[i] = f->a[i] + f->r[j] * f->c[i];
        else if (reset == GRU_RESET_BEFORE)
            f->v[i] = f->a[i] + f->c[i];
        else
            f->v[i] = f->r[j] * (f->a[i] + f->c[i]);
        f->n[j] = candidate(f->config, f->v[i]);
    }
}

void gru_reference_step(reference *f, int64_t t, int64_t n) {
    const double w = gru_reference_attention(f, t, n);
    project(f, t, n);
    reset_and_update_gates(f);
    candidates(f);
    for (size_t j = 0; j < f->H; j++) {
        const double z = gru_reference_attended(f->config, f->z[j], w);
        f->next[j] = f->config->update == GRU_UPDATE_KEEP ? (1 - z) * f->n[j] + z * f->h[j]
                                                          : (1 - z) * f->h[j] + z * f->n[j];
    }
}

/* ---- forward ------------------------------------------------------------------------------------------------------ */

reference gru_reference_over(const gru_layer *layer, const gru_run *run, double *memory) {
    const gru_layer_config *config = &layer->config;
    const gru_cpu_parts parts = gru_cpu_packed_parts(config);
    const char *packed = gru_run_packed(layer, run);
    const size_t H = (size_t)config->hidden;
    reference f = {.config = config, .run = run, .I = (size_t)config->inputs, .H = H};
    f.W = packed + parts.W;
    f.R = packed + parts.R;
    f.bW = packed + parts.bW;
    f.bR = packed + parts.bR;
    f.weight_type = config->weight_type;
    f.bias_type = config->weight_type == GRU_F64 ? GRU_F64 : GRU_F32;
    f.state_type = config->io_type == GRU_F64 ? GRU_F64 : GRU_F32;
    f.a = memory;
    f.c = f.a + 3 * H;
    f.v = f.c + 3 * H;
    f.r = f.v + 3 * H;
    f.z = f.r + H;
    f.n = f.z + H;
    f.next = f.n + H;
    f.h = f.next + H;
    f.x = f.h + H;
    return f;
}

size_t gru_reference_scratch(const gru_layer_config *config) {
    return gru_size_lines((REFERENCE_VECTORS * (size_t)config->hidden + (size_t)config->inputs) *
                          sizeof(double));
}

static size_t reference_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    (void)T;
    const size_t row = (size_t)layer->config.hidden * sizeof(double);
    return gru_size_plus(gru_reference_scratch(&layer->config), gru_size_times((size_t)N, row));
}

/* h_reset's row n, or zeros. */
static void load_segment_start(const reference *f, int64_t n, double *h) {
    for (size_t j = 0; j < f->H; j++)
        h[j] = f->run->h_reset ? gru_load_double(f->run->h_reset, f->config->state_type, (size_t)n * f->H + j)
                               : 0;
}

static void load_initial_state(const reference *f, int64_t n, double *h) {
    const size_t row = (size_t)(gru_h0_row(f->run, n) * f->run->h0_stride);
    for (size_t j = 0; j < f->H; j++)
        h[j] = f->run->h0 ? gru_load_double(f->run->h0, f->config->state_type, row + j) : 0;
}

static void store_row(const reference *f, const gru_view *view, int32_t type, int64_t t, int64_t n,
                      const double *row) {
    const size_t at = GRU_ROW(*view, t, n);
    for (size_t j = 0; j < f->H; j++) gru_store_double(view->data, type, at + j, row ? row[j] : 0);
}

/* Runs row n from h to its final state, which it leaves in h. */
static void forward_row(reference *f, const gru_layer *layer, int64_t n, double *h) {
    const gru_run *run = f->run;
    const int32_t direction = f->config->direction, io = f->config->io_type;
    const int64_t length = gru_run_length(run, n);
    void *states = run->mode == GRU_INFERENCE ? NULL : gru_reserve_states(run);
    f->h = h;
    for (int64_t s = 0; s < length; s++) {
        const int64_t t = gru_step_time(direction, length, s);
        if (gru_segment_starts(run, direction, length, s, n)) load_segment_start(f, n, h);
        if (states)
            for (size_t j = 0; j < f->H; j++)
                gru_store_double(states, f->state_type, gru_reserve_index(layer, run, s, n) + j, h[j]);
        gru_reference_step(f, t, n);
        for (size_t j = 0; j < f->H; j++)
            h[j] = f->state_type == GRU_F32 ? (double)(float)f->next[j] : f->next[j];
        if (run->y.data) store_row(f, &run->y, io, t, n, h);
    }
    if (run->y.data)
        for (int64_t t = length; t < run->T; t++) store_row(f, &run->y, io, t, n, NULL);
}

static void reference_forward_one(const gru_layer *layer, const gru_run *run) {
    double *memory = run->workspace;
    double *states = memory + gru_reference_scratch(&layer->config) / sizeof(double); /* [N][H] */
    reference f = gru_reference_over(layer, run, memory);
    const size_t H = f.H;
    gru_cpu_reserve_sign(layer, run, 0);
    /* all of h0 is read before any of hT is written: they may be one array, with slots in any order */
    for (int64_t n = 0; n < run->N; n++) load_initial_state(&f, n, states + (size_t)n * H);
    for (int64_t n = 0; n < run->N; n++) forward_row(&f, layer, n, states + (size_t)n * H);
    if (!run->hT) return;
    for (int64_t n = 0; n < run->N; n++)
        for (size_t j = 0; j < H; j++)
            gru_store_double(run->hT, layer->config.state_type,
                             (size_t)(gru_hT_row(run, n) * run->hT_stride) + j, states[(size_t)n * H + j]);
}

static gru_status reference_forward(const gru_job *jobs, int32_t count) {
    for (int32_t i = 0; i < count; i++) reference_forward_one(jobs[i].layer, jobs[i].run);
    return GRU_OK;
}

static const char *reference_declines(const gru_context *context, const gru_layer_config *config) {
    (void)context;
    return config->weight_type == GRU_INT8
               ? "int8 packed weights are not built; int8 weights can be packed as f32"
               : NULL;
}

const gru_engine gru_engine_cpu_reference = {
    .name = "cpu_reference",
    .backend = &gru_backend_cpu,
    .declines = reference_declines,
    .workspace = reference_workspace,
    .backward_workspace = gru_reference_backward_workspace,
    .forward = reference_forward,
    .backward = gru_reference_backward,
};
