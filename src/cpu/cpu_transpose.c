/* cpu_transpose.c: W and R turned around, so that the way back runs through the kernel of the way forward. */
#include "cpu_transpose.h"

#include <string.h>

/* Gates in the order of the terms: as the sweep writes their gradients, D_RECURRENT first, and D_R first. */
static const int gate_order[2][GATES] = {{GATE_R, GATE_Z, GATE_N}, {GATE_N, GATE_R, GATE_Z}};

gru_cpu_range gru_cpu_output_panels(const gru_cpu_backward_part *p, int recurrent) {
    const gru_cpu_backward_call *f = p->f;
    const size_t panels = (recurrent ? f->padded_H : f->padded_I) / PANEL;
    if (p->share.by_rows) return (gru_cpu_range){0, panels};
    return gru_cpu_split(panels, p->share.index, p->share.threads);
}

gru_cpu_strip gru_cpu_transposed_strip(const gru_cpu_backward_call *f, int recurrent, size_t panel,
                                       int32_t panels, size_t first, size_t K) {
    const float *strips = recurrent ? f->R : f->W;
    gru_cpu_strip strip = {.K = K, .type = GRU_F32, .gates = panels};
    strip.weights = strips + panel * PANEL * GATES * f->H + first * (size_t)panels * PANEL;
    return strip;
}

/* Columns of a packed matrix on their way: of 16 units of a gate, the weights of some inputs. */
typedef struct columns {
    const float *rows[GATES * PANEL]; /* of inputs k: [16] units */
    float widened[GATES * PANEL][PANEL];
} columns;

static void find_columns(const gru_cpu_backward_call *f, int recurrent, int gate, size_t unit, size_t k,
                         size_t count, columns *c) {
    const gru_layer_config *config = &f->layer->config;
    const size_t K = recurrent ? f->H : f->I;
    const int split = recurrent && config->reset_mode == GRU_RESET_BEFORE;
    const void *weights = recurrent ? f->terms.R.weights : f->terms.W.weights;
    for (size_t i = 0; i < count; i++) {
        const size_t at = gru_cpu_weight_index(split, K, gate, unit, k + i);
        c->rows[i] = (const float *)weights + at;
        if (config->weight_type == GRU_F32) continue;
        gru_load_floats(weights, config->weight_type, at, c->widened[i], PANEL);
        c->rows[i] = c->widened[i];
    }
}

static void transpose_strip(const gru_cpu_backward_call *f, int recurrent, size_t panel, int32_t panels) {
    const gru_cpu_strip strip = gru_cpu_transposed_strip(f, recurrent, panel, panels, 0, GATES * f->H);
    float *to = (float *)(uintptr_t)strip.weights;
    const size_t pitch = (size_t)panels * PANEL, k = panel * PANEL, K = recurrent ? f->H : f->I;
    const size_t count = K - k < pitch ? K - k : pitch;
    columns c;
    for (size_t q = 0; q < GATES; q++)
        for (size_t unit = 0; unit < f->H; unit += PANEL) {
            const size_t width = f->H - unit < PANEL ? f->H - unit : PANEL;
            find_columns(f, recurrent, gate_order[recurrent][q], unit, k, count, &c);
            f->kernels->transpose(c.rows, count, 0, width, to + (q * f->H + unit) * pitch, pitch);
        }
    if (count == pitch) return;
    for (size_t term = 0; term < GATES * f->H; term++)
        memset(to + term * pitch + count, 0, (pitch - count) * sizeof *to);
}

static void transpose_matrix(const gru_cpu_backward_part *p, int recurrent) {
    const gru_cpu_range range = gru_cpu_output_panels(p, recurrent);
    int32_t turn = 0;
    for (size_t panel = range.begin; panel < range.end; panel += GATES, turn++) {
        const int32_t panels = gru_cpu_strip_panels(panel, range.end);
        if (p->share.by_rows && turn % p->share.threads != p->share.index)
            continue; /* strips of all threads */
        transpose_strip(p->f, recurrent, panel, panels);
    }
}

void gru_cpu_transpose_weights(const gru_cpu_backward_part *p) {
    transpose_matrix(p, 1);
    if (p->f->gradients->dx.data) transpose_matrix(p, 0);
}
