/* stack_check.c: checks a stack's call: its own fields, the run of each sublayer, then overlaps between sublayers. */
#include "stack_check.h"

#include "api/check_run.h"
#include "api/check_view.h"
#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/layout.h"

gru_status gru_stack_sublayer_failed(const gru_stack *stack, int32_t k, int32_t d, gru_status status) {
    const char *side = stack->layers[k].directions == 1 ? "" : d ? ", reverse" : ", forward";
    return gru_fail(status, "layer %d%s: %s", k, side, gru_last_error());
}

/* ---- fields ---- */

static gru_status refuse(int given, const char *name, const char *instead) {
    if (!given) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "%s is given, expected 0: %s", name, instead);
}

static gru_status check_absent(const gru_run *data) {
    static const char *const states = "a stack takes states for each sublayer, in run.h0 and run.hT";
    GRU_TRY(refuse(data->h0 != NULL, "run.data.h0", states));
    GRU_TRY(refuse(data->hT != NULL, "run.data.hT", states));
    GRU_TRY(refuse(data->h0_stride != 0, "run.data.h0_stride", "a stack takes run.h_strides"));
    GRU_TRY(refuse(data->hT_stride != 0, "run.data.hT_stride", "a stack takes run.h_strides"));
    GRU_TRY(
        refuse(data->h_restart != NULL, "run.data.h_restart", "segments of a stack start from zero states"));
    return refuse(data->packed != NULL, "run.data.packed",
                  "a stack takes packed weights for each sublayer, in run.packed");
}

static gru_status check_gradient_fields(const gru_stack_gradients *gradients) {
    static const char *const sublayers = "a stack takes gradients for each sublayer, beside gradients.data";
    const gru_gradients *data = &gradients->data;
    GRU_TRY(gru_check_reserved("gradients", gradients->reserved, 8));
    GRU_TRY(gru_check_reserved("gradients.data", data->reserved, 8));
    GRU_TRY(refuse(data->dhT != NULL, "gradients.data.dhT", sublayers));
    GRU_TRY(refuse(data->dh0 != NULL, "gradients.data.dh0", sublayers));
    GRU_TRY(refuse(data->dW != NULL, "gradients.data.dW", sublayers));
    GRU_TRY(refuse(data->dR != NULL, "gradients.data.dR", sublayers));
    GRU_TRY(refuse(data->dbW != NULL, "gradients.data.dbW", sublayers));
    GRU_TRY(refuse(data->dbR != NULL, "gradients.data.dbR", sublayers));
    return refuse(data->dh_restart != NULL, "gradients.data.dh_restart",
                  "segments of a stack start from zero states");
}

static const gru_stacked_layer *last_layer(const gru_stack *stack) {
    return &stack->layers[stack->count - 1];
}

/* Numbers in a row of y_reverse. */
static size_t separate_row(const gru_stack *stack) {
    const gru_layer *reverse = last_layer(stack)->sublayers[1];
    return reverse ? (size_t)reverse->config.hidden : 0;
}

/* Numbers in a row of projected input. */
static size_t projected_row(const gru_stack *stack) {
    const gru_stacked_layer *first = &stack->layers[0];
    size_t units = 0;
    for (int32_t d = 0; d < first->directions; d++) units += (size_t)first->sublayers[d]->config.hidden;
    return GATES * units;
}

static gru_status check_separate(const gru_stack *stack, const void *data, const char *name) {
    const gru_stacked_layer *layer = last_layer(stack);
    const int separate = layer->directions == 2 && layer->merge == GRU_MERGE_SEPARATE;
    return refuse(data && !separate, name, "only a last layer with GRU_MERGE_SEPARATE has it");
}

static gru_status check_dropout(const gru_stack_call *call, gru_regions *regions) {
    const uint64_t *seed = call->run->dropout_seed;
    gru_context *context = call->stack->context;
    if (!gru_stack_has_dropout(call)) return GRU_OK;
    if (!seed)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.dropout_seed is NULL, expected seed and offset: the stack trains with dropout %g",
            (double)call->stack->dropout);
    gru_regions_add(regions, "run.dropout_seed", seed, 2 * sizeof *seed, 0);
    GRU_TRY(gru_check_aligned("run.dropout_seed", seed, sizeof *seed));
    return context->backend->check_buffer ? context->backend->check_buffer(context, "run.dropout_seed", seed)
                                          : GRU_OK;
}

/* ---- memory and views ---- */

static gru_status check_buffer(gru_regions *regions, const char *name, void *data, size_t size,
                               size_t needed) {
    if (size < needed)
        return gru_fail(GRU_BAD_ARGUMENT, "%s_size is %zu, expected at least %zu: gru_stack_sizes tells",
                        name, size, needed);
    if (!data && needed > 0)
        return gru_fail(GRU_BAD_ARGUMENT, "%s is NULL, expected %zu bytes", name, needed);
    GRU_TRY(gru_check_aligned(name, data, 64));
    gru_regions_add(regions, name, data, needed, 1);
    return GRU_OK;
}

static gru_status check_memory(gru_stack_call *call, gru_regions *regions) {
    const gru_sizes *need = &call->layout.total;
    GRU_TRY(gru_stack_layout_of(call->stack, call->data.T, call->data.N, call->data.mode, &call->layout));
    GRU_TRY(check_buffer(regions, "run.data.workspace", call->data.workspace, call->data.workspace_size,
                         call->gradients ? need->backward_workspace : need->workspace));
    if (call->data.mode == GRU_INFERENCE) return GRU_OK;
    return check_buffer(regions, "run.data.reserve", call->data.reserve, call->data.reserve_size,
                        need->reserve);
}

#define CHECK_VIEW(...) GRU_CHECK_VIEW(&call->data, regions, __VA_ARGS__)

/* What all sublayers read. */
static gru_status check_inputs(gru_stack_call *call, gru_regions *regions) {
    gru_run *data = &call->data;
    const size_t io = gru_type_bytes(call->stack->io_type),
                 indices = gru_size_times((size_t)data->N, sizeof(int32_t));
    const size_t weight = call->stack->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    const size_t I = (size_t)call->stack->layers[0].inputs;
    CHECK_VIEW("run.data.x", data->x, I, io, 0);
    CHECK_VIEW("run.data.projected", data->projected, projected_row(call->stack), io, 0);
    CHECK_VIEW("run.data.restart", data->restart, 1, 1, 0);
    CHECK_VIEW("run.data.attention", data->attention, 1, weight, 0);
    CHECK_VIEW("run.data.mask", data->mask, 1, 1, 0);
    gru_regions_add(regions, "run.data.lengths", data->lengths, indices, 0);
    gru_regions_add(regions, "run.data.offsets", data->offsets, ((size_t)data->N + 1) * sizeof(int64_t), 0);
    gru_regions_add(regions, "run.data.batch_sizes", data->batch_sizes, (size_t)data->T * sizeof(int64_t), 0);
    gru_regions_add(regions, "run.data.batch_order", data->batch_order, (size_t)data->N * sizeof(int64_t), 0);
    if (call->gradients) return GRU_OK;
    gru_regions_add(regions, "run.data.h0_slots", data->h0_slots, indices, 0);
    gru_regions_add(regions, "run.data.hT_slots", data->hT_slots, indices, 0);
    return GRU_OK;
}

static gru_status check_outputs(gru_stack_call *call, gru_regions *regions) {
    const size_t io = gru_type_bytes(call->stack->io_type);
    const size_t row = (size_t)last_layer(call->stack)->outputs;
    GRU_TRY(check_separate(call->stack, call->y_reverse.data, "run.y_reverse"));
    CHECK_VIEW("run.data.y", call->data.y, row, io, 1);
    CHECK_VIEW("run.y_reverse", call->y_reverse, separate_row(call->stack), io, 1);
    return GRU_OK;
}

static gru_status check_gradient_views(gru_stack_call *call, gru_regions *regions) {
    const size_t io = gru_type_bytes(call->stack->io_type);
    const size_t row = (size_t)last_layer(call->stack)->outputs, I = (size_t)call->stack->layers[0].inputs;
    GRU_TRY(check_separate(call->stack, call->dy_reverse.data, "gradients.dy_reverse"));
    CHECK_VIEW("gradients.data.dy", call->shared.dy, row, io, 0);
    CHECK_VIEW("gradients.dy_reverse", call->dy_reverse, separate_row(call->stack), io, 0);
    CHECK_VIEW("gradients.data.dx", call->shared.dx, I, io, 1);
    CHECK_VIEW("gradients.data.dprojected", call->shared.dprojected, projected_row(call->stack), io, 1);
    CHECK_VIEW("gradients.data.dattention", call->shared.dattention, 1,
               call->stack->io_type == GRU_F64 ? sizeof(double) : sizeof(float), 1);
    gru_regions_add(regions, "gradients.data.loss_scale", call->shared.loss_scale, sizeof(float), 0);
    return gru_check_aligned("gradients.data.loss_scale", call->shared.loss_scale, sizeof(float));
}

/* ---- sublayers ---- */

static gru_status check_sublayer_forward(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_layer *layer = call->stack->layers[k].sublayers[d];
    gru_run run, checked;
    gru_stack_sublayer_run(call, k, d, &run);
    GRU_TRY(gru_check_forward(layer, &run, &checked));
    return gru_check_plan(GRU_PASS_FORWARD, layer, &checked);
}

static gru_status check_sublayer_backward(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_gradients gradients = gru_stack_sublayer_gradients(call, k, d);
    const gru_layer *layer = call->stack->layers[k].sublayers[d];
    gru_run run, checked;
    gru_gradients checked_gradients;
    gru_stack_sublayer_run(call, k, d, &run);
    GRU_TRY(gru_check_backward(layer, &run, &gradients, &checked, &checked_gradients));
    return gru_check_plan(GRU_PASS_BACKWARD, layer, &checked);
}

static gru_status check_sublayers(gru_stack_call *call) {
    for (int32_t k = 0; k < call->stack->count; k++) {
        gru_stack_visit(call, k);
        for (int32_t d = 0; d < call->stack->layers[k].directions; d++) {
            const gru_status status =
                call->gradients ? check_sublayer_backward(call, k, d) : check_sublayer_forward(call, k, d);
            if (status != GRU_OK) return gru_stack_sublayer_failed(call->stack, k, d, status);
        }
    }
    return GRU_OK;
}

/* ---- overlap between sublayers ---- */

/* The buffers of one sublayer. Read from the arrays, not from a gru_run made for the sublayer: streaming runs this too. */
static void add_states(const gru_stack_call *call, int32_t k, int32_t d, gru_regions *own) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const gru_stack_run *run = call->run;
    const int32_t sublayer = layer->first_sublayer + d;
    const size_t element = gru_type_bytes(call->stack->state_type),
                 H = (size_t)layer->sublayers[d]->config.hidden;
    const size_t stride = run->h_strides && run->h_strides[sublayer] ? (size_t)run->h_strides[sublayer] : H;
    const size_t h0_rows = (size_t)(call->data.h0_slots ? call->data.slot_count : call->data.N);
    const size_t hT_rows = (size_t)(call->data.hT_slots ? call->data.slot_count : call->data.N);
    if (h0_rows && run->h0)
        gru_regions_add(own, "run.h0[]", run->h0[sublayer], ((h0_rows - 1) * stride + H) * element, 0);
    if (hT_rows && run->hT)
        gru_regions_add(own, "run.hT[]", run->hT[sublayer], ((hT_rows - 1) * stride + H) * element, 1);
    for (int i = 0; i < own->count; i++) {
        own->list[i].index = sublayer;
        own->list[i].row_bytes = H * element;
        own->list[i].batch_stride = stride * element;
    }
}

static void add_gradients(const gru_stack_call *call, int32_t k, int32_t d, gru_regions *own) {
    const gru_gradients g = gru_stack_sublayer_gradients(call, k, d);
    const gru_layer_config *config = &call->stack->layers[k].sublayers[d]->config;
    const size_t exact = config->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const size_t states = (size_t)call->data.N * H * gru_type_bytes(config->state_type);
    const int first = own->count;
    gru_regions_add(own, "gradients.dhT[]", g.dhT, states, 0);
    gru_regions_add(own, "gradients.dh0[]", g.dh0, states, 1);
    gru_regions_add(own, "gradients.dW[]", g.dW, 3 * H * I * exact, 1);
    gru_regions_add(own, "gradients.dR[]", g.dR, 3 * H * H * exact, 1);
    gru_regions_add(own, "gradients.dbW[]", g.dbW, 3 * H * exact, 1);
    gru_regions_add(own, "gradients.dbR[]", g.dbR, 3 * H * exact, 1);
    for (int i = first; i < own->count; i++) own->list[i].index = call->stack->layers[k].first_sublayer + d;
}

static void add_packed(const gru_stack_call *call, int32_t k, int32_t d, gru_regions *own) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const int32_t sublayer = layer->first_sublayer + d;
    gru_region *region = gru_regions_add(own, "run.packed[]", call->run->packed[sublayer],
                                         layer->sublayers[d]->packed_bytes, 0);
    if (region) region->index = sublayer;
}

static void own_regions(const gru_stack_call *call, int32_t k, int32_t d, gru_regions *own) {
    own->count = 0;
    if (call->gradients)
        add_gradients(call, k, d, own);
    else
        add_states(call, k, d, own);
    if (call->run->packed) add_packed(call, k, d, own);
}

static gru_status check_apart(const gru_regions *some, const gru_regions *others) {
    for (int i = 0; i < some->count; i++)
        for (int j = 0; j < others->count; j++)
            GRU_TRY(gru_regions_check_pair(&some->list[i], &others->list[j]));
    return GRU_OK;
}

/* Compares the buffers of each sublayer with those of every other and of the whole call. (Those within one sublayer were
 * compared by its own checks.) The regions of a sublayer are collected again for each comparison, so any number of layers
 * is possible. */
static gru_status check_overlap(const gru_stack_call *call, const gru_regions *shared) {
    const gru_stack *stack = call->stack;
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            gru_regions own, other;
            own_regions(call, k, d, &own);
            if (own.count == 0) continue;
            gru_status status = check_apart(&own, shared);
            for (int32_t j = k; j < stack->count && status == GRU_OK; j++)
                for (int32_t e = j == k ? d + 1 : 0; e < stack->layers[j].directions && status == GRU_OK;
                     e++) {
                    own_regions(call, j, e, &other);
                    status = check_apart(&own, &other);
                }
            if (status != GRU_OK) return gru_stack_sublayer_failed(stack, k, d, status);
        }
    return GRU_OK;
}

/* ---- calls ---- */

static gru_status begin(const gru_stack *stack, const gru_stack_run *run, gru_stack_call *call) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!run) return gru_fail(GRU_BAD_ARGUMENT, "run is NULL");
    *call = (gru_stack_call){.stack = stack, .run = run, .data = run->data, .y_reverse = run->y_reverse};
    GRU_TRY(gru_check_reserved("run", run->reserved, 8));
    GRU_TRY(check_absent(&run->data));
    return gru_check_run_fields(&run->data);
}

gru_status gru_stack_check_forward(const gru_stack *stack, const gru_stack_run *run, gru_stack_call *call) {
    gru_regions shared;
    shared.count = 0;
    GRU_TRY(begin(stack, run, call));
    GRU_TRY(check_memory(call, &shared));
    GRU_TRY(check_inputs(call, &shared));
    GRU_TRY(check_outputs(call, &shared));
    GRU_TRY(check_dropout(call, &shared));
    GRU_TRY(gru_regions_check(
        &shared)); /* before the sublayers' checks, which would name the stack's tensors differently */
    GRU_TRY(check_sublayers(call));
    return check_overlap(call, &shared);
}

gru_status gru_stack_check_backward(const gru_stack *stack, const gru_stack_run *run,
                                    const gru_stack_gradients *gradients, gru_stack_call *call) {
    gru_regions shared;
    shared.count = 0;
    GRU_TRY(begin(stack, run, call));
    if (!gradients) return gru_fail(GRU_BAD_ARGUMENT, "gradients is NULL");
    call->gradients = gradients;
    call->shared = gradients->data;
    call->dy_reverse = gradients->dy_reverse;
    if (run->data.mode == GRU_INFERENCE)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.data.mode is GRU_INFERENCE, which saves nothing for backward; expected a training mode");
    GRU_TRY(check_gradient_fields(gradients));
    GRU_TRY(check_memory(call, &shared));
    GRU_TRY(check_inputs(call, &shared));
    GRU_TRY(check_gradient_views(call, &shared));
    GRU_TRY(check_dropout(call, &shared));
    GRU_TRY(gru_regions_check(
        &shared)); /* before the sublayers' checks, which would name the stack's tensors differently */
    GRU_TRY(check_sublayers(call));
    return check_overlap(call, &shared);
}
