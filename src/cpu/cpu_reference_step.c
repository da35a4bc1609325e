/* cpu_reference_step.c: the definition of the layer: the equations of one step of one row, in double precision. */
#include "cpu_reference_step.h"

#include <math.h>

#include "cpu_layout.h"

static double weight(const reference *f, const void *part, int split, size_t K, int g, size_t j, size_t k) {
    return gru_load_double(part, f->weight_type, gru_cpu_weight_index(split, K, g, j, k));
}

double gru_reference_W(const reference *f, int g, size_t j, size_t i) {
    return weight(f, f->W, 0, f->I, g, j, i);
}

double gru_reference_R(const reference *f, int g, size_t j, size_t k) {
    return weight(f, f->R, f->config->reset_mode == GRU_RESET_BEFORE, f->H, g, j, k);
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
    const int32_t reset = f->config->reset_mode;
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

/* ---- memory ---- */

reference gru_reference_over(const gru_layer *layer, const gru_run *run, double *memory) {
    const gru_layer_config *config = &layer->config;
    const gru_cpu_packed_layout layout = gru_cpu_packed_layout_of(config);
    const char *packed = gru_run_packed(layer, run);
    const size_t H = (size_t)config->hidden;
    reference f = {.config = config, .run = run, .I = (size_t)config->inputs, .H = H};
    f.W = packed + layout.W;
    f.R = packed + layout.R;
    f.bW = packed + layout.bW;
    f.bR = packed + layout.bR;
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
