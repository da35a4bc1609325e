/* cpu_backward_step.c: stage 4 on the CPU: dh from the last step to the first, and the gradients of all pre-activations. */
#include "cpu_backward_step.h"

#include <string.h>

#include "cpu_transpose.h"

static float *state_row(const gru_cpu_backward_part *p, float *states, int64_t n) {
    return states + (size_t)n * p->f->padded_H;
}

/* The part's units of dhT, or zeros; nothing has come to h_restart. */
void gru_cpu_sweep_begin(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    const size_t first = p->share.units.begin, count = p->share.units.end - first;
    const size_t whole = (p->share.panels.end * PANEL - first) * sizeof(float);
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        float *dh = state_row(p, f->dh, n) + first;
        memset(state_row(p, f->dh_restart, n) + first, 0, whole);
        memset(dh, 0, whole);
        if (f->gradients->dhT)
            gru_load_floats(f->gradients->dhT, f->layer->config.state_type, (size_t)n * f->H + first, dh,
                            count);
    }
}

/* The part's units of dy of a step, as f32; NULL: zeros. */
static const float *dy_row(const gru_cpu_backward_part *p, int64_t t, int64_t n) {
    const gru_cpu_backward_call *f = p->f;
    const gru_const_view *dy = &f->gradients->dy;
    const int32_t type = f->layer->config.io_type;
    const gru_cpu_range units = p->share.units;
    if (!dy->data) return NULL;
    if (type == GRU_F32) return (const float *)dy->data + GRU_ROW(*dy, t, n);
    float *row = state_row(p, f->dy, n);
    gru_load_floats(dy->data, type, GRU_ROW(*dy, t, n) + units.begin, row + units.begin,
                    units.end - units.begin);
    return row;
}

/* The step before may still read its own. */
static float *attention_parts(const gru_cpu_backward_part *p, int64_t s, int64_t n) {
    const size_t row = (size_t)(s & 1) * (size_t)p->f->run->N + (size_t)n;
    return p->f->dattention + row * (p->f->padded_H / PANEL);
}

/* Lists the part's rows that have a step s. */
static void gather_rows(gru_cpu_backward_part *p, int64_t s) {
    const gru_cpu_backward_call *f = p->f;
    const gru_run *run = f->run;
    gru_cpu_sweep_rows *rows = &p->rows;
    rows->count = 0;
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        const int64_t length = gru_run_length(run, n), i = rows->count;
        if (s >= length) continue;
        const int64_t t = gru_step_time(f->layer->config.direction, length, s);
        rows->row[i] = n;
        rows->kept[i] = gru_cpu_kept_row(p, s, n);
        rows->h[i] = gru_cpu_h_row(p, s, n);
        rows->dy[i] = dy_row(p, t, n);
        rows->dh[i] = state_row(p, f->dh, n);
        rows->d[i] = gru_cpu_d_row(p, s, n);
        if (rows->drh) rows->drh[i] = state_row(p, f->drh, n);
        if (rows->dattention) rows->dattention[i] = attention_parts(p, s, n);
        if (f->terms.cell.attends)
            rows->attention[i] = ((const float *)run->attention.data)[GRU_ROW(run->attention, t, n)];
        rows->count++;
    }
}

/* out[n] += terms [first, first + K) of R' times d, which begins at a slot; set: out[n] = that. */
static void multiply(const gru_cpu_backward_part *p, size_t slot, size_t first, size_t K, float *states,
                     int set) {
    static const float zeros[GATES * PANEL];
    const gru_cpu_backward_call *f = p->f;
    const gru_cpu_range range = gru_cpu_output_panels(p, 1);
    for (size_t panel = range.begin; panel < range.end; panel += GATES) {
        const int32_t panels = gru_cpu_strip_panels(panel, range.end);
        gru_cpu_strip strip = gru_cpu_transposed_strip(f, 1, panel, panels, first, K);
        if (set) strip.bias = zeros;
        for (int64_t i = 0; i < p->rows.count; i += MAX_TILE) {
            const int32_t tile = gru_cpu_tile_at(i, p->rows.count);
            const float *in[MAX_TILE];
            float *out[MAX_TILE];
            for (int32_t m = 0; m < tile; m++) {
                in[m] = p->rows.d[i + m] + slot * f->H;
                out[m] = state_row(p, states, p->rows.row[i + m]) + panel * PANEL;
            }
            f->kernels->product(&strip, in, out, tile);
        }
    }
}

/* Panels in ascending order. Where threads share rows, each does some. */
static void store_attention(const gru_cpu_backward_part *p, int64_t s) {
    const gru_cpu_backward_call *f = p->f;
    const gru_view *out = &f->gradients->dattention;
    for (int64_t i = 0; i < p->rows.count; i++) {
        const int64_t n = p->rows.row[i];
        const int64_t t = gru_step_time(f->layer->config.direction, gru_run_length(f->run, n), s);
        float sum = 0.0f;
        if (!p->share.by_rows && n % p->share.threads != p->share.index) continue;
        for (size_t panel = 0; panel < f->padded_H / PANEL; panel++) sum += p->rows.dattention[i][panel];
        ((float *)out->data)[GRU_ROW(*out, t, n)] = sum;
    }
}

/* Nothing flows past the start of a segment but to h_restart. */
static void end_segments(const gru_cpu_backward_part *p, int64_t s) {
    const gru_cpu_backward_call *f = p->f;
    const int32_t direction = f->layer->config.direction;
    for (int64_t i = 0; f->run->restart.data && i < p->rows.count; i++) {
        const int64_t n = p->rows.row[i];
        float *dh = state_row(p, f->dh, n), *dh_restart = state_row(p, f->dh_restart, n);
        if (!gru_segment_starts(f->run, direction, gru_run_length(f->run, n), s, n)) continue;
        for (size_t j = p->share.units.begin; j < p->share.units.end; j++) {
            dh_restart[j] += dh[j];
            dh[j] = 0.0f;
        }
    }
}

static void sweep_step(gru_cpu_backward_part *p, int64_t s) {
    const gru_cpu_backward_call *f = p->f;
    const gru_cpu_cell *cell = &f->terms.cell;
    const size_t begin = p->share.units.begin, end = p->share.units.end, H = f->H;
    const int before = cell->reset_mode == GRU_RESET_BEFORE;
    gather_rows(p, s);
    f->kernels->sweep(cell, &p->rows, begin, end, H);
    if (!p->share.by_rows) gru_cpu_backward_meet(p); /* d is whole before it is multiplied */
    if (p->rows.dattention) store_attention(p, s);
    if (before) {
        multiply(p, D_N, 0, H, f->drh, 1);
        f->kernels->sweep_reset(cell, &p->rows, begin, end, H);
        if (!p->share.by_rows) gru_cpu_backward_meet(p); /* so is that of the reset gate */
        multiply(p, D_R, H, 2 * H, f->dh, 0);
    } else {
        multiply(p, D_RECURRENT, 0, GATES * H, f->dh, 0);
    }
    end_segments(p, s);
}

void gru_cpu_sweep_chunk(gru_cpu_backward_part *p) {
    for (int64_t s = p->end - 1; s >= p->begin; s--) sweep_step(p, s);
}

void gru_cpu_sweep_end(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    const gru_gradients *g = f->gradients;
    const int32_t type = f->layer->config.state_type;
    const size_t first = p->share.units.begin, count = p->share.units.end - first;
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        const size_t at = (size_t)n * f->H + first;
        if (g->dh0) gru_store_floats(g->dh0, type, at, state_row(p, f->dh, n) + first, count);
        if (g->dh_restart)
            gru_store_floats(g->dh_restart, type, at, state_row(p, f->dh_restart, n) + first, count);
    }
}
