/* cpu_reference_step.c: the definition of the layer: the equations of one step of one row, in double precision. */
#include "cpu_reference_step.h"

#include "cpu_layout.h"
#include "cpu_reference_activation.h"

static double weight(const reference *ref, const void *part, const float *scales, int split, size_t K, int g,
                     size_t j, size_t k) {
    const size_t at = gru_cpu_weight_index(ref->weight_type, split, K, g, j, k);
    if (ref->weight_type != GRU_INT8) return gru_load_double(part, ref->weight_type, at);
    return (double)((const int8_t *)part)[at] * (double)scales[gru_cpu_bias_index(g, j)];
}

double gru_reference_W(const reference *ref, int g, size_t j, size_t i) {
    return weight(ref, ref->W, ref->sW, 0, ref->I, g, j, i);
}

double gru_reference_R(const reference *ref, int g, size_t j, size_t k) {
    return weight(ref, ref->R, ref->sR, ref->config->reset_mode == GRU_RESET_BEFORE, ref->H, g, j, k);
}

static double bias(const reference *ref, const void *part, int g, size_t j) {
    return gru_load_double(part, ref->bias_type, gru_cpu_bias_index(g, j));
}

double gru_reference_clip(const gru_layer_config *config, double v) {
    const double limit = config->clip;
    if (limit == 0) return v;
    return v > limit ? limit : v < -limit ? -limit : v; /* NaN passes */
}

static double gate(const gru_layer_config *config, double v) {
    const gru_activation f = gru_gate_of(config);
    return gru_reference_value(&f, gru_reference_clip(config, v));
}

static double candidate(const gru_layer_config *config, double v) {
    const gru_activation g = gru_candidate_of(config);
    return gru_reference_value(&g, gru_reference_clip(config, v));
}

/* R_g u + bR_g for one unit, u being h or r h. */
static double recurrent(const reference *ref, int g, size_t j, const double *u) {
    double sum = bias(ref, ref->bR, g, j);
    for (size_t k = 0; k < ref->H; k++) sum += gru_reference_R(ref, g, j, k) * u[k];
    return sum;
}

static void project(reference *ref, int64_t t, int64_t n) {
    const int32_t io = ref->config->io_type;
    if (ref->run->projected.data) {
        const size_t row = GRU_ROW(ref->run->projected, t, n);
        for (size_t i = 0; i < GATES * ref->H; i++)
            ref->a[i] = gru_load_double(ref->run->projected.data, io, row + i);
        return;
    }
    const size_t row = GRU_ROW(ref->run->x, t, n);
    for (size_t i = 0; i < ref->I; i++) ref->x[i] = gru_load_double(ref->run->x.data, io, row + i);
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < ref->H; j++) {
            double sum = bias(ref, ref->bW, g, j);
            for (size_t i = 0; i < ref->I; i++) sum += gru_reference_W(ref, g, j, i) * ref->x[i];
            ref->a[(size_t)g * ref->H + j] = sum;
        }
}

double gru_reference_attention(const reference *ref, int64_t t, int64_t n) {
    const gru_const_view *w = &ref->run->attention;
    return w->data ? gru_load_double(w->data, ref->state_type, GRU_ROW(*w, t, n)) : 0;
}

double gru_reference_attended(const gru_layer_config *config, double z, double w) {
    return config->update == GRU_UPDATE_KEEP ? (1 - w) * z : 1 - (1 - w) * (1 - z);
}

static void reset_and_update_gates(reference *ref) {
    const size_t H = ref->H;
    for (int g = GATE_R; g <= GATE_Z; g++)
        for (size_t j = 0; j < H; j++) {
            const size_t i = (size_t)g * H + j;
            ref->c[i] = recurrent(ref, g, j, ref->h);
            ref->v[i] = ref->a[i] + ref->c[i];
            (g == GATE_R ? ref->r : ref->z)[j] = gate(ref->config, ref->v[i]);
        }
}

static void candidates(reference *ref) {
    const size_t H = ref->H;
    const int32_t mode = ref->config->reset_mode;
    double *rh = ref->next; /* free until the new state is written */
    for (size_t k = 0; k < H; k++) rh[k] = ref->r[k] * ref->h[k];
    for (size_t j = 0; j < H; j++) {
        const size_t i = GATE_N * H + j;
        ref->c[i] = recurrent(ref, GATE_N, j, mode == GRU_RESET_BEFORE ? rh : ref->h);
        if (mode == GRU_RESET_AFTER)
            ref->v[i] = ref->a[i] + ref->r[j] * ref->c[i];
        else if (mode == GRU_RESET_BEFORE)
            ref->v[i] = ref->a[i] + ref->c[i];
        else
            ref->v[i] = ref->r[j] * (ref->a[i] + ref->c[i]);
        ref->n[j] = candidate(ref->config, ref->v[i]);
    }
}

void gru_reference_step(reference *ref, int64_t t, int64_t n) {
    const double w = gru_reference_attention(ref, t, n);
    project(ref, t, n);
    reset_and_update_gates(ref);
    candidates(ref);
    for (size_t j = 0; j < ref->H; j++) {
        const double z = gru_reference_attended(ref->config, ref->z[j], w);
        ref->next[j] = ref->config->update == GRU_UPDATE_KEEP ? (1 - z) * ref->n[j] + z * ref->h[j]
                                                              : (1 - z) * ref->h[j] + z * ref->n[j];
    }
}

/* ---- memory ---- */

reference gru_reference_over(const gru_layer *layer, const gru_run *run, double *memory) {
    const gru_layer_config *config = &layer->config;
    const gru_cpu_packed_layout layout = gru_cpu_packed_layout_of(config);
    const char *packed = gru_run_packed(layer, run);
    const size_t H = (size_t)config->hidden;
    reference ref = {.config = config, .run = run, .I = (size_t)config->inputs, .H = H};
    ref.W = packed + layout.W;
    ref.R = packed + layout.R;
    ref.bW = packed + layout.bW;
    ref.bR = packed + layout.bR;
    ref.sW = (const float *)(const void *)(packed + layout.sW);
    ref.sR = (const float *)(const void *)(packed + layout.sR);
    ref.weight_type = config->weight_type;
    ref.bias_type = config->weight_type == GRU_F64 ? GRU_F64 : GRU_F32;
    ref.state_type = config->io_type == GRU_F64 ? GRU_F64 : GRU_F32;
    ref.a = memory;
    ref.c = ref.a + 3 * H;
    ref.v = ref.c + 3 * H;
    ref.r = ref.v + 3 * H;
    ref.z = ref.r + H;
    ref.n = ref.z + H;
    ref.next = ref.n + H;
    ref.h = ref.next + H;
    ref.x = ref.h + H;
    return ref;
}

size_t gru_reference_scratch(const gru_layer_config *config) {
    return gru_size_lines((REFERENCE_VECTORS * (size_t)config->hidden + (size_t)config->inputs) *
                          sizeof(double));
}
