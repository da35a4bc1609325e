/* cpu_recompute.c: recomputes the activations of a chunk from the entering states, which the reserve holds, so all steps at
 * once. The chains and the cell are those of the forward pass, and so are the bits. */
#include "cpu_recompute.h"

#include <stdalign.h>

/* The rows of one kernel call. */
typedef struct kernel_rows {
    const float *x[MAX_ROWS], *h[MAX_ROWS];
    float *a[MAX_ROWS], *saved[MAX_ROWS], *rh[MAX_ROWS], *next[MAX_ROWS], *z[MAX_ROWS];
    int32_t count;
} kernel_rows;

/* Lists the thread's next rows, from coordinate *at on; 0: there are none left. */
static int next_rows(const gru_cpu_backward_work *work, int64_t *at, kernel_rows *rows) {
    const gru_cpu_backward_call *call = work->call;
    rows->count = 0;
    for (; *at < work->coord_count && rows->count < MAX_ROWS; ++*at) {
        const gru_cpu_row_coord *coord = &work->coords[*at];
        const size_t row = gru_cpu_chunk_row(work, coord->s, coord->n);
        const int32_t m = rows->count;
        if (!gru_cpu_owns_row(work, coord)) continue;
        rows->x[m] = call->run->x.data ? gru_cpu_x_row(work, coord) : NULL;
        rows->h[m] = gru_cpu_h_row(work, coord->s, coord->n);
        rows->a[m] = call->a + row * call->pitch_a;
        rows->saved[m] = call->recomputed + row * call->padded_H * SAVED;
        rows->rh[m] = call->rh + row * call->pitch_H;
        rows->next[m] = work->discard;
        rows->z[m] = work->discard + call->padded_H;
        rows->count++;
    }
    return rows->count > 0;
}

static void load_projected(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    for (int64_t i = 0; i < work->coord_count; i++) {
        const gru_cpu_row_coord *coord = &work->coords[i];
        float *a = call->a + gru_cpu_chunk_row(work, coord->s, coord->n) * call->pitch_a;
        if (gru_cpu_owns_row(work, coord))
            gru_cpu_load_projected(&call->layer->config, call->run, work->slice.panels, coord->t, coord->n,
                                   a);
    }
}

static void project(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(&call->operands.W, call->operands.W_pitch, panel);
        kernel_rows rows;
        for (int64_t at = 0; next_rows(work, &at, &rows);) {
            float *out[MAX_ROWS];
            for (int32_t m = 0; m < rows.count; m++) out[m] = rows.a[m] + panel * GATES * PANEL;
            call->kernels->product(&weights, rows.x, out, rows.count);
        }
    }
}

/* One product over all rows, followed by the cell or by one half of it. */
static void multiply(const gru_cpu_backward_work *work, const gru_cpu_panel *first, int of_rh,
                     gru_cpu_epilogue epilogue) {
    const gru_cpu_backward_call *call = work->call;
    gru_cpu_cell cell = call->operands.cell;
    alignas(64) float c[MAX_ROWS][GATES * PANEL];
    float *c_rows[MAX_ROWS];
    for (int m = 0; m < MAX_ROWS; m++) c_rows[m] = c[m];
    cell.has_attention = 0; /* attention acts after what is saved */
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(first, call->operands.R_pitch, panel);
        kernel_rows list;
        for (int64_t at = 0; next_rows(work, &at, &list);) {
            const gru_cpu_rows rows = {.in = list.h,
                                       .a = list.a,
                                       .next = list.next,
                                       .z = list.z,
                                       .rh = list.rh,
                                       .saved = list.saved,
                                       .count = list.count};
            const float *const *in = of_rh ? (const float *const *)list.rh : list.h;
            call->kernels->product(&weights, in, c_rows, list.count);
            epilogue(&cell, &rows, 0, list.count, panel * PANEL, c_rows);
        }
    }
}

void gru_cpu_recompute(gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, &call->operands.cell);
    if (call->run->projected.data)
        load_projected(work);
    else
        project(work);
    multiply(work, &call->operands.R, 0,
             call->operands.cell.reset_mode == GRU_RESET_BEFORE ? cells->gates : cells->cell);
}

void gru_cpu_recompute_candidate(gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, &call->operands.cell);
    if (call->operands.cell.reset_mode == GRU_RESET_BEFORE)
        multiply(work, &call->operands.R_n, 1, cells->candidate);
}
