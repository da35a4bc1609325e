/* cpu_forward_stages.c: stages 1 to 3 for the slice of one part: loops over steps, panels and rows. */
#include <stdalign.h>
#include <string.h>

#include "core/reserve.h"
#include "cpu_absent.h"
#include "cpu_forward_work.h"
#include "cpu_reserve.h"

/* ---- products ---- */

/* Where the listed row i lies in 16 bits, for a product of pairs. */
static gru_cpu_narrow_row *narrow_row(const gru_cpu_forward_work *work, int which, size_t K, int64_t i) {
    const int64_t steps = which == INPUTS ? work->call->schedule.chunk : 1;
    const size_t row = (size_t)(work->slice.row_begin * steps + i);
    return (gru_cpu_narrow_row *)(void *)(work->call->narrow[which] + row * gru_cpu_narrow_bytes(K));
}

/* Parts that share rows find them rounded: gru_cpu_narrow_... */
static void narrow_rows(const gru_cpu_forward_work *work, int which, const real *const *in, size_t K) {
    const gru_cpu_forward_call *call = work->call;
    if (!call->pairs) return;
    for (int64_t i = 0; i < work->rows.count; i++) {
        gru_cpu_narrow_row *to = narrow_row(work, which, K, i);
        if (call->schedule.by_rows) call->pairs->narrow(in[i], K, to);
        work->narrow[i] = to;
    }
}

/* Rounds some of the listed rows. */
static void narrow_shared(const gru_cpu_forward_work *work, int which, const real *const *in, size_t K,
                          int32_t part) {
    for (int64_t i = part; i < work->rows.count; i += work->call->schedule.threads)
        work->call->pairs->narrow(in[i], K, narrow_row(work, which, K, i));
}

/* out = the panel times the listed rows from `first` on. */
static void multiply_panel(const gru_cpu_forward_work *work, const gru_cpu_panel *panel,
                           const real *const *in, int64_t first, int32_t count, real *const *out) {
    if (work->call->pairs)
        work->call->pairs->product(panel, work->narrow + first, out, count);
    else
        work->call->kernels->product(panel, in + first, out, count);
}

/* ---- states ---- */

static real *state_row(const gru_cpu_forward_call *call, int64_t s, int64_t n) {
    return call->state[s & 1] + (size_t)n * call->pitch;
}

/* Sets the slice's units to row n of h_restart, or to zeros. */
static void start_segment(const gru_cpu_forward_work *work, int64_t n, real *state) {
    const gru_cpu_forward_call *call = work->call;
    const size_t count = work->slice.units.end - work->slice.units.begin;
    if (call->run->h_restart)
        gru_load_reals(call->run->h_restart, call->layer->config.state_type,
                       (size_t)n * call->H + work->slice.units.begin, state + work->slice.units.begin, count);
    else
        memset(state + work->slice.units.begin, 0, count * sizeof *state);
}

void gru_cpu_load_states(const gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    const gru_run *run = call->run;
    const size_t count = work->slice.units.end - work->slice.units.begin;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        real *state = state_row(call, 0, n);
        const size_t at = (size_t)(gru_h0_row(run, n) * run->h0_stride) + work->slice.units.begin;
        memset(state + work->slice.units.end, 0,
               (work->slice.panels.end * PANEL - work->slice.units.end) * sizeof *state);
        if (run->h0)
            gru_load_reals(run->h0, call->layer->config.state_type, at, state + work->slice.units.begin,
                           count);
        else
            memset(state + work->slice.units.begin, 0, count * sizeof *state);
    }
}

static void store_final_state(const gru_cpu_forward_work *work, int64_t n, const real *state) {
    const gru_run *run = work->call->run;
    const size_t at = (size_t)(gru_hT_row(run, n) * run->hT_stride) + work->slice.units.begin;
    gru_store_reals(run->hT, work->call->layer->config.state_type, at, state + work->slice.units.begin,
                    work->slice.units.end - work->slice.units.begin);
}

/* Rows without steps end with their first state. */
static void store_empty_rows(const gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    for (int64_t n = work->slice.row_begin; call->run->hT && n < work->slice.row_end; n++)
        if (gru_timeline_steps(&call->timeline, n) == 0) store_final_state(work, n, state_row(call, 0, n));
}

void gru_cpu_start_rows(const gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    store_empty_rows(work);
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++)
        if (gru_timeline_steps(&call->timeline, n) > 0 && gru_timeline_restarts(&call->timeline, 0, n))
            start_segment(work, n, state_row(call, 0, n));
}

void gru_cpu_fill_absent_rows(const gru_cpu_forward_work *work) {
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++)
        gru_cpu_fill_absent(work->call->layer, work->call->run, n, work->slice.units);
}

/* ---- stage 1: projection ---- */

/* Row of the chunk's buffers for step s of row n. */
static size_t chunk_row(const gru_cpu_forward_work *work, int64_t s, int64_t n) {
    return (size_t)(s - work->chunk_begin) * (size_t)work->call->run->N + (size_t)n;
}

static int64_t chunk_end(const gru_cpu_forward_work *work) {
    const int64_t end = work->chunk_begin + work->call->schedule.chunk;
    return end < work->call->steps ? end : work->call->steps;
}

static real *projected_row(const gru_cpu_forward_work *work, int64_t s, int64_t n) {
    return work->call->a + chunk_row(work, s, n) * work->call->pitch_a;
}

static const real *input_row(const gru_cpu_forward_work *work, int64_t s, int64_t t, int64_t n) {
    const gru_cpu_forward_call *call = work->call;
    const gru_const_view *x = &call->run->x;
    const int32_t type = call->layer->config.io_type;
    if (type == REAL_TYPE) return (const real *)x->data + GRU_ROW(*x, t, n);
    real *row = call->x + chunk_row(work, s, n) * call->operands.W.K;
    if (call->schedule.by_rows) gru_load_reals(x->data, type, GRU_ROW(*x, t, n), row, call->operands.W.K);
    return row;
}

void gru_cpu_widen_inputs(const gru_cpu_forward_work *work, int32_t part) {
    const gru_cpu_forward_call *call = work->call;
    const gru_const_view *x = &call->run->x;
    for (int64_t s = work->chunk_begin; s < chunk_end(work); s++)
        for (int64_t n = part; n < call->run->N; n += call->schedule.threads)
            if (s < gru_timeline_steps(&call->timeline, n))
                gru_load_reals(x->data, call->layer->config.io_type,
                               GRU_ROW(*x, gru_timeline_time(&call->timeline, s, n), n),
                               call->x + chunk_row(work, s, n) * call->operands.W.K, call->operands.W.K);
}

/* Lists the rows of the current chunk in the order (s, n) and prepares their inputs. */
static void gather_inputs(gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    const int64_t end = chunk_end(work);
    work->rows.count = 0;
    for (int64_t s = work->chunk_begin; s < end; s++)
        for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
            if (s >= gru_timeline_steps(&call->timeline, n)) continue;
            const int64_t t = gru_timeline_time(&call->timeline, s, n);
            if (call->run->projected.data) {
                gru_cpu_load_projected(&call->layer->config, call->run, work->slice.panels, t, n,
                                       projected_row(work, s, n));
                continue;
            }
            work->rows.in[work->rows.count] = input_row(work, s, t, n);
            work->rows.a[work->rows.count++] = projected_row(work, s, n);
        }
}

void gru_cpu_project_chunk(gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    gather_inputs(work);
    if (call->run->projected.data) return;
    narrow_rows(work, INPUTS, work->rows.in, call->operands.W.K);
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(&call->operands.W, call->operands.W_pitch, panel);
        for (int64_t first = 0, count; first < work->rows.count; first += count) {
            count = gru_cpu_rows_at(first, work->rows.count);
            real *out[MAX_ROWS];
            for (int64_t m = 0; m < count; m++) out[m] = work->rows.a[first + m] + panel * GATES * PANEL;
            multiply_panel(work, &weights, work->rows.in, first, (int32_t)count, out);
        }
    }
}

/* ---- stages 2 and 3: recurrence and cell ---- */

/* Lists the rows that have a step s. */
static void gather_rows(gru_cpu_forward_work *work, int64_t s) {
    const gru_cpu_forward_call *call = work->call;
    const gru_run *run = call->run;
    gru_cpu_rows *rows = &work->rows;
    rows->count = 0;
    rows->units = call->H;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        const int64_t i = rows->count;
        if (s >= gru_timeline_steps(&call->timeline, n)) continue;
        rows->in[i] = state_row(call, s, n);
        rows->next[i] = state_row(call, s + 1, n);
        rows->a[i] = projected_row(work, s, n);
        rows->row[i] = n;
        if (rows->saved) rows->saved[i] = gru_cpu_reserve_saved(call->layer, run, s, n);
        if (call->rh) {
            rows->z[i] = call->z + (size_t)n * call->pitch;
            rows->rh[i] = call->rh + (size_t)n * call->pitch;
        }
        if (call->operands.cell.has_attention) {
            const int64_t t = gru_timeline_time(&call->timeline, s, n);
            rows->attention[i] = ((const real *)run->attention.data)[GRU_ROW(run->attention, t, n)];
        }
        rows->count++;
    }
}

/* One product over the listed rows, panel by panel, and its epilogue. */
static void multiply(const gru_cpu_forward_work *work, const gru_cpu_panel *first_panel,
                     const real *const *in, gru_cpu_epilogue epilogue) {
    const gru_cpu_forward_call *call = work->call;
    alignas(64) real c[MAX_ROWS][GATES * PANEL];
    real *c_rows[MAX_ROWS];
    for (int m = 0; m < MAX_ROWS && m < work->rows.count; m++) c_rows[m] = c[m];
    narrow_rows(work, STATES, in, first_panel->K);
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(first_panel, call->operands.R_pitch, panel);
        for (int64_t first = 0, count; first < work->rows.count; first += count) {
            count = gru_cpu_rows_at(first, work->rows.count);
            multiply_panel(work, &weights, in, first, (int32_t)count, c_rows);
            epilogue(&call->operands.cell, &work->rows, first, (int32_t)count, panel * PANEL, c_rows);
        }
    }
}

static void save_entering_states(const gru_cpu_forward_work *work, int64_t s) {
    const gru_cpu_forward_call *call = work->call;
    if (call->run->mode == GRU_INFERENCE) return;
    real *states = gru_reserve_states(call->run);
    for (int64_t i = 0; i < work->rows.count; i++) {
        const size_t at =
            gru_reserve_index(call->layer, call->run, s, work->rows.row[i]) + work->slice.units.begin;
        memcpy(states + at, work->rows.in[i] + work->slice.units.begin,
               (work->slice.units.end - work->slice.units.begin) * sizeof *states);
    }
}

/* Stores y and hT after step s. If the next step starts a segment, replaces its entering state. */
static void store_outputs(const gru_cpu_forward_work *work, int64_t s) {
    const gru_cpu_forward_call *call = work->call;
    const gru_run *run = call->run;
    for (int64_t i = 0; i < work->rows.count; i++) {
        const int64_t n = work->rows.row[i], t = gru_timeline_time(&call->timeline, s, n);
        real *next = work->rows.next[i];
        if (run->y.data)
            gru_store_reals(run->y.data, call->layer->config.io_type,
                            GRU_ROW(run->y, t, n) + work->slice.units.begin, next + work->slice.units.begin,
                            work->slice.units.end - work->slice.units.begin);
        if (s + 1 == gru_timeline_steps(&call->timeline, n)) {
            if (run->hT) store_final_state(work, n, next);
        } else if (gru_timeline_restarts(&call->timeline, s + 1, n)) {
            start_segment(work, n, next);
        }
    }
}

void gru_cpu_begin_step(gru_cpu_forward_work *work, int64_t s) {
    const gru_cpu_forward_call *call = work->call;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, &call->operands.cell);
    const int before = call->operands.cell.reset_mode == GRU_RESET_BEFORE;
    gather_rows(work, s);
    save_entering_states(work, s);
    multiply(work, &call->operands.R, work->rows.in, before ? cells->gates : cells->cell);
    if (!before) store_outputs(work, s);
}

void gru_cpu_end_step(gru_cpu_forward_work *work, int64_t s) {
    const gru_cpu_forward_call *call = work->call;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, &call->operands.cell);
    if (!call->schedule.by_rows) gather_rows(work, s); /* another thread may have had the first half */
    multiply(work, &call->operands.R_n, (const real *const *)work->rows.rh, cells->candidate);
    store_outputs(work, s);
}

void gru_cpu_narrow_inputs(gru_cpu_forward_work *work, int32_t part) {
    gather_inputs(work);
    narrow_shared(work, INPUTS, work->rows.in, work->call->operands.W.K, part);
}

void gru_cpu_narrow_states(gru_cpu_forward_work *work, int64_t s, int32_t part) {
    gather_rows(work, s);
    narrow_shared(work, STATES, work->rows.in, work->call->operands.R.K, part);
}

void gru_cpu_narrow_reset_states(gru_cpu_forward_work *work, int64_t s, int32_t part) {
    gather_rows(work, s);
    narrow_shared(work, STATES, (const real *const *)work->rows.rh, work->call->operands.R_n.K, part);
}
