/* stack.c: creates, describes and releases stacks of layers. */
#include <stdio.h>
#include <string.h>

#include "api/check_layer.h"
#include "core/check_range.h"
#include "api/check_view.h"
#include "api/run_memory.h"
#include "core/context.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/number.h"
#include "stack_check.h"

/* ---- configuration ---- */

static int64_t outputs_of(const gru_stack_layer *layer) {
    const int both = layer->bidirectional && layer->merge == GRU_MERGE_CONCAT;
    return (int64_t)layer->config.hidden + (both ? gru_stack_config_of(layer, 1)->hidden : 0);
}

/* The reverse direction's configuration, if it has one of its own, beside that of the forward direction. */
static gru_status check_reverse_config(const gru_stack_layer *layer, int32_t k) {
    static const gru_layer_config none = {0};
    const gru_layer_config *config = &layer->config, *reverse = &layer->reverse_config;
    if (gru_stack_same_config(reverse, &none)) return GRU_OK;
    if (!layer->bidirectional)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].reverse_config is given, but the layer has one direction", k);
    if (reverse->hidden < 1)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].reverse_config.hidden is %d, expected 1 or more, or all fields zero", k,
                        reverse->hidden);
    if (reverse->inputs != config->inputs)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].reverse_config.inputs is %d, expected config.inputs: %d", k,
                        reverse->inputs, config->inputs);
    if (reverse->hidden != config->hidden && layer->merge != GRU_MERGE_CONCAT &&
        layer->merge != GRU_MERGE_SEPARATE)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "layers[%d].reverse_config.hidden is %d, expected config.hidden, %d: the merge makes one "
            "number of two",
            k, reverse->hidden, config->hidden);
    if (reverse->io_type != config->io_type || reverse->state_type != config->state_type)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "layers[%d].reverse_config.io_type is %s and state_type %s, expected those of config: %s "
            "and %s",
            k, gru_type_name(reverse->io_type), gru_type_name(reverse->state_type),
            gru_type_name(config->io_type), gru_type_name(config->state_type));
    return GRU_OK;
}

/* What a layer alone cannot check: that it fits to the layer below and to its position. */
static gru_status check_layer(const gru_stack_config *config, int32_t k) {
    const gru_stack_layer *layer = &config->layers[k], *below = k ? layer - 1 : layer;
    if (layer->bidirectional != 0 && layer->bidirectional != 1)
        return gru_fail(GRU_BAD_ARGUMENT, "layers[%d].bidirectional is %d, expected 0 or 1", k,
                        layer->bidirectional);
    if (layer->merge < GRU_MERGE_CONCAT || layer->merge > GRU_MERGE_MULTIPLY)
        return gru_fail(GRU_BAD_ARGUMENT, "layers[%d].merge is %d, expected 0 to %d", k, layer->merge,
                        GRU_MERGE_MULTIPLY);
    if (layer->merge == GRU_MERGE_SEPARATE && k + 1 < config->count)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].merge is GRU_MERGE_SEPARATE, which only the last layer, %d, can have", k,
                        config->count - 1);
    if (k > 0 && layer->config.inputs != outputs_of(below))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].config.inputs is %d, expected the outputs of the layer below: %lld", k,
                        layer->config.inputs, (long long)outputs_of(below));
    if (layer->config.io_type != below->config.io_type)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].config.io_type is %s, expected that of the layer below: %s", k,
                        gru_type_name(layer->config.io_type), gru_type_name(below->config.io_type));
    if (layer->config.state_type != below->config.state_type)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layers[%d].config.state_type is %s, expected that of the layer below: %s", k,
                        gru_type_name(layer->config.state_type), gru_type_name(below->config.state_type));
    return check_reverse_config(layer, k);
}

static gru_status check_initial_states(const gru_stack_layer *layer, int32_t k) {
    char name[40];
    for (int d = 0; d < 2; d++) {
        const int32_t type = layer->weights[d].type == GRU_INT8 ? GRU_F32 : layer->weights[d].type;
        (void)snprintf(name, sizeof name, "layers[%d].h0[%d]", k, d);
        if (d > layer->bidirectional && layer->h0[d])
            return gru_fail(GRU_BAD_ARGUMENT, "%s is given, but the layer has one direction", name);
        GRU_TRY(gru_check_aligned(name, layer->h0[d], gru_type_bytes(type) ? gru_type_bytes(type) : 1));
    }
    return GRU_OK;
}

gru_status gru_stack_check_config(const gru_stack_config *config) {
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL");
    if (config->count < 1)
        return gru_fail(GRU_BAD_ARGUMENT, "config.count is %d, expected 1 layer or more", config->count);
    if (!config->layers)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers is NULL, expected [%d]", config->count);
    if (!(config->dropout >= 0 && config->dropout < 1))
        return gru_fail(GRU_BAD_ARGUMENT, "config.dropout is %g, expected 0 or more and below 1",
                        (double)config->dropout);
    GRU_TRY(gru_check_reserved("config", config->reserved, 8));
    for (int32_t k = 0; k < config->count; k++) {
        GRU_TRY(check_layer(config, k));
        GRU_TRY(check_initial_states(&config->layers[k], k));
    }
    return GRU_OK;
}

/* ---- creation ---- */

/* Whether the directions of a layer differ in nothing but the direction. */
static int are_alike(const gru_stacked_layer *layer) {
    if (layer->directions == 1) return 1;
    gru_layer_config reverse = layer->sublayers[1]->config;
    reverse.direction = layer->sublayers[0]->config.direction;
    return gru_stack_same_config(&reverse, &layer->sublayers[0]->config);
}

/* Keeps a learned initial state in the type and in the memory that runs take it from. */
static gru_status keep_initial_state(gru_context *context, const gru_layer *layer,
                                     const gru_stack_layer *source, int32_t d, void **kept) {
    const size_t H = (size_t)layer->config.hidden;
    const int32_t given = source->weights[d].type == GRU_INT8 ? GRU_F32 : source->weights[d].type;
    const int32_t type = layer->config.state_type;
    const size_t bytes = H * gru_type_bytes(type);
    if (!source->h0[d]) return GRU_OK;
    GRU_TRY(gru_check_range("h0", source->h0[d], given, H, type));
    void *rounded = gru_host_allocate(context, bytes, "an initial state");
    if (!rounded) return GRU_OUT_OF_MEMORY;
    for (size_t i = 0; i < H; i++)
        gru_store_double(rounded, type, i, gru_load_double(source->h0[d], given, i));
    gru_status status = gru_allocate(context, bytes, kept);
    if (status == GRU_OK) status = gru_copy(context, *kept, rounded, bytes, NULL);
    if (status == GRU_OK) status = gru_wait(context, NULL);
    gru_host_free(context, rounded, bytes);
    return status;
}

/* Adds a layer to a stack that already has the layers below it. */
static gru_status create_layer(gru_stack *stack, const gru_stack_layer *source) {
    const int32_t k = stack->count++;
    gru_stacked_layer *layer = &stack->layers[k];
    *layer = (gru_stacked_layer){.directions = source->bidirectional ? 2 : 1,
                                 .merge = source->merge,
                                 .first_sublayer = stack->sublayer_count,
                                 .inputs = source->config.inputs,
                                 .outputs = (int32_t)outputs_of(source)};
    stack->sublayer_count += layer->directions;
    for (int32_t d = 0; d < layer->directions; d++) {
        gru_layer_config config = *gru_stack_config_of(source, d);
        if (source->bidirectional) config.direction = d ? GRU_REVERSE : GRU_FORWARD;
        const gru_status status =
            gru_layer_create(stack->context, &config, &source->weights[d], &layer->sublayers[d]);
        if (status != GRU_OK) return gru_stack_sublayer_failed(stack, k, d, status);
        const gru_status kept =
            keep_initial_state(stack->context, layer->sublayers[d], source, d, &layer->initial_states[d]);
        if (kept != GRU_OK) return gru_stack_sublayer_failed(stack, k, d, kept);
    }
    layer->alike = are_alike(layer);
    return GRU_OK;
}

gru_status gru_stack_create(gru_context *context, const gru_stack_config *config, gru_stack **stack) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL, expected a pointer to store the new stack");
    GRU_TRY(gru_stack_check_config(config));
    const size_t bytes = sizeof(gru_stack) + (size_t)config->count * sizeof(gru_stacked_layer);
    gru_stack *result = gru_host_allocate(context, bytes, "the stack");
    if (!result) return GRU_OUT_OF_MEMORY;
    gru_context_retain(context);
    *result = (gru_stack){.context = context,
                          .bytes = bytes,
                          .io_type = config->layers[0].config.io_type,
                          .state_type = config->layers[0].config.state_type,
                          .dropout = config->dropout};
    for (int32_t k = 0; k < config->count; k++) {
        const gru_status status = create_layer(result, &config->layers[k]);
        if (status == GRU_OK) continue;
        gru_stack_release(result);
        return status;
    }
    *stack = result;
    return GRU_OK;
}

void gru_stack_release(gru_stack *stack) {
    if (!stack) return;
    gru_context *context = stack->context;
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < 2; d++) {
            gru_free(context, stack->layers[k].initial_states[d]);
            gru_layer_release(stack->layers[k].sublayers[d]);
        }
    gru_host_free(context, stack, stack->bytes);
    gru_context_release(context);
}

/* ---- description ---- */

int32_t gru_stack_sublayers(const gru_stack *stack) {
    return stack ? stack->sublayer_count : 0;
}

int32_t gru_stack_inputs(const gru_stack *stack) {
    return stack ? stack->layers[0].inputs : 0;
}

int32_t gru_stack_outputs(const gru_stack *stack) {
    return stack ? stack->layers[stack->count - 1].outputs : 0;
}

gru_status gru_stack_describe(const gru_stack *stack, gru_stack_config *config, gru_stack_layer *layers) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL, expected a gru_stack_config to fill in");
    *config = (gru_stack_config){.count = stack->count, .dropout = stack->dropout};
    for (int32_t k = 0; layers && k < stack->count; k++) {
        const gru_stacked_layer *layer = &stack->layers[k];
        layers[k] = (gru_stack_layer){.config = layer->sublayers[0]->config,
                                      .bidirectional = layer->directions == 2,
                                      .merge = layer->merge};
        if (!layer->alike) layers[k].reverse_config = layer->sublayers[1]->config;
    }
    return GRU_OK;
}

gru_status gru_stack_sublayer(const gru_stack *stack, int32_t k, gru_layer_config *config,
                              gru_layer **layer) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (k < 0 || k >= stack->sublayer_count)
        return gru_fail(GRU_BAD_ARGUMENT, "k is %d, expected 0 to %d, a sublayer of the stack", k,
                        stack->sublayer_count - 1);
    const gru_stacked_layer *owner = stack->layers;
    while (k >= owner->first_sublayer + owner->directions) owner++;
    gru_layer *sublayer = owner->sublayers[k - owner->first_sublayer];
    if (config) *config = sublayer->config;
    if (layer) *layer = sublayer;
    return GRU_OK;
}

gru_status gru_stack_sizes(const gru_stack *stack, int64_t T, int64_t N, gru_sizes *sizes) {
    gru_stack_layout layout;
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!sizes) return gru_fail(GRU_BAD_ARGUMENT, "sizes is NULL, expected a gru_sizes to fill in");
    if (T < 0) return gru_fail(GRU_BAD_ARGUMENT, "T is %lld, expected 0 or more", (long long)T);
    if (N < 0) return gru_fail(GRU_BAD_ARGUMENT, "N is %lld, expected 0 or more", (long long)N);
    GRU_TRY(gru_stack_layout_of(stack, T, N, GRU_TRAIN_RECOMPUTE, &layout));
    const size_t reserve_recompute = layout.total.reserve;
    GRU_TRY(gru_stack_layout_of(stack, T, N, GRU_TRAIN, &layout));
    *sizes = layout.total;
    sizes->reserve_recompute = reserve_recompute;
    return GRU_OK;
}

gru_status gru_stack_allocate(const gru_stack *stack, gru_run *run) {
    gru_sizes sizes;
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    GRU_TRY(gru_run_check_empty(run));
    GRU_TRY(gru_stack_sizes(stack, run->T, run->N, &sizes));
    return gru_run_allocate(stack->context, &sizes, run);
}

/* ---- update ---- */

typedef gru_status (*visitor)(gru_layer *layer, const gru_weights *weights, void *stream);

static gru_status check_weights(gru_layer *layer, const gru_weights *weights, void *stream) {
    (void)stream;
    return gru_check_weights(layer, weights);
}

static gru_status visit_sublayers(gru_stack *stack, const gru_weights *weights, void *stream, visitor visit) {
    for (int32_t k = 0; k < stack->count; k++)
        for (int32_t d = 0; d < stack->layers[k].directions; d++) {
            const gru_status status =
                visit(stack->layers[k].sublayers[d], &weights[stack->layers[k].first_sublayer + d], stream);
            if (status != GRU_OK) return gru_stack_sublayer_failed(stack, k, d, status);
        }
    return GRU_OK;
}

gru_status gru_stack_update(gru_stack *stack, const gru_weights *weights, void *stream) {
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL");
    if (!weights)
        return gru_fail(GRU_BAD_ARGUMENT, "weights is NULL, expected [%d], one for each sublayer",
                        stack->sublayer_count);
    GRU_TRY(visit_sublayers(stack, weights, stream, check_weights));
    return visit_sublayers(stack, weights, stream, gru_layer_update);
}
