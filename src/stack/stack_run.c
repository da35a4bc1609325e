/* stack_run.c: runs a stack: first layer to last, or backward from last to first, both directions of a layer at once. */
#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "stack_check.h"

static gru_status add_directions(const gru_stack_call *c, int32_t k) {
    const gru_stack_sum sum = gru_stack_sum_of(c, k);
    if (!sum.to.data) return GRU_OK;
    const gru_addition addition = {c->stack->io_type, c->data.T, c->data.N, sum.row, sum.to, sum.from};
    return c->stack->context->backend->add_tensors(c->stack->context, &addition, c->data.stream);
}

/* Between layer k and the next. Backward drops the gradients of what forward dropped: the numbers are made again. */
static gru_status drop_between(const gru_stack_call *c, int32_t k) {
    if (!gru_stack_drops(c)) return GRU_OK;
    const gru_dropout dropout = {.type = c->stack->io_type,
                                 .T = c->data.T,
                                 .N = c->data.N,
                                 .row = c->stack->parts[k].outputs,
                                 .data = gru_stack_between(c, k),
                                 .rate = c->stack->dropout,
                                 .layer = k,
                                 .seed = c->run->dropout_seed};
    return c->stack->context->backend->apply_dropout(c->stack->context, &dropout, c->data.stream);
}

/* Both directions in one call of their engine, if it is the same. */
static gru_status forward_layer(const gru_stack_call *c, int32_t k) {
    const gru_stack_part *part = &c->stack->parts[k];
    gru_run runs[2];
    gru_job jobs[2];
    const gru_engine *engines[2];
    for (int32_t d = 0; d < part->directions; d++) {
        gru_stack_cell_run(c, k, d, &runs[d]);
        jobs[d] = (gru_job){part->cells[d], &runs[d], NULL};
        GRU_TRY(gru_layer_forward_engine(part->cells[d], &runs[d], &engines[d]));
    }
    if (part->directions == 2 && engines[0] == engines[1]) return engines[0]->forward(jobs, 2);
    for (int32_t d = 0; d < part->directions; d++) GRU_TRY(engines[d]->forward(&jobs[d], 1));
    return GRU_OK;
}

gru_status gru_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_forward(stack, run, &call));
    for (int32_t k = 0; k < stack->count; k++) {
        GRU_TRY(forward_layer(&call, k));
        GRU_TRY(add_directions(&call, k));
        if (k + 1 < stack->count) GRU_TRY(drop_between(&call, k));
    }
    return GRU_OK;
}

static gru_status backward_layer(const gru_stack_call *c, int32_t k) {
    const gru_stack_part *part = &c->stack->parts[k];
    gru_run runs[2];
    gru_gradients gradients[2];
    gru_job jobs[2];
    const gru_engine *engines[2];
    for (int32_t d = 0; d < part->directions; d++) {
        gru_stack_cell_run(c, k, d, &runs[d]);
        gradients[d] = gru_stack_cell_gradients(c, k, d);
        jobs[d] = (gru_job){part->cells[d], &runs[d], &gradients[d]};
        GRU_TRY(gru_layer_backward_engine(part->cells[d], &engines[d]));
    }
    if (part->directions == 2 && engines[0] == engines[1]) return engines[0]->backward(jobs, 2);
    for (int32_t d = 0; d < part->directions; d++) GRU_TRY(engines[d]->backward(&jobs[d], 1));
    return GRU_OK;
}

gru_status gru_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                              const gru_stack_gradients *gradients) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_backward(stack, run, gradients, &call));
    const uint32_t parts = gradients->data.parts & (GRU_GRAD_DATA | GRU_GRAD_WEIGHTS);
    for (int32_t k = stack->count - 1; k >= 0; k--) {
        const gru_status status = backward_layer(&call, k);
        if (status != GRU_OK) return gru_fail(status, "layer %d: %s", k, gru_last_error());
        if (parts == GRU_GRAD_WEIGHTS) continue;
        GRU_TRY(add_directions(&call, k));
        if (k > 0) GRU_TRY(drop_between(&call, k - 1));
    }
    return GRU_OK;
}
