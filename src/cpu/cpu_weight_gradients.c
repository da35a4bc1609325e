/* cpu_weight_gradients.c: stage 5 on the CPU: from the gradients of pre-activations to dx, and to the sums over all steps that are the
 * gradients of weights and biases. */
#include "cpu_weight_gradients.h"

#include <stdalign.h>
#include <string.h>

#include "cpu_transpose.h"

static const float zeros[GATES * PANEL];

/* ---- dx, dprojected ---------------------------------------------------------------------------------------------- */

/* Up to a tile of the part's rows from place *at on. */
static int32_t next_tile(const gru_cpu_backward_part *p, int64_t *at, const gru_cpu_place *tile[MAX_TILE]) {
    int32_t count = 0;
    for (; *at < p->place_count && count < MAX_TILE; ++*at)
        if (gru_cpu_mine(p, &p->places[*at])) tile[count++] = &p->places[*at];
    return count;
}

/* One strip of dx for a tile: straight into f32 rows where it is whole, else by way of `sums`. */
static void multiply_tile(const gru_cpu_backward_part *p, const gru_cpu_strip *strip, size_t first,
                          const gru_cpu_place *const *tile, int32_t count) {
    const gru_cpu_backward_call *f = p->f;
    const gru_view *dx = &f->gradients->dx;
    const int32_t type = f->layer->config.io_type;
    const size_t lanes = (size_t)strip->gates * PANEL, width = f->I - first < lanes ? f->I - first : lanes;
    const int direct = type == GRU_F32 && width == lanes;
    alignas(64) float sums[MAX_TILE][GATES * PANEL];
    const float *in[MAX_TILE] = {NULL};
    float *out[MAX_TILE] = {NULL};
    size_t at[MAX_TILE];
    for (int32_t m = 0; m < count; m++) {
        at[m] = GRU_ROW(*dx, tile[m]->t, tile[m]->n) + first;
        in[m] = gru_cpu_d_row(p, tile[m]->s, tile[m]->n) + D_R * f->H;
        out[m] = direct ? (float *)dx->data + at[m] : sums[m];
    }
    f->kernels->product(strip, in, out, count);
    for (int32_t m = 0; !direct && m < count; m++) gru_store_floats(dx->data, type, at[m], sums[m], width);
}

static void multiply_inputs(const gru_cpu_backward_part *p) {
    const gru_cpu_range range = gru_cpu_output_panels(p, 0);
    for (size_t panel = range.begin; panel < range.end; panel += GATES) {
        const int32_t panels = gru_cpu_strip_panels(panel, range.end);
        gru_cpu_strip strip = gru_cpu_transposed_strip(p->f, 0, panel, panels, 0, GATES * p->f->H);
        const gru_cpu_place *tile[MAX_TILE];
        int32_t count;
        strip.bias = zeros;
        for (int64_t at = 0; (count = next_tile(p, &at, tile)) > 0;)
            multiply_tile(p, &strip, panel * PANEL, tile, count);
    }
}

static void store_projected(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    const gru_view *out = &f->gradients->dprojected;
    for (int64_t i = 0; i < p->place_count; i++) {
        const gru_cpu_place *place = &p->places[i];
        if (p->share.by_rows ? !gru_cpu_mine(p, place) : i % p->share.threads != p->share.index) continue;
        gru_store_floats(out->data, f->layer->config.io_type, GRU_ROW(*out, place->t, place->n),
                         gru_cpu_d_row(p, place->s, place->n) + D_R * f->H, GATES * f->H);
    }
}

void gru_cpu_input_gradients(gru_cpu_backward_part *p) {
    if (p->f->gradients->dx.data) multiply_inputs(p);
    if (p->f->gradients->dprojected.data) store_projected(p);
}

static void zero_row(const gru_view *view, int64_t t, int64_t n, size_t count, size_t element) {
    if (view->data) memset((char *)view->data + GRU_ROW(*view, t, n) * element, 0, count * element);
}

void gru_cpu_zero_absent(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    const gru_gradients *g = f->gradients;
    const size_t element = gru_type_bytes(f->layer->config.io_type);
    for (int64_t n = 0; n < f->run->N; n++) {
        if (n % p->share.threads != p->share.index) continue;
        for (int64_t t = gru_run_length(f->run, n); t < f->run->T; t++) {
            zero_row(&g->dx, t, n, f->I, element);
            zero_row(&g->dprojected, t, n, GATES * f->H, element);
            zero_row(&g->dattention, t, n, 1, sizeof(float));
        }
    }
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* What is summed: columns of x with the gradients of all gates, of h with those that multiplied h, of r h with the rest. */
enum { OF_X, OF_H, OF_RH };

/* Slots of d that are multiplied with the columns, and the gate whose rows of dW or dR they fill. */
typedef struct slots {
    int first, count;
} slots;

static slots slots_of(const gru_cpu_backward_call *f, int columns) {
    const int before = f->terms.cell.reset_mode == GRU_RESET_BEFORE;
    if (columns == OF_X) return (slots){D_R, GATES};
    if (columns == OF_RH) return (slots){D_N, before ? 1 : 0};
    return (slots){before ? D_R : D_RECURRENT, before ? 2 : GATES};
}

static int gate_of(int slot) {
    static const int gates[D] = {GATE_N, GATE_R, GATE_Z, GATE_N};
    return gates[slot];
}

static const float *columns_of(const gru_cpu_backward_part *p, int columns, const gru_cpu_place *place) {
    const gru_cpu_backward_call *f = p->f;
    if (columns == OF_X) return gru_cpu_x_row(p, place);
    if (columns == OF_RH) return gru_cpu_d_row(p, place->s, place->n) + D_RECURRENT * f->H;
    return gru_cpu_h_row(p, place->s, place->n);
}

/* Columns [first, first + lanes) of the rows of `count` places side by side, zeros past their end. */
static void gather_columns(const gru_cpu_backward_part *p, int columns, const gru_cpu_place *places,
                           size_t count, size_t first, size_t lanes) {
    const size_t K = columns == OF_X ? p->f->I : p->f->H, width = K - first < lanes ? K - first : lanes;
    float *to = p->strip;
    if (width < lanes) memset(to, 0, count * lanes * sizeof *to);
    for (size_t c = 0; c < count; c++, to += lanes)
        memcpy(to, columns_of(p, columns, &places[c]) + first, width * sizeof *to);
}

/* The terms of `count` places for a strip of columns. fresh: these are the first. */
static void sum_strip(const gru_cpu_backward_part *p, int columns, const gru_cpu_place *places, size_t count,
                      size_t panel, int32_t panels, int fresh) {
    const gru_cpu_backward_call *f = p->f;
    const slots slot = slots_of(f, columns);
    const size_t pitch = columns == OF_X ? f->padded_I : f->padded_H;
    gru_cpu_strip strip = {.weights = p->strip, .bias = fresh ? zeros : NULL, .K = count, .gates = panels};
    float *sums = (columns == OF_X ? f->sum_W : f->sum_R) + panel * PANEL;
    if (slot.count == 0) return;
    gather_columns(p, columns, places, count, panel * PANEL, (size_t)panels * PANEL);
    for (int q = slot.first; q < slot.first + slot.count; q++)
        for (size_t j = 0; j < f->H; j += MAX_TILE) {
            const int32_t tile = gru_cpu_tile_at((int64_t)j, (int64_t)f->H);
            const float *in[MAX_TILE];
            float *out[MAX_TILE];
            for (int32_t m = 0; m < tile; m++) {
                in[m] = f->d_columns + ((size_t)q * f->H + j + (size_t)m) * f->d_pitch;
                out[m] = sums + ((size_t)gate_of(q) * f->H + j + (size_t)m) * pitch;
            }
            strip.ahead = in[0] + MAX_TILE * f->d_pitch;
            f->kernels->product(&strip, in, out, tile);
        }
}

/* The part's share of all columns: panels of x, then panels of h, which take those of r h with them. */
static void sum_columns(const gru_cpu_backward_part *p, const gru_cpu_place *places, size_t count,
                        int fresh) {
    const gru_cpu_backward_call *f = p->f;
    const size_t of_x = f->gradients->dW ? f->padded_I / PANEL : 0;
    const size_t of_h = f->gradients->dR ? f->padded_H / PANEL : 0;
    const gru_cpu_range range = gru_cpu_split(of_x + of_h, p->share.index, p->share.threads);
    const size_t x_end = range.end < of_x ? range.end : of_x;
    for (size_t panel = range.begin; panel < x_end; panel += GATES)
        sum_strip(p, OF_X, places, count, panel, gru_cpu_strip_panels(panel, x_end), fresh);
    for (size_t panel = range.begin < of_x ? of_x : range.begin; panel < range.end; panel += GATES) {
        sum_strip(p, OF_H, places, count, panel - of_x, gru_cpu_strip_panels(panel, range.end), fresh);
        sum_strip(p, OF_RH, places, count, panel - of_x, gru_cpu_strip_panels(panel, range.end), fresh);
    }
}

/* The part's share of the columns of d: as rows, for the products, and their sums, which are the gradients of biases. */
static void turn_rows(const gru_cpu_backward_part *p, const gru_cpu_place *places, size_t count, int fresh) {
    const gru_cpu_backward_call *f = p->f;
    const gru_cpu_range range = gru_cpu_split(D * f->H, p->share.index, p->share.threads);
    for (size_t c = 0; c < count; c++) p->pointers[c] = gru_cpu_d_row(p, places[c].s, places[c].n);
    f->kernels->transpose(p->pointers, count, range.begin, range.end - range.begin,
                          f->d_columns + range.begin * f->d_pitch, f->d_pitch);
    if (fresh) memset(f->sum_bias + range.begin, 0, (range.end - range.begin) * sizeof *f->sum_bias);
    f->kernels->add_rows(p->pointers, count, range.begin, range.end, f->sum_bias);
}

void gru_cpu_weight_gradients(gru_cpu_backward_part *p, int first) {
    for (int64_t at = 0; at < p->place_count; at += SUMMED_ROWS) {
        const int64_t left = p->place_count - at, count = left < SUMMED_ROWS ? left : SUMMED_ROWS;
        const int fresh = first && at == 0;
        gru_cpu_backward_meet(p); /* d is whole, and nobody reads the columns any more */
        turn_rows(p, p->places + at, (size_t)count, fresh);
        gru_cpu_backward_meet(p);
        sum_columns(p, p->places + at, (size_t)count, fresh);
    }
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* to (+)= sums / loss_scale, by way of its reciprocal. sums NULL: zeros, as there are no steps. */
static void add_sums(const gru_cpu_backward_call *f, float *to, const float *sums, size_t count) {
    const gru_gradients *g = f->gradients;
    const float factor = g->loss_scale ? 1.0f / *g->loss_scale : 1.0f;
    const int set = (g->parts & GRU_GRAD_OVERWRITE) != 0;
    for (size_t i = 0; i < count; i++) {
        const float sum = sums ? sums[i] * factor : 0.0f;
        to[i] = set ? sum : to[i] + sum;
    }
}

/* The part's share of the rows of dW or dR. */
static void add_matrix(const gru_cpu_backward_part *p, float *to, const float *sums, size_t K, size_t pitch) {
    const gru_cpu_range rows = gru_cpu_split(GATES * p->f->H, p->share.index, p->share.threads);
    for (size_t row = rows.begin; to && row < rows.end; row++)
        add_sums(p->f, to + row * K, p->f->steps ? sums + row * pitch : NULL, K);
}

static void add_biases(const gru_cpu_backward_call *f) {
    const int slot_n = f->terms.cell.reset_mode == GRU_RESET_AFTER ? D_RECURRENT : D_N;
    const float *sums = f->steps ? f->sum_bias : NULL;
    float *dbW = f->gradients->dbW, *dbR = f->gradients->dbR;
    if (dbW) add_sums(f, dbW, sums ? sums + D_R * f->H : NULL, GATES * f->H);
    if (!dbR) return;
    add_sums(f, dbR, sums ? sums + D_R * f->H : NULL, 2 * f->H);
    add_sums(f, dbR + 2 * f->H, sums ? sums + (size_t)slot_n * f->H : NULL, f->H);
}

void gru_cpu_add_weight_gradients(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    gru_cpu_backward_meet(p); /* each thread adds rows, of which all have summed columns */
    add_matrix(p, f->gradients->dW, f->sum_W, f->I, f->padded_I);
    add_matrix(p, f->gradients->dR, f->sum_R, f->H, f->padded_H);
    if (p->share.index == 0) add_biases(f);
}
