/* cpu_weight_gradients.c: stage 5 on the CPU: dx and the gradients of weights and biases, from the gradients of
 * pre-activations. */
#include "cpu_weight_gradients.h"

#include <stdalign.h>
#include <string.h>

#include "cpu_transpose.h"

/* ---- dx, dprojected ---------------------------------------------------------------------------------------------- */

/* Lists up to MAX_ROWS rows of the slice, from coordinate *at on. */
static int32_t next_rows(const gru_cpu_backward_work *work, int64_t *at,
                         const gru_cpu_row_coord *rows[MAX_ROWS]) {
    int32_t count = 0;
    for (; *at < work->coord_count && count < MAX_ROWS; ++*at)
        if (gru_cpu_owns_row(work, &work->coords[*at])) rows[count++] = &work->coords[*at];
    return count;
}

/* One panel of dx: directly into rows of reals if all its lanes are wanted, else through `sums`. */
static void multiply_rows(const gru_cpu_backward_work *work, const gru_cpu_panel *panel, size_t first,
                          const gru_cpu_row_coord *const *rows, int32_t count) {
    const gru_cpu_backward_call *call = work->call;
    const gru_view *dx = &call->gradients->dx;
    const int32_t type = call->layer->config.io_type;
    const size_t lanes = (size_t)panel->gates * PANEL,
                 width = call->I - first < lanes ? call->I - first : lanes;
    const int direct = type == REAL_TYPE && width == lanes;
    alignas(64) real sums[MAX_ROWS][GATES * PANEL];
    const real *in[MAX_ROWS] = {NULL};
    real *out[MAX_ROWS] = {NULL};
    size_t at[MAX_ROWS];
    for (int32_t m = 0; m < count; m++) {
        at[m] = GRU_ROW(*dx, rows[m]->t, rows[m]->n) + first;
        in[m] = gru_cpu_d_gates_row(work, rows[m]->s, rows[m]->n) + D_R * call->H;
        out[m] = direct ? (real *)dx->data + at[m] : sums[m];
    }
    call->kernels->product(panel, in, out, count);
    for (int32_t m = 0; !direct && m < count; m++) gru_store_reals(dx->data, type, at[m], sums[m], width);
}

static void multiply_inputs(const gru_cpu_backward_work *work) {
    const gru_cpu_range range = gru_cpu_output_blocks(work, 0);
    for (size_t block = range.begin; block < range.end; block += GATES) {
        const int32_t blocks = gru_cpu_blocks_at(block, range.end);
        gru_cpu_panel panel =
            gru_cpu_transposed_panel(work->call, 0, block, blocks, 0, GATES * work->call->H);
        const gru_cpu_row_coord *rows[MAX_ROWS];
        int32_t count;
        panel.sums = SUMS_SET;
        for (int64_t at = 0; (count = next_rows(work, &at, rows)) > 0;)
            multiply_rows(work, &panel, block * PANEL, rows, count);
    }
}

static void store_projected(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_view *out = &call->gradients->dprojected;
    for (int64_t i = 0; i < work->coord_count; i++) {
        const gru_cpu_row_coord *coord = &work->coords[i];
        if (work->slice.by_rows ? !gru_cpu_owns_row(work, coord)
                                : i % work->slice.threads != work->slice.index)
            continue;
        gru_store_reals(out->data, call->layer->config.io_type, GRU_ROW(*out, coord->t, coord->n),
                        gru_cpu_d_gates_row(work, coord->s, coord->n) + D_R * call->H, GATES * call->H);
    }
}

void gru_cpu_input_gradients(gru_cpu_backward_work *work) {
    if (work->call->gradients->dx.data) multiply_inputs(work);
    if (work->call->gradients->dprojected.data) store_projected(work);
}

static void zero_row(const gru_view *view, int64_t t, int64_t n, size_t count, size_t element) {
    if (view->data) memset((char *)view->data + GRU_ROW(*view, t, n) * element, 0, count * element);
}

void gru_cpu_zero_absent(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    const gru_gradients *g = call->gradients;
    const size_t element = gru_type_bytes(call->layer->config.io_type);
    if (gru_run_is_ragged(call->run)) return;
    for (int64_t n = 0; n < call->run->N; n++) {
        if (n % work->slice.threads != work->slice.index) continue;
        for (int64_t s = gru_timeline_steps(&call->timeline, n); s < call->run->T; s++) {
            const int64_t t = gru_timeline_time(&call->timeline, s, n);
            zero_row(&g->dx, t, n, call->I, element);
            zero_row(&g->dprojected, t, n, GATES * call->H, element);
            zero_row(&g->dattention, t, n, 1, sizeof(real));
        }
    }
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* What the gradients are multiplied with: x for all gates, h for the gates whose weights multiplied h, r h for the others. */
enum { OF_X, OF_H, OF_RH };

/* Components of d_gates that are multiplied with the columns. */
typedef struct d_components {
    int first, count;
} d_components;

static d_components components_of(const gru_cpu_backward_call *call, int columns) {
    const int before = call->operands.cell.reset_mode == GRU_RESET_BEFORE;
    if (columns == OF_X) return (d_components){D_R, GATES};
    if (columns == OF_RH) return (d_components){D_N, before ? 1 : 0};
    return (d_components){before ? D_R : D_RECURRENT, before ? 2 : GATES};
}

static int gate_of(int component) {
    static const int gates[D_GATES] = {GATE_N, GATE_R, GATE_Z, GATE_N};
    return gates[component];
}

static const real *columns_of(const gru_cpu_backward_work *work, int columns,
                              const gru_cpu_row_coord *coord) {
    const gru_cpu_backward_call *call = work->call;
    if (columns == OF_X) return gru_cpu_x_row(work, coord);
    if (columns == OF_RH) return gru_cpu_d_gates_row(work, coord->s, coord->n) + D_RECURRENT * call->H;
    return gru_cpu_h_row(work, coord->s, coord->n);
}

/* Packs columns [first, first + lanes) of `count` rows as a panel, zeros past the last column. */
static void gather_columns(const gru_cpu_backward_work *work, int columns, const gru_cpu_row_coord *coords,
                           size_t count, size_t first, size_t lanes) {
    const size_t K = columns == OF_X ? work->call->I : work->call->H,
                 width = K - first < lanes ? K - first : lanes;
    real *to = work->columns;
    if (width < lanes) memset(to, 0, count * lanes * sizeof *to);
    for (size_t c = 0; c < count; c++, to += lanes)
        memcpy(to, columns_of(work, columns, &coords[c]) + first, width * sizeof *to);
}

/* Adds the products of `count` rows for a panel of columns. overwrite: sets the sums. */
static void sum_panel(const gru_cpu_backward_work *work, int columns, const gru_cpu_row_coord *coords,
                      size_t count, size_t block, int32_t blocks, int overwrite) {
    const gru_cpu_backward_call *call = work->call;
    const d_components component = components_of(call, columns);
    const size_t pitch = columns == OF_X ? call->pitch_W : call->pitch_R;
    gru_cpu_panel panel = {.weights = work->columns,
                           .lanes = PANEL,
                           .type = REAL_TYPE,
                           .sums = overwrite ? SUMS_SET : SUMS_ADD,
                           .K = count,
                           .ahead = 8 * call->d_gates_t_pitch,
                           .gates = blocks};
    real *sums = (columns == OF_X ? call->sum_W : call->sum_R) + block * PANEL;
    if (component.count == 0) return;
    gather_columns(work, columns, coords, count, block * PANEL, (size_t)blocks * PANEL);
    for (int q = component.first; q < component.first + component.count; q++)
        for (size_t j = 0, rows; j < call->H; j += rows) {
            rows = (size_t)gru_cpu_rows_at((int64_t)j, (int64_t)call->H);
            const real *in[MAX_ROWS];
            real *out[MAX_ROWS];
            for (size_t m = 0; m < rows; m++) {
                in[m] = call->d_gates_t + ((size_t)q * call->H + j + m) * call->d_gates_t_pitch;
                out[m] = sums + ((size_t)gate_of(q) * call->H + j + m) * pitch;
            }
            call->kernels->product(&panel, in, out, (int32_t)rows);
        }
}

/* The thread's columns: blocks of x, then blocks of h, each together with that of r h. */
static void sum_columns(const gru_cpu_backward_work *work, const gru_cpu_row_coord *coords, size_t count,
                        int overwrite) {
    const gru_cpu_backward_call *call = work->call;
    const size_t of_x = call->gradients->dW ? call->padded_I / PANEL : 0;
    const size_t of_h = call->gradients->dR ? call->padded_H / PANEL : 0;
    const gru_cpu_range range = gru_cpu_split(of_x + of_h, work->slice.index, work->slice.threads);
    const size_t x_end = range.end < of_x ? range.end : of_x;
    for (size_t block = range.begin; block < x_end; block += GATES)
        sum_panel(work, OF_X, coords, count, block, gru_cpu_blocks_at(block, x_end), overwrite);
    for (size_t block = range.begin < of_x ? of_x : range.begin; block < range.end; block += GATES) {
        sum_panel(work, OF_H, coords, count, block - of_x, gru_cpu_blocks_at(block, range.end), overwrite);
        sum_panel(work, OF_RH, coords, count, block - of_x, gru_cpu_blocks_at(block, range.end), overwrite);
    }
}

/* The thread's columns of d_gates: transposed for the products, and summed: the bias gradients. */
static void transpose_rows(const gru_cpu_backward_work *work, const gru_cpu_row_coord *coords, size_t count,
                           int overwrite) {
    const gru_cpu_backward_call *call = work->call;
    const gru_cpu_range range = gru_cpu_split(D_GATES * call->H, work->slice.index, work->slice.threads);
    for (size_t c = 0; c < count; c++)
        work->pointers[c] = gru_cpu_d_gates_row(work, coords[c].s, coords[c].n);
    call->kernels->transpose(work->pointers, count, range.begin, range.end - range.begin,
                             call->d_gates_t + range.begin * call->d_gates_t_pitch, call->d_gates_t_pitch);
    if (overwrite)
        memset(call->bias_totals + range.begin, 0, (range.end - range.begin) * sizeof *call->bias_totals);
    call->kernels->add_rows(work->pointers, count, range.begin, range.end, call->bias_totals);
    for (size_t i = range.begin; i < range.end; i++) call->sum_bias[i] = (real)call->bias_totals[i];
}

static size_t summed_rows(const gru_cpu_backward_work *work) {
    const int64_t left = work->coord_count - work->first_coord;
    return (size_t)(left < SUMMED_ROWS ? left : SUMMED_ROWS);
}

static void transpose_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    transpose_rows(work, work->coords + work->first_coord, summed_rows(work), work->overwrite);
}

static void sum_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    sum_columns(work, work->coords + work->first_coord, summed_rows(work), work->overwrite);
}

void gru_cpu_weight_gradients(gru_cpu_backward_work *work, int first) {
    for (work->first_coord = 0; work->first_coord < work->coord_count; work->first_coord += SUMMED_ROWS) {
        work->overwrite = first && work->first_coord == 0;
        gru_phase_run(&work->member, transpose_part, work);
        gru_phase_run(&work->member, sum_part, work);
    }
}

/* Sums of one pass that replace the gradients are made in place: with few rows, copying them takes a tenth of the call. The
 * kernels write whole panels, so rows of another length need sums of their own. */
void gru_cpu_place_weight_sums(gru_cpu_backward_call *call) {
    const gru_gradients *g = call->gradients;
    const int in_place = (g->parts & GRU_GRAD_OVERWRITE) && !g->loss_scale &&
                         call->run->T <= call->schedule.chunk && call->run->N <= SUMMED_ROWS;
    call->pitch_W = call->pitch_I;
    call->pitch_R = call->pitch_H;
    if (in_place && g->dW && call->I % PANEL == 0) call->sum_W = g->dW, call->pitch_W = call->I;
    if (in_place && g->dR && call->H % PANEL == 0) call->sum_R = g->dR, call->pitch_R = call->H;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* to (+)= sums * (1 / loss_scale). sums NULL: zeros, as there are no steps. */
static void add_sums(const gru_cpu_backward_call *call, real *to, const real *sums, size_t count) {
    const gru_gradients *g = call->gradients;
    const real factor = g->loss_scale ? 1 / (real)*g->loss_scale : 1;
    const int set = (g->parts & GRU_GRAD_OVERWRITE) != 0;
    for (size_t i = 0; i < count; i++) {
        const real sum = sums ? sums[i] * factor : 0.0f;
        to[i] = set ? sum : to[i] + sum;
    }
}

/* The thread's rows of dW or dR. */
static void add_matrix(const gru_cpu_backward_work *work, real *to, const real *sums, size_t K,
                       size_t pitch) {
    const gru_cpu_range rows = gru_cpu_split(GATES * work->call->H, work->slice.index, work->slice.threads);
    if (to == sums && work->call->steps) return;
    for (size_t row = rows.begin; to && row < rows.end; row++)
        add_sums(work->call, to + row * K, work->call->steps ? sums + row * pitch : NULL, K);
}

static void add_biases(const gru_cpu_backward_call *call) {
    const int slot_n = call->operands.cell.reset_mode == GRU_RESET_AFTER ? D_RECURRENT : D_N;
    const real *sums = call->steps ? call->sum_bias : NULL;
    real *dbW = call->gradients->dbW, *dbR = call->gradients->dbR;
    if (dbW) add_sums(call, dbW, sums ? sums + D_R * call->H : NULL, GATES * call->H);
    if (!dbR) return;
    add_sums(call, dbR, sums ? sums + D_R * call->H : NULL, 2 * call->H);
    add_sums(call, dbR + 2 * call->H, sums ? sums + (size_t)slot_n * call->H : NULL, call->H);
}

void gru_cpu_add_weight_gradients(const gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    add_matrix(work, call->gradients->dW, call->sum_W, call->I, call->pitch_W);
    add_matrix(work, call->gradients->dR, call->sum_R, call->H, call->pitch_R);
    if (work->slice.index == 0) add_biases(call);
}
