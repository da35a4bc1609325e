/* stack_run.c: runs a stack: first layer to last, or backward from last to first, both directions of a layer at once. */
#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/layout.h"
#include "stack_check.h"

static gru_status add_directions(const gru_stack_call *call, int32_t k) {
    const gru_stack_sum sum = gru_stack_sum_of(call, k);
    if (!sum.to.data) return GRU_OK;
    const int ragged = gru_run_is_ragged(&call->data);
    const gru_addition addition = {call->stack->io_type,
                                   ragged ? call->data.ragged_rows : call->data.T,
                                   ragged ? 1 : call->data.N,
                                   sum.row,
                                   sum.to,
                                   sum.from};
    return call->stack->context->backend->add_tensors(call->stack->context, &addition, call->data.stream);
}

/* Dropout between layer k and the next. Backward draws the same random numbers again: the mask is not stored. */
static gru_status apply_dropout_between(const gru_stack_call *call, int32_t k) {
    if (!gru_stack_has_dropout(call)) return GRU_OK;
    const gru_dropout dropout = {.type = call->stack->io_type,
                                 .T = call->data.T,
                                 .N = call->data.N,
                                 .row = call->stack->layers[k].outputs,
                                 .data = gru_stack_between(call, k),
                                 .rate = call->stack->dropout,
                                 .layer = k,
                                 .seed = call->run->dropout_seed,
                                 .ragged = gru_run_is_ragged(&call->data) ? &call->data : NULL};
    return call->stack->context->backend->apply_dropout(call->stack->context, &dropout, call->data.stream);
}

/* Both directions together, on the engine that is best for two. */
static gru_status run_layer(const gru_stack_call *call, int32_t k, gru_pass pass) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    gru_run runs[2];
    gru_gradients gradients[2];
    gru_job jobs[2];
    gru_plan plan;
    for (int32_t d = 0; d < layer->directions; d++) {
        gru_stack_sublayer_run(call, k, d, &runs[d]);
        jobs[d] = (gru_job){layer->sublayers[d], &runs[d], NULL};
        if (pass == GRU_PASS_FORWARD) continue;
        gradients[d] = gru_stack_sublayer_gradients(call, k, d);
        jobs[d].gradients = &gradients[d];
    }
    GRU_TRY(gru_plan_jobs(pass, jobs, layer->directions, &plan));
    return gru_plan_run(&plan, jobs);
}

gru_status gru_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_forward(stack, run, &call));
    for (int32_t k = 0; k < stack->count; k++) {
        gru_stack_visit(&call, k);
        GRU_TRY(run_layer(&call, k, GRU_PASS_FORWARD));
        GRU_TRY(add_directions(&call, k));
        if (k + 1 < stack->count) GRU_TRY(apply_dropout_between(&call, k));
    }
    return GRU_OK;
}

gru_status gru_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                              const gru_stack_gradients *gradients) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_backward(stack, run, gradients, &call));
    const uint32_t parts = gradients->data.parts & (GRU_GRAD_DATA | GRU_GRAD_WEIGHTS);
    for (int32_t k = stack->count - 1; k >= 0; k--) {
        gru_stack_visit(&call, k);
        const gru_status status = run_layer(&call, k, GRU_PASS_BACKWARD);
        if (status != GRU_OK) return gru_fail(status, "layer %d: %s", k, gru_last_error());
        if (parts == GRU_GRAD_WEIGHTS) continue;
        GRU_TRY(add_directions(&call, k));
        if (k > 0) GRU_TRY(apply_dropout_between(&call, k - 1));
    }
    return GRU_OK;
}
