/* stack_run.c: runs a stack: first layer to last, or backward from last to first, both directions of a layer at once. */
#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/number.h"
#include "stack_check.h"
#include "stack_run.h"

static gru_status combine(const gru_stack_call *call, gru_combination combination) {
    gru_context *context = call->stack->context;
    return combination.to.data ? context->backend->combine(context, &combination, call->data.stream) : GRU_OK;
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

/* Twice as many rows with each copy. */
gru_status gru_stack_repeat_initial_state(const gru_stacked_layer *layer, int32_t d, int64_t N, void *rows,
                                          void *stream) {
    gru_context *context = layer->sublayers[d]->context;
    const gru_layer_config *config = &layer->sublayers[d]->config;
    const size_t row = (size_t)config->hidden * gru_type_bytes(config->state_type);
    char *to = rows;
    if (!layer->initial_states[d] || N == 0) return GRU_OK;
    GRU_TRY(context->backend->copy(context, to, layer->initial_states[d], row, stream));
    for (int64_t done = 1, count; done < N; done += count) {
        count = done < N - done ? done : N - done;
        GRU_TRY(context->backend->copy(context, to + (size_t)done * row, to, (size_t)count * row, stream));
    }
    return GRU_OK;
}

static gru_status repeat_initial_state(const gru_stack_call *call, int32_t k, int32_t d) {
    void *rows = gru_stack_initial_states(call, k, d);
    if (!rows) return GRU_OK;
    return gru_stack_repeat_initial_state(&call->stack->layers[k], d, call->data.N, rows, call->data.stream);
}

static gru_status run_jobs(gru_pass pass, const gru_job *jobs, int32_t count) {
    gru_plan plan;
    GRU_TRY(gru_plan_jobs(pass, jobs, count, &plan));
    return gru_plan_run(&plan, jobs);
}

/* Both directions together, on the engine that is best for two, unless their variants differ. */
static gru_status run_layer(const gru_stack_call *call, int32_t k, gru_pass pass) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    gru_run runs[2];
    gru_gradients gradients[2];
    gru_job jobs[2];
    for (int32_t d = 0; d < layer->directions; d++) {
        gru_stack_sublayer_run(call, k, d, &runs[d]);
        jobs[d] = (gru_job){layer->sublayers[d], &runs[d], NULL};
        if (pass == GRU_PASS_FORWARD) continue;
        gradients[d] = gru_stack_sublayer_gradients(call, k, d);
        jobs[d].gradients = &gradients[d];
    }
    if (layer->directions == 1 || layer->alike) return run_jobs(pass, jobs, layer->directions);
    GRU_TRY(run_jobs(pass, jobs, 1));
    return run_jobs(pass, jobs + 1, 1);
}

gru_status gru_stack_run_forward(gru_stack_call *call) {
    const int32_t count = call->stack->count;
    for (int32_t k = 0; k < count; k++) {
        gru_stack_visit(call, k);
        for (int32_t d = 0; d < call->stack->layers[k].directions; d++)
            GRU_TRY(repeat_initial_state(call, k, d));
        GRU_TRY(run_layer(call, k, GRU_PASS_FORWARD));
        GRU_TRY(combine(call, gru_stack_merge(call, k)));
        if (k + 1 < count) GRU_TRY(apply_dropout_between(call, k));
    }
    return GRU_OK;
}

gru_status gru_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_forward(stack, run, &call));
    return gru_stack_run_forward(&call);
}

gru_status gru_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                              const gru_stack_gradients *gradients) {
    gru_stack_call call;
    GRU_TRY(gru_stack_check_backward(stack, run, gradients, &call));
    const uint32_t parts = gradients->data.parts & (GRU_GRAD_DATA | GRU_GRAD_WEIGHTS);
    for (int32_t k = stack->count - 1; k >= 0; k--) {
        const int data = parts != GRU_GRAD_WEIGHTS, directions = stack->layers[k].directions;
        gru_stack_visit(&call, k);
        for (int32_t d = 0; d < directions && data; d++)
            GRU_TRY(combine(&call, gru_stack_split(&call, k, d)));
        const gru_status status = run_layer(&call, k, GRU_PASS_BACKWARD);
        if (status != GRU_OK) return gru_fail(status, "layer %d: %s", k, gru_last_error());
        if (!data) continue;
        GRU_TRY(combine(&call, gru_stack_sum(&call, k)));
        for (int32_t d = 0; d < directions; d++) GRU_TRY(combine(&call, gru_stack_attention(&call, k, d)));
        if (k > 0) GRU_TRY(apply_dropout_between(&call, k - 1));
    }
    return GRU_OK;
}
