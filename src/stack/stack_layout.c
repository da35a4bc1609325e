/* stack_layout.c: divides a stack's workspace and reserve among its layers, and forms the run of each cell. */
#include "stack_layout.h"

#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/number.h"

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* T = 0 counts as one step, so that what was found countable also holds for N * row, the time stride. */
static size_t rows_bytes(const gru_stack *stack, int64_t T, int64_t N, int32_t row) {
    const size_t rows = gru_size_times(larger((size_t)T, 1), (size_t)N);
    return gru_size_lines(gru_size_times(rows, (size_t)row * gru_type_bytes(stack->io_type)));
}

static size_t reserve_bytes(const gru_layer *layer, int64_t T, int64_t N) {
    return gru_size_lines(layer->context->backend->reserve_bytes(&layer->config, T, N));
}

static size_t workspace_bytes(const gru_layer *layer, int64_t T, int64_t N, int backward) {
    return gru_size_lines(gru_layer_workspace(layer, T, N, backward));
}

/* Adds what layer k needs. */
static void plan_part(const gru_stack *stack, int32_t k, int64_t T, int64_t N, gru_stack_plan *plan) {
    const gru_stack_part *part = &stack->parts[k];
    const size_t output = rows_bytes(stack, T, N, part->outputs);
    gru_sizes *whole = &plan->memory;
    for (int32_t d = 0; d < part->directions; d++) {
        const gru_layer *cell = part->cells[d];
        plan->cell[d] = larger(plan->cell[d], workspace_bytes(cell, T, N, 0));
        whole->backward_workspace = gru_size_plus(whole->backward_workspace, workspace_bytes(cell, T, N, 1));
        whole->reserve = gru_size_plus(whole->reserve, reserve_bytes(cell, T, N));
    }
    if (k + 1 < stack->count) {
        plan->between[k & 1] = larger(plan->between[k & 1], output);
        whole->reserve = gru_size_plus(whole->reserve, output);
    }
    if (part->directions == 2) {
        plan->sum_backward = larger(plan->sum_backward, rows_bytes(stack, T, N, part->inputs));
        if (part->merge == GRU_MERGE_SUM) plan->sum = larger(plan->sum, output);
    }
}

gru_status gru_stack_plan_for(const gru_stack *stack, int64_t T, int64_t N, gru_stack_plan *plan) {
    *plan = (gru_stack_plan){0};
    for (int32_t k = 0; k < stack->count; k++) plan_part(stack, k, T, N, plan);
    gru_sizes *whole = &plan->memory;
    const size_t between = gru_size_plus(plan->between[0], plan->between[1]);
    whole->workspace =
        gru_size_plus(between, gru_size_plus(plan->sum, gru_size_plus(plan->cell[0], plan->cell[1])));
    whole->backward_workspace =
        gru_size_plus(whole->backward_workspace, gru_size_plus(between, plan->sum_backward));
    if (whole->workspace == SIZE_MAX || whole->backward_workspace == SIZE_MAX || whole->reserve == SIZE_MAX)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "T is %lld and N is %lld: with %d layers this needs more bytes than there are addresses",
            (long long)T, (long long)N, stack->count);
    return GRU_OK;
}

/* ---- places ---- */

static void *at(void *base, size_t bytes) {
    return base ? (char *)base + bytes : NULL;
}

/* A dense tensor of the call's T and N. */
static gru_view dense(const gru_stack_call *c, void *data, int32_t row) {
    const gru_view view = {data, c->data.N * row, row};
    return view;
}

/* The columns of a view that direction d of a layer with these parts of a row takes. */
static gru_view columns(const gru_stack_call *c, gru_view view, int32_t first) {
    view.data = at(view.data, (size_t)first * gru_type_bytes(c->stack->io_type));
    return view;
}

static gru_const_view reading(gru_view view) {
    const gru_const_view same = {view.data, view.time_stride, view.batch_stride};
    return same;
}

static gru_view writing(gru_const_view view) {
    const gru_view same = {(void *)(uintptr_t)view.data, view.time_stride, view.batch_stride};
    return same;
}

static int training(const gru_stack_call *c) {
    return c->data.mode != GRU_INFERENCE;
}

/* What lies before the part of layer k: in the reserve, and in the backward workspace among the cells'. The sizes were
 * found countable by the plan. */
static gru_sizes before(const gru_stack_call *c, int32_t k) {
    gru_stack_plan sums = {0};
    for (int32_t i = 0; i < k; i++) plan_part(c->stack, i, c->data.T, c->data.N, &sums);
    return sums.memory;
}

/* The buffer that takes layer k's output in inference, and the gradient of its output in backward. */
static gru_view turn(const gru_stack_call *c, int32_t k) {
    return dense(c, at(c->data.workspace, k & 1 ? c->plan.between[0] : 0), c->stack->parts[k].outputs);
}

/* The output of layer k after the merge. */
static gru_view output_of(const gru_stack_call *c, int32_t k) {
    if (k + 1 == c->stack->count) return c->data.y;
    if (!training(c)) return turn(c, k);
    const size_t output = rows_bytes(c->stack, c->data.T, c->data.N, c->stack->parts[k].outputs);
    return dense(c, at(c->data.reserve, before(c, k + 1).reserve - output), c->stack->parts[k].outputs);
}

/* The gradient of layer k's input: the caller's dx, or the gradient of the output below. */
static gru_view input_gradient(const gru_stack_call *c, int32_t k) {
    return k == 0 ? c->shared.dx : turn(c, k - 1);
}

/* The reverse direction's part of a sum of rows like those of whole; whole not wanted: neither is the part. */
static gru_view reverse_part(const gru_stack_call *c, gru_view whole, int32_t row) {
    void *memory = at(c->data.workspace, c->plan.between[0] + c->plan.between[1]);
    return dense(c, whole.data ? memory : NULL, row);
}

/* ---- cells ---- */

static gru_view cell_output(const gru_stack_call *c, int32_t k, int32_t d) {
    const gru_stack_part *part = &c->stack->parts[k];
    const gru_view whole = output_of(c, k);
    if (d == 0) return whole;
    if (part->merge == GRU_MERGE_CONCAT) return columns(c, whole, part->outputs / 2);
    return part->merge == GRU_MERGE_SUM ? reverse_part(c, whole, part->outputs) : c->y_reverse;
}

static void set_states(const gru_stack_call *c, int32_t cell, int32_t hidden, gru_run *run) {
    const int64_t stride = c->run->h_strides ? c->run->h_strides[cell] : 0;
    run->h0 = c->run->h0 ? c->run->h0[cell] : NULL;
    run->hT = c->run->hT ? c->run->hT[cell] : NULL;
    run->h0_stride = run->hT_stride = stride ? stride : hidden;
}

static void set_forward_workspace(const gru_stack_call *c, int32_t d, gru_run *run) {
    const gru_stack_plan *plan = &c->plan;
    const size_t first = plan->between[0] + plan->between[1] + plan->sum;
    run->workspace = at(c->data.workspace, first + (d ? plan->cell[0] : 0));
    run->workspace_size = plan->cell[d];
}

static void set_backward_workspace(const gru_stack_call *c, int32_t k, int32_t d, gru_run *run) {
    const gru_stack_plan *plan = &c->plan;
    size_t first = plan->between[0] + plan->between[1] + plan->sum_backward + before(c, k).backward_workspace;
    gru_layer *const *cells = c->stack->parts[k].cells;
    if (d) first += workspace_bytes(cells[0], c->data.T, c->data.N, 1);
    run->workspace = at(c->data.workspace, first);
    run->workspace_size = workspace_bytes(cells[d], c->data.T, c->data.N, 1);
}

static void set_reserve(const gru_stack_call *c, int32_t k, int32_t d, gru_run *run) {
    gru_layer *const *cells = c->stack->parts[k].cells;
    const size_t earlier = d ? reserve_bytes(cells[0], c->data.T, c->data.N) : 0;
    run->reserve = at(c->data.reserve, before(c, k).reserve + earlier);
    run->reserve_size = reserve_bytes(cells[d], c->data.T, c->data.N);
}

void gru_stack_cell_run(const gru_stack_call *c, int32_t k, int32_t d, gru_run *run) {
    const gru_stack_part *part = &c->stack->parts[k];
    *run = c->data;
    if (k > 0) run->x = reading(output_of(c, k - 1));
    if (training(c)) set_reserve(c, k, d, run);
    if (c->gradients) {
        const gru_view none = {0};
        run->y = none;
        run->h0_slots = run->hT_slots = NULL;
        set_backward_workspace(c, k, d, run);
    } else {
        run->y = cell_output(c, k, d);
        set_states(c, part->first_cell + d, part->cells[d]->config.hidden, run);
        set_forward_workspace(c, d, run);
    }
}

#define CELL_POINTER(array) ((array) ? (array)[cell] : NULL)

gru_gradients gru_stack_cell_gradients(const gru_stack_call *c, int32_t k, int32_t d) {
    const gru_stack_part *part = &c->stack->parts[k];
    const gru_stack_gradients *all = c->gradients;
    const int32_t cell = part->first_cell + d;
    const int last = k + 1 == c->stack->count;
    gru_gradients g = {.parts = c->shared.parts, .loss_scale = c->shared.loss_scale};
    g.dy = last ? c->shared.dy : reading(turn(c, k));
    if (d && part->merge == GRU_MERGE_CONCAT) g.dy = reading(columns(c, writing(g.dy), part->outputs / 2));
    if (d && part->merge == GRU_MERGE_SEPARATE) g.dy = c->dy_reverse;
    g.dx = input_gradient(c, k);
    if (d) g.dx = reverse_part(c, g.dx, part->inputs);
    g.dhT = CELL_POINTER(all->dhT);
    g.dh0 = CELL_POINTER(all->dh0);
    g.dW = CELL_POINTER(all->dW);
    g.dR = CELL_POINTER(all->dR);
    g.dbW = CELL_POINTER(all->dbW);
    g.dbR = CELL_POINTER(all->dbR);
    return g;
}

gru_stack_sum gru_stack_sum_of(const gru_stack_call *c, int32_t k) {
    const gru_stack_part *part = &c->stack->parts[k];
    gru_stack_sum sum = {.row = c->gradients ? part->inputs : part->outputs};
    const int wanted = part->directions == 2 && (c->gradients || part->merge == GRU_MERGE_SUM);
    if (!wanted) return sum;
    sum.to = c->gradients ? input_gradient(c, k) : output_of(c, k);
    sum.from = reading(reverse_part(c, sum.to, sum.row));
    return sum;
}

int gru_stack_drops(const gru_stack_call *c) {
    return training(c) && c->stack->count > 1 && c->stack->dropout > 0;
}

gru_view gru_stack_between(const gru_stack_call *c, int32_t k) {
    return c->gradients ? turn(c, k) : output_of(c, k);
}
