/* stack_layout.c: divides a stack's workspace and reserve among its layers, and makes the run of each sublayer. */
#include "stack_layout.h"

#include <assert.h>

#include "api/selection.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/layout.h"

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Counts at least one step: if the bytes do not overflow, then neither does the time stride N * row, even with T = 0. */
static size_t rows_bytes(const gru_stack *stack, int64_t T, int64_t N, int32_t row) {
    const size_t rows = gru_size_times(larger((size_t)T, 1), (size_t)N);
    return gru_size_lines(gru_size_times(rows, (size_t)row * gru_type_bytes(stack->io_type)));
}

/* Type of the gradients of attention. */
static int32_t attention_type(const gru_stack *stack) {
    return stack->io_type == GRU_F64 ? GRU_F64 : GRU_F32;
}

static size_t attention_bytes(const gru_stack *stack, int64_t T, int64_t N) {
    const size_t rows = gru_size_times(larger((size_t)T, 1), (size_t)N);
    return gru_size_lines(gru_size_times(rows, gru_type_bytes(attention_type(stack))));
}

static size_t state_rows_bytes(const gru_layer *layer, int64_t N) {
    const size_t row = (size_t)layer->config.hidden * gru_type_bytes(layer->config.state_type);
    return gru_size_lines(gru_size_times((size_t)N, row));
}

static size_t reserve_bytes(const gru_layer *layer, int64_t T, int64_t N, int32_t mode) {
    return gru_size_lines(layer->context->backend->reserve_bytes(&layer->config, T, N, mode));
}

static size_t workspace_bytes(const gru_layer *layer, int64_t T, int64_t N, gru_pass pass) {
    return gru_size_lines(gru_layer_workspace(layer, T, N, pass));
}

/* Whether backward needs the outputs of both directions. */
static int multiplies(const gru_stacked_layer *layer) {
    return layer->directions == 2 && layer->merge == GRU_MERGE_MULTIPLY;
}

/* Whether the gradient of a direction's output is another than that of the merged output. */
static int splits(const gru_stacked_layer *layer) {
    return multiplies(layer) || (layer->directions == 2 && layer->merge == GRU_MERGE_AVERAGE);
}

static int is_one_tensor(const gru_stacked_layer *layer) {
    return splits(layer) || (layer->directions == 2 && layer->merge == GRU_MERGE_SUM);
}

/* What layer k takes of the reserve of such a run and, for its sublayers, of the backward workspace. */
static gru_sizes layer_sizes(const gru_stack *stack, int32_t k, int64_t T, int64_t N, int32_t mode) {
    const gru_stacked_layer *layer = &stack->layers[k];
    gru_sizes sizes = {0};
    for (int32_t d = 0; d < layer->directions; d++) {
        const gru_layer *sublayer = layer->sublayers[d];
        sizes.backward_workspace =
            gru_size_plus(sizes.backward_workspace, workspace_bytes(sublayer, T, N, GRU_PASS_BACKWARD));
        sizes.reserve = gru_size_plus(sizes.reserve, reserve_bytes(sublayer, T, N, mode));
    }
    for (int32_t d = 0; d < 2 && multiplies(layer); d++)
        sizes.reserve = gru_size_plus(sizes.reserve, rows_bytes(stack, T, N, layer->outputs));
    if (k + 1 < stack->count)
        sizes.reserve = gru_size_plus(sizes.reserve, rows_bytes(stack, T, N, layer->outputs));
    return sizes;
}

static void add_layer(const gru_stack *stack, int32_t k, int64_t T, int64_t N, int32_t mode,
                      gru_stack_layout *layout) {
    const gru_stacked_layer *layer = &stack->layers[k];
    const gru_sizes sizes = layer_sizes(stack, k, T, N, mode);
    const size_t output = rows_bytes(stack, T, N, layer->outputs);
    gru_sizes *total = &layout->total;
    total->backward_workspace = gru_size_plus(total->backward_workspace, sizes.backward_workspace);
    total->reserve = gru_size_plus(total->reserve, sizes.reserve);
    for (int32_t d = 0; d < layer->directions; d++) {
        layout->workspace[d] =
            larger(layout->workspace[d], workspace_bytes(layer->sublayers[d], T, N, GRU_PASS_FORWARD));
        if (layer->initial_states[d])
            layout->initial_states[d] =
                larger(layout->initial_states[d], state_rows_bytes(layer->sublayers[d], N));
    }
    if (k + 1 < stack->count) layout->between[k & 1] = larger(layout->between[k & 1], output);
    if (layer->directions == 2)
        layout->second_dx = larger(layout->second_dx, rows_bytes(stack, T, N, layer->inputs));
    if (is_one_tensor(layer)) layout->second = larger(layout->second, output);
    for (int32_t d = 0; d < 2 && splits(layer); d++) layout->split[d] = larger(layout->split[d], output);
    for (int32_t d = 0; d < layer->directions && stack->sublayer_count > 1; d++)
        layout->attention[d] = attention_bytes(stack, T, N);
}

/* Bytes of the backward workspace before the sublayers' own. */
static size_t shared_bytes(const gru_stack_layout *layout) {
    size_t bytes = layout->second_dx;
    for (int i = 0; i < 2; i++) {
        bytes = gru_size_plus(bytes, layout->between[i]);
        bytes = gru_size_plus(bytes, gru_size_plus(layout->split[i], layout->attention[i]));
    }
    return bytes;
}

gru_status gru_stack_layout_of(const gru_stack *stack, int64_t T, int64_t N, int32_t mode,
                               gru_stack_layout *layout) {
    *layout = (gru_stack_layout){0};
    for (int32_t k = 0; k < stack->count; k++) add_layer(stack, k, T, N, mode, layout);
    gru_sizes *total = &layout->total;
    const size_t between = gru_size_plus(layout->between[0], layout->between[1]);
    const size_t sublayers = gru_size_plus(layout->workspace[0], layout->workspace[1]);
    const size_t states = gru_size_plus(layout->initial_states[0], layout->initial_states[1]);
    total->workspace =
        gru_size_plus(between, gru_size_plus(layout->second, gru_size_plus(sublayers, states)));
    total->backward_workspace = gru_size_plus(total->backward_workspace, shared_bytes(layout));
    if (total->workspace == SIZE_MAX || total->backward_workspace == SIZE_MAX || total->reserve == SIZE_MAX)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "T is %lld and N is %lld: with %d layers this needs more bytes than there are addresses",
            (long long)T, (long long)N, stack->count);
    return GRU_OK;
}

/* ---- tensors of a call ---- */

static void *at(void *base, size_t bytes) {
    return base ? (char *)base + bytes : NULL;
}

/* A dense tensor of the call's T and N, or of its ragged rows, which are no more. */
static gru_view dense(const gru_stack_call *call, void *data, int32_t row) {
    const int ragged = gru_run_is_ragged(&call->data);
    const gru_view view = {data, ragged ? row : call->data.N * row, ragged ? 0 : row};
    return view;
}

/* The view of the columns from `first` on. */
static gru_view columns(const gru_stack_call *call, gru_view view, int32_t first) {
    view.data = at(view.data, (size_t)first * gru_type_bytes(call->stack->io_type));
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

static int training(const gru_stack_call *call) {
    return call->data.mode != GRU_INFERENCE;
}

/* Inference needs no offsets: it has no reserve. The sums are exact, as the total did not overflow. */
void gru_stack_visit(gru_stack_call *call, int32_t k) {
    if (!training(call)) return;
    while (call->visited < k) {
        const gru_sizes below =
            layer_sizes(call->stack, call->visited++, call->data.T, call->data.N, call->data.mode);
        call->offsets.reserve += below.reserve;
        call->offsets.backward_workspace += below.backward_workspace;
    }
    while (call->visited > k) {
        const gru_sizes below =
            layer_sizes(call->stack, --call->visited, call->data.T, call->data.N, call->data.mode);
        call->offsets.reserve -= below.reserve;
        call->offsets.backward_workspace -= below.backward_workspace;
    }
}

/* Holds the output of layer k in inference, and the gradient of its output in backward. */
static gru_view ping_pong_buffer(const gru_stack_call *call, int32_t k) {
    return dense(call, at(call->data.workspace, k & 1 ? call->layout.between[0] : 0),
                 call->stack->layers[k].outputs);
}

/* In training the reserve of a layer ends with its merged output. */
static gru_view output_at(const gru_stack_call *call, int32_t k, size_t end) {
    const int32_t row = call->stack->layers[k].outputs;
    const size_t bytes = rows_bytes(call->stack, call->data.T, call->data.N, row);
    return dense(call, at(call->data.reserve, end - bytes), row);
}

/* The merged output of the visited layer k. */
static gru_view output_of(const gru_stack_call *call, int32_t k) {
    if (k + 1 == call->stack->count) return call->data.y;
    if (!training(call)) return ping_pong_buffer(call, k);
    assert(call->visited == k);
    const gru_sizes sizes = layer_sizes(call->stack, k, call->data.T, call->data.N, call->data.mode);
    return output_at(call, k, call->offsets.reserve + sizes.reserve);
}

/* The input of the visited layer k > 0: the output of the layer below. */
static gru_view input_of(const gru_stack_call *call, int32_t k) {
    if (!training(call)) return ping_pong_buffer(call, k - 1);
    assert(call->visited == k);
    return output_at(call, k - 1, call->offsets.reserve);
}

/* The gradient of layer k's input: the caller's dx, or the gradient of the output below. */
static gru_view input_gradient(const gru_stack_call *call, int32_t k) {
    return k == 0 ? call->shared.dx : ping_pong_buffer(call, k - 1);
}

/* The reverse direction's part of `whole`, in the workspace; NULL data if nobody wants the whole. */
static gru_view second_part(const gru_stack_call *call, gru_view whole, int32_t row) {
    void *memory = at(call->data.workspace, call->layout.between[0] + call->layout.between[1]);
    return dense(call, whole.data ? memory : NULL, row);
}

/* The output of direction d of the visited layer k, which multiplies: it ends the sublayers' reserves. */
static gru_view factor(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    size_t place = call->offsets.reserve;
    assert(call->visited == k);
    for (int32_t e = 0; e < 2; e++)
        place += reserve_bytes(layer->sublayers[e], call->data.T, call->data.N, call->data.mode);
    place += (size_t)d * rows_bytes(call->stack, call->data.T, call->data.N, layer->outputs);
    return dense(call, at(call->data.reserve, place), layer->outputs);
}

/* The gradient of layer k's merged output. */
static gru_const_view output_gradient(const gru_stack_call *call, int32_t k) {
    return k + 1 == call->stack->count ? call->shared.dy : reading(ping_pong_buffer(call, k));
}

/* Where the gradient of direction d's output is stored, if layer k splits it. */
static gru_view split_buffer(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stack_layout *layout = &call->layout;
    const size_t first = layout->between[0] + layout->between[1] + layout->second_dx;
    void *memory = at(call->data.workspace, first + (d ? layout->split[0] : 0));
    return dense(call, output_gradient(call, k).data ? memory : NULL, call->stack->layers[k].outputs);
}

/* The first sublayer that runs writes the caller's dattention; each other one its own, which is added. */
static gru_view attention_gradient(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stack_layout *layout = &call->layout;
    const gru_view none = {0};
    if (!call->shared.dattention.data) return none;
    if (k + 1 == call->stack->count && d == 0) return call->shared.dattention;
    const size_t first =
        layout->between[0] + layout->between[1] + layout->second_dx + layout->split[0] + layout->split[1];
    return dense(call, at(call->data.workspace, first + (d ? layout->attention[0] : 0)), 1);
}

/* ---- sublayers ---- */

static gru_view sublayer_output(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const gru_view whole = output_of(call, k);
    if (training(call) && multiplies(layer)) return factor(call, k, d);
    if (d == 0) return whole;
    if (layer->merge == GRU_MERGE_CONCAT) return columns(call, whole, layer->sublayers[0]->config.hidden);
    return is_one_tensor(layer) ? second_part(call, whole, layer->outputs) : call->y_reverse;
}

static gru_const_view sublayer_output_gradient(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const gru_const_view whole = output_gradient(call, k);
    if (splits(layer)) return reading(split_buffer(call, k, d));
    if (d == 0 || layer->merge == GRU_MERGE_SUM) return whole;
    if (layer->merge == GRU_MERGE_SEPARATE) return call->dy_reverse;
    return reading(columns(call, writing(whole), layer->sublayers[0]->config.hidden));
}

/* Direction d's columns of the caller's projected input, or of its gradient. */
static gru_view projected_columns(const gru_stack_call *call, gru_view projected, int32_t d) {
    return d ? columns(call, projected, GATES * call->stack->layers[0].sublayers[0]->config.hidden)
             : projected;
}

/* With slots the caller has to give the states. */
static int takes_learned_state(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const int given = call->run->h0 && call->run->h0[layer->first_sublayer + d];
    return layer->initial_states[d] && !given && !call->data.h0_slots;
}

void *gru_stack_initial_states(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stack_layout *layout = &call->layout;
    const size_t first = layout->between[0] + layout->between[1] + layout->second + layout->workspace[0] +
                         layout->workspace[1] + (d ? layout->initial_states[0] : 0);
    return takes_learned_state(call, k, d) ? at(call->data.workspace, first) : NULL;
}

static void set_states(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const int32_t sublayer = layer->first_sublayer + d, H = layer->sublayers[d]->config.hidden;
    const int64_t stride = call->run->h_strides ? call->run->h_strides[sublayer] : 0;
    run->h0 = call->run->h0 ? call->run->h0[sublayer] : NULL;
    run->hT = call->run->hT ? call->run->hT[sublayer] : NULL;
    run->h0_stride = run->hT_stride = stride ? stride : H;
    if (!takes_learned_state(call, k, d)) return;
    run->h0 = gru_stack_initial_states(call, k, d);
    run->h0_stride = H;
}

static void set_forward_workspace(const gru_stack_call *call, int32_t d, gru_run *run) {
    const gru_stack_layout *layout = &call->layout;
    const size_t first = layout->between[0] + layout->between[1] + layout->second;
    run->workspace = at(call->data.workspace, first + (d ? layout->workspace[0] : 0));
    run->workspace_size = layout->workspace[d];
}

static void set_backward_workspace(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run) {
    const gru_stack_layout *layout = &call->layout;
    size_t first = shared_bytes(layout) + call->offsets.backward_workspace;
    gru_layer *const *sublayers = call->stack->layers[k].sublayers;
    if (d) first += workspace_bytes(sublayers[0], call->data.T, call->data.N, GRU_PASS_BACKWARD);
    run->workspace = at(call->data.workspace, first);
    run->workspace_size = workspace_bytes(sublayers[d], call->data.T, call->data.N, GRU_PASS_BACKWARD);
}

static void set_reserve(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run) {
    gru_layer *const *sublayers = call->stack->layers[k].sublayers;
    const size_t earlier = d ? reserve_bytes(sublayers[0], call->data.T, call->data.N, call->data.mode) : 0;
    run->reserve = at(call->data.reserve, call->offsets.reserve + earlier);
    run->reserve_size = reserve_bytes(sublayers[d], call->data.T, call->data.N, call->data.mode);
}

static void set_input(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run) {
    const gru_const_view none = {0};
    if (k == 0 && d && run->projected.data)
        run->projected = reading(projected_columns(call, writing(run->projected), d));
    if (k == 0) return;
    run->x = reading(input_of(call, k));
    run->projected = none;
}

void gru_stack_sublayer_run(const gru_stack_call *call, int32_t k, int32_t d, gru_run *run) {
    *run = call->data;
    set_input(call, k, d, run);
    if (call->run->packed) run->packed = call->run->packed[call->stack->layers[k].first_sublayer + d];
    if (k + 1 < call->stack->count)
        run->absent_output = GRU_ABSENT_ZERO; /* the next layer does not read it */
    if (training(call)) set_reserve(call, k, d, run);
    if (call->gradients) {
        const gru_view none = {0};
        run->y = none;
        run->h0_slots = run->hT_slots = NULL;
        set_backward_workspace(call, k, d, run);
    } else {
        run->y = sublayer_output(call, k, d);
        set_states(call, k, d, run);
        set_forward_workspace(call, d, run);
    }
}

#define SUBLAYER_POINTER(array) ((array) ? (array)[sublayer] : NULL)

gru_gradients gru_stack_sublayer_gradients(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    const gru_stack_gradients *all = call->gradients;
    const int32_t sublayer = layer->first_sublayer + d;
    gru_gradients g = {.parts = call->shared.parts, .loss_scale = call->shared.loss_scale};
    g.dy = sublayer_output_gradient(call, k, d);
    g.dx = input_gradient(call, k);
    if (d) g.dx = second_part(call, g.dx, layer->inputs);
    if (k == 0) g.dprojected = projected_columns(call, call->shared.dprojected, d);
    g.dattention = attention_gradient(call, k, d);
    g.dhT = SUBLAYER_POINTER(all->dhT);
    g.dh0 = SUBLAYER_POINTER(all->dh0);
    g.dW = SUBLAYER_POINTER(all->dW);
    g.dR = SUBLAYER_POINTER(all->dR);
    g.dbW = SUBLAYER_POINTER(all->dbW);
    g.dbR = SUBLAYER_POINTER(all->dbR);
    return g;
}

/* ---- both directions ---- */

static gru_combination combination(const gru_stack_call *call, gru_operation operation, int32_t row) {
    const int ragged = gru_run_is_ragged(&call->data);
    const gru_combination c = {.operation = operation,
                               .type = call->stack->io_type,
                               .T = ragged ? call->data.ragged_rows : call->data.T,
                               .N = ragged ? 1 : call->data.N,
                               .row = row};
    return c;
}

gru_combination gru_stack_merge(const gru_stack_call *call, int32_t k) {
    static const gru_operation operations[] = {[GRU_MERGE_SUM] = GRU_OPERATION_ADD,
                                               [GRU_MERGE_AVERAGE] = GRU_OPERATION_AVERAGE,
                                               [GRU_MERGE_MULTIPLY] = GRU_OPERATION_MULTIPLY};
    const gru_stacked_layer *layer = &call->stack->layers[k];
    gru_combination merge = {.row = 0};
    if (!is_one_tensor(layer)) return merge;
    merge = combination(call, operations[layer->merge], layer->outputs);
    merge.to = output_of(call, k);
    merge.a = reading(sublayer_output(call, k, 0));
    merge.b = reading(sublayer_output(call, k, 1));
    return merge;
}

/* f r has the gradients r and f. */
gru_combination gru_stack_split(const gru_stack_call *call, int32_t k, int32_t d) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    gru_combination split = {.row = 0};
    if (!splits(layer)) return split;
    split =
        combination(call, multiplies(layer) ? GRU_OPERATION_MULTIPLY : GRU_OPERATION_HALVE, layer->outputs);
    split.to = split_buffer(call, k, d);
    split.a = output_gradient(call, k);
    if (multiplies(layer)) split.b = reading(factor(call, k, !d));
    return split;
}

gru_combination gru_stack_sum(const gru_stack_call *call, int32_t k) {
    const gru_stacked_layer *layer = &call->stack->layers[k];
    gru_combination sum = combination(call, GRU_OPERATION_ADD, layer->inputs);
    if (layer->directions < 2) return sum;
    sum.to = input_gradient(call, k);
    sum.a = reading(sum.to);
    sum.b = reading(second_part(call, sum.to, layer->inputs));
    return sum;
}

gru_combination gru_stack_attention(const gru_stack_call *call, int32_t k, int32_t d) {
    gru_combination sum = combination(call, GRU_OPERATION_ADD, 1);
    const gru_view part = attention_gradient(call, k, d);
    if (part.data == call->shared.dattention.data) return sum; /* written there, or not wanted */
    sum.type = attention_type(call->stack);
    sum.to = call->shared.dattention;
    sum.a = reading(sum.to);
    sum.b = reading(part);
    return sum;
}

int gru_stack_has_dropout(const gru_stack_call *call) {
    return training(call) && call->stack->count > 1 && call->stack->dropout > 0;
}

gru_view gru_stack_between(const gru_stack_call *call, int32_t k) {
    return call->gradients ? ping_pong_buffer(call, k) : output_of(call, k);
}
