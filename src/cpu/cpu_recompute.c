/* cpu_recompute.c: recomputes the activations of a chunk from the entering states, which the reserve holds, so all steps at
 * once. The chains and the cell are those of the forward pass, and so are the bits. */
#include "cpu_recompute.h"

#include <stdalign.h>
#include <string.h>

/* The rows of one kernel call. */
typedef struct kernel_rows {
    const real *x[MAX_ROWS], *h[MAX_ROWS], *rh[MAX_ROWS]; /* whole, for products */

    /* From the first unit of a panel on, for the cell. Entering states that end within the panel are padded in a copy: in the
     * reserve other rows follow them, or nothing. */
    const real *entering[MAX_ROWS];
    real *a[MAX_ROWS], *saved[MAX_ROWS], *next[MAX_ROWS], *z[MAX_ROWS], *panel_rh[MAX_ROWS];
    real padded[MAX_ROWS][PANEL];
    int32_t count;
} kernel_rows;

static void list_row(const gru_cpu_backward_work *work, const gru_cpu_row_coord *coord, size_t panel,
                     kernel_rows *rows) {
    const gru_cpu_backward_call *call = work->call;
    const size_t row = gru_cpu_chunk_row(work, coord->s, coord->n), unit = panel * PANEL;
    const int32_t m = rows->count++;
    rows->x[m] = call->run->x.data ? gru_cpu_x_row(work, coord) : NULL;
    rows->h[m] = gru_cpu_h_row(work, coord->s, coord->n);
    rows->rh[m] = call->rh + row * call->pitch_H;
    rows->panel_rh[m] = call->rh + row * call->pitch_H + unit;
    rows->entering[m] = rows->h[m] + unit;
    rows->a[m] = call->a + row * call->pitch_a + unit * GATES;
    rows->saved[m] = call->recomputed + row * call->padded_H * SAVED + unit * SAVED;
    rows->next[m] = work->discard;
    rows->z[m] = work->discard + PANEL;
    if (call->H - unit >= PANEL) return;
    memset(rows->padded[m], 0, sizeof rows->padded[m]);
    memcpy(rows->padded[m], rows->entering[m], (call->H - unit) * sizeof(real));
    rows->entering[m] = rows->padded[m];
}

/* Lists the thread's next rows, from coordinate *at on; 0: there are none left. */
static int next_rows(const gru_cpu_backward_work *work, size_t panel, int64_t *at, kernel_rows *rows) {
    rows->count = 0;
    for (; *at < work->coord_count && rows->count < MAX_ROWS; ++*at)
        if (gru_cpu_owns_row(work, &work->coords[*at])) list_row(work, &work->coords[*at], panel, rows);
    return rows->count > 0;
}

static void load_projected(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    for (int64_t i = 0; i < work->coord_count; i++) {
        const gru_cpu_row_coord *coord = &work->coords[i];
        real *a = call->a + gru_cpu_chunk_row(work, coord->s, coord->n) * call->pitch_a;
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
        for (int64_t at = 0; next_rows(work, panel, &at, &rows);)
            call->kernels->product(&weights, rows.x, rows.a, rows.count);
    }
}

/* One product over all rows, followed by the cell or by one half of it. */
static void multiply(const gru_cpu_backward_work *work, const gru_cpu_panel *first, int of_rh,
                     gru_cpu_epilogue epilogue) {
    const gru_cpu_backward_call *call = work->call;
    gru_cpu_cell cell = call->operands.cell;
    alignas(64) real c[MAX_ROWS][GATES * PANEL];
    real *c_rows[MAX_ROWS];
    for (int m = 0; m < MAX_ROWS; m++) c_rows[m] = c[m];
    cell.has_attention = 0; /* attention acts after what is saved */
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(first, call->operands.R_pitch, panel);
        kernel_rows list;
        for (int64_t at = 0; next_rows(work, panel, &at, &list);) {
            const gru_cpu_rows rows = {.in = list.entering,
                                       .a = list.a,
                                       .next = list.next,
                                       .z = list.z,
                                       .rh = list.panel_rh,
                                       .saved = list.saved,
                                       .count = list.count};
            const real *const *in = of_rh ? list.rh : list.h;
            call->kernels->product(&weights, in, c_rows, list.count);
            epilogue(&cell, &rows, 0, list.count, 0, c_rows);
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
