/* cpu_backward_step.c: stage 4 on the CPU: dh from the last step to the first, and the gradients of all pre-activations. */
#include "cpu_backward_step.h"

#include <stdalign.h>
#include <string.h>

#include "cpu_transpose.h"

static real *state_row(const gru_cpu_backward_work *work, real *states, int64_t n) {
    return states + (size_t)n * work->call->pitch_H;
}

/* Sets the slice's units of dh to dhT, or to zeros, and those of dh_restart to zeros. */
void gru_cpu_load_dh(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const size_t first = work->slice.units.begin, count = work->slice.units.end - first;
    const size_t whole = (work->slice.panels.end * PANEL - first) * sizeof(real);
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        real *dh = state_row(work, call->dh, n) + first;
        memset(state_row(work, call->dh_restart, n) + first, 0, whole);
        memset(dh, 0, whole);
        if (call->gradients->dhT)
            gru_load_reals(call->gradients->dhT, call->layer->config.state_type, (size_t)n * call->H + first,
                           dh, count);
    }
}

/* The slice's units of dy of a step, as f32; NULL: zeros. */
static const real *dy_row(const gru_cpu_backward_work *work, int64_t t, int64_t n) {
    const gru_cpu_backward_call *call = work->call;
    const gru_const_view *dy = &call->gradients->dy;
    const int32_t type = call->layer->config.io_type;
    const gru_cpu_range units = work->slice.units;
    if (!dy->data) return NULL;
    if (type == REAL_TYPE) return (const real *)dy->data + GRU_ROW(*dy, t, n);
    real *row = state_row(work, call->dy, n);
    gru_load_reals(dy->data, type, GRU_ROW(*dy, t, n) + units.begin, row + units.begin,
                   units.end - units.begin);
    return row;
}

/* Two buffers in turn: other threads may still read that of the last step. */
static real *attention_parts(const gru_cpu_backward_work *work, int64_t s, int64_t n) {
    const size_t row = (size_t)(s & 1) * (size_t)work->call->run->N + (size_t)n;
    return work->call->dattention + row * (work->call->padded_H / PANEL);
}

/* Lists the rows of the slice that have a step s. */
static void gather_rows(gru_cpu_backward_work *work, int64_t s) {
    const gru_cpu_backward_call *call = work->call;
    const gru_run *run = call->run;
    gru_cpu_backward_rows *rows = &work->rows;
    rows->count = 0;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        const int64_t i = rows->count;
        if (s >= gru_timeline_steps(&call->timeline, n)) continue;
        const int64_t t = gru_timeline_time(&call->timeline, s, n);
        rows->row[i] = n;
        rows->saved[i] = gru_cpu_saved_row(work, s, n);
        rows->h[i] = gru_cpu_h_row(work, s, n);
        rows->dy[i] = dy_row(work, t, n);
        rows->dh[i] = state_row(work, call->dh, n);
        rows->d_gates[i] = gru_cpu_d_gates_row(work, s, n);
        if (rows->drh) rows->drh[i] = state_row(work, call->drh, n);
        if (rows->dattention) rows->dattention[i] = attention_parts(work, s, n);
        if (call->operands.cell.has_attention)
            rows->attention[i] = ((const real *)run->attention.data)[GRU_ROW(run->attention, t, n)];
        rows->count++;
    }
}

static void add_to(real *state, const real *c, size_t count) {
    for (size_t i = 0; i < count; i++) state[i] += c[i];
}

/* states[n] += R' d_gates over k in [first, first + K), the gradients beginning at `component`; set: overwrites states[n]. The
 * products are summed first, as they are mostly smaller than the state. */
static void multiply(const gru_cpu_backward_work *work, size_t component, size_t first, size_t K,
                     real *states, int set) {
    const gru_cpu_backward_call *call = work->call;
    const gru_cpu_range range = gru_cpu_output_blocks(work, 1);
    alignas(64) real c[MAX_ROWS][GATES * PANEL];
    for (size_t block = range.begin; block < range.end; block += GATES) {
        const int32_t blocks = gru_cpu_blocks_at(block, range.end);
        gru_cpu_panel panel = gru_cpu_transposed_panel(call, 1, block, blocks, first, K);
        panel.sums = SUMS_SET;
        for (int64_t i = 0, rows; i < work->rows.count; i += rows) {
            rows = gru_cpu_rows_at(i, work->rows.count);
            const real *in[MAX_ROWS];
            real *out[MAX_ROWS];
            for (int64_t m = 0; m < rows; m++) {
                in[m] = work->rows.d_gates[i + m] + component * call->H;
                out[m] = set ? state_row(work, states, work->rows.row[i + m]) + block * PANEL : c[m];
            }
            call->kernels->product(&panel, in, out, (int32_t)rows);
            for (int64_t m = 0; !set && m < rows; m++)
                add_to(state_row(work, states, work->rows.row[i + m]) + block * PANEL, c[m],
                       (size_t)blocks * PANEL);
        }
    }
}

/* Adds the panels in ascending order. Threads that share rows each take some of them. */
static void store_attention(const gru_cpu_backward_work *work, int64_t s) {
    const gru_cpu_backward_call *call = work->call;
    const gru_view *out = &call->gradients->dattention;
    for (int64_t i = 0; i < work->rows.count; i++) {
        const int64_t n = work->rows.row[i];
        const int64_t t = gru_timeline_time(&call->timeline, s, n);
        real sum = 0.0f;
        if (!work->slice.by_rows && n % work->slice.threads != work->slice.index) continue;
        for (size_t panel = 0; panel < call->padded_H / PANEL; panel++)
            sum += work->rows.dattention[i][panel];
        ((real *)out->data)[GRU_ROW(*out, t, n)] = sum;
    }
}

/* At the start of a segment the gradient goes to dh_restart and no further. */
static void end_segments(const gru_cpu_backward_work *work, int64_t s) {
    const gru_cpu_backward_call *call = work->call;
    for (int64_t i = 0; call->run->restart.data && i < work->rows.count; i++) {
        const int64_t n = work->rows.row[i];
        real *dh = state_row(work, call->dh, n), *dh_restart = state_row(work, call->dh_restart, n);
        if (!gru_timeline_restarts(&call->timeline, s, n)) continue;
        for (size_t j = work->slice.units.begin; j < work->slice.units.end; j++) {
            dh_restart[j] += dh[j];
            dh[j] = 0.0f;
        }
    }
}

/* The gradients of the pre-activations of a step, but with BEFORE that of the reset gate. */
static void begin_step(gru_cpu_backward_work *work, int64_t s) {
    const gru_cpu_cell *cell = &work->call->operands.cell;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(work->call->kernels, cell);
    gather_rows(work, s);
    cells->cell_backward(cell, &work->rows, work->slice.units.begin, work->slice.units.end, work->call->H);
}

/* BEFORE: the gradient of r h, and from it that of the reset gate. Reads all of d_gates, of the rows that are listed. */
static void reset_gate(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_cpu_cell *cell = &call->operands.cell;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, cell);
    multiply(work, D_N, 0, call->H, call->drh, 1);
    cells->reset_gate_backward(cell, &work->rows, work->slice.units.begin, work->slice.units.end, call->H);
}

/* dh of the entering state. Reads all of d_gates, of the rows that are listed. */
static void end_step(const gru_cpu_backward_work *work, int64_t s) {
    const gru_cpu_backward_call *call = work->call;
    if (work->rows.dattention) store_attention(work, s);
    if (call->operands.cell.reset_mode == GRU_RESET_BEFORE)
        multiply(work, D_R, call->H, 2 * call->H, call->dh, 0);
    else
        multiply(work, D_RECURRENT, 0, GATES * call->H, call->dh, 0);
    end_segments(work, s);
}

/* Some rows, all steps of the chunk. */
void gru_cpu_backward_steps_of_rows(gru_cpu_backward_work *work) {
    for (int64_t s = work->end - 1; s >= work->begin; s--) {
        begin_step(work, s);
        if (work->call->operands.cell.reset_mode == GRU_RESET_BEFORE) reset_gate(work);
        end_step(work, s);
    }
}

static void first_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    begin_step(work, work->step);
}

static void reset_gate_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    gather_rows(work, work->step);
    reset_gate(work);
}

/* The end of a step and the beginning of the next one, which reads only its own units of dh. */
static void next_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    gather_rows(work, work->step);
    end_step(work, work->step);
    if (work->step > work->begin) begin_step(work, work->step - 1);
}

void gru_cpu_backward_steps_by_units(gru_cpu_backward_work *work) {
    work->step = work->end - 1;
    gru_phase_run(&work->member, first_part, work);
    for (; work->step >= work->begin; work->step--) {
        if (work->call->operands.cell.reset_mode == GRU_RESET_BEFORE)
            gru_phase_run(&work->member, reset_gate_part, work);
        gru_phase_run(&work->member, next_part, work);
    }
}

void gru_cpu_store_dh(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_gradients *g = call->gradients;
    const int32_t type = call->layer->config.state_type;
    const size_t first = work->slice.units.begin, count = work->slice.units.end - first;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        const size_t at = (size_t)n * call->H + first;
        if (g->dh0) gru_store_reals(g->dh0, type, at, state_row(work, call->dh, n) + first, count);
        if (g->dh_restart)
            gru_store_reals(g->dh_restart, type, at, state_row(work, call->dh_restart, n) + first, count);
    }
}
