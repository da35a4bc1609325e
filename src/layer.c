/* layer.c: creates layers: checks the variant, finds its engines, packs the weights. */
#include "layer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check_overlap.h"
#include "engine.h"
#include "error.h"
#include "number.h"
#include "registry.h"

enum { MAX_UNITS = 1 << 24 }; /* keeps every product of two sizes and a type within 63 bits */

static gru_status check_choice(const char *name, int32_t value, int32_t last) {
    if (value >= 0 && value <= last) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "config.%s is %d, expected 0 to %d", name, value, last);
}

static gru_status check_types(const gru_layer_config *config) {
    const int32_t io = config->io_type, state = config->state_type, weight = config->weight_type;
    GRU_TRY(check_choice("io_type", io, GRU_F64));
    GRU_TRY(check_choice("state_type", state, GRU_F64));
    GRU_TRY(check_choice("weight_type", weight, GRU_INT8));
    if ((io == GRU_F64) != (weight == GRU_F64) || (io == GRU_F64) != (state == GRU_F64))
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "config.io_type is %s, state_type %s and weight_type %s: f64 goes with f64 in all three",
            gru_type_name(io), gru_type_name(state), gru_type_name(weight));
    if (state != GRU_F32 && state != io)
        return gru_fail(GRU_BAD_ARGUMENT, "config.state_type is %s, expected f32 or io_type, which is %s",
                        gru_type_name(state), gru_type_name(io));
    return GRU_OK;
}

static gru_status check_config(const gru_layer_config *config) {
    if (config->inputs < 0 || config->inputs > MAX_UNITS)
        return gru_fail(GRU_BAD_ARGUMENT, "config.inputs is %d, expected 0 to %d", config->inputs, MAX_UNITS);
    if (config->hidden < 1 || config->hidden > MAX_UNITS)
        return gru_fail(GRU_BAD_ARGUMENT, "config.hidden is %d, expected 1 to %d", config->hidden, MAX_UNITS);
    GRU_TRY(check_choice("reset", config->reset, GRU_RESET_ALL));
    GRU_TRY(check_choice("update", config->update, GRU_UPDATE_WRITE));
    GRU_TRY(check_choice("gate", config->gate, GRU_GATE_HARD_SIGMOID));
    GRU_TRY(check_choice("candidate", config->candidate, GRU_CANDIDATE_LINEAR));
    GRU_TRY(check_choice("direction", config->direction, GRU_REVERSE));
    GRU_TRY(check_types(config));
    if (!(config->clip >= 0) || isinf(config->clip))
        return gru_fail(GRU_BAD_ARGUMENT, "config.clip is %g, expected a finite number, 0 (none) or more",
                        (double)config->clip);
    if (!(config->hard_slope >= 0) || isinf(config->hard_slope))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.hard_slope is %g, expected a finite number, 0 (for 0.2) or more",
                        (double)config->hard_slope);
    for (int i = 0; i < 8; i++)
        if (config->reserved[i])
            return gru_fail(GRU_BAD_ARGUMENT,
                            "config.reserved[%d] is %llu, expected 0: make the struct with GRU_INIT", i,
                            (unsigned long long)config->reserved[i]);
    return GRU_OK;
}

static gru_status check_aligned(const char *name, const void *data, size_t bytes) {
    if ((uintptr_t)data % bytes == 0) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "weights.%s is %p, expected a multiple of its element size %zu", name,
                    data, bytes);
}

static gru_status check_weights(const gru_layer *layer, const gru_weights *weights) {
    if (!weights) return gru_fail(GRU_BAD_ARGUMENT, "weights is NULL");
    const size_t element = gru_type_bytes(weights->type);
    if (element == 0)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.type is %d, expected GRU_F32 to GRU_INT8", weights->type);
    if (weights->on_device != 0 && weights->on_device != 1)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.on_device is %d, expected 0 or 1", weights->on_device);
    if (weights->on_device && layer->context->config.backend == GRU_BACKEND_CPU)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.on_device is 1, but the context is a CPU, which has only host memory");
    if (!weights->W && layer->config.inputs > 0)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.W is NULL, expected [%d][%d]", 3 * layer->config.hidden,
                        layer->config.inputs);
    if (!weights->R)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.R is NULL, expected [%d][%d]", 3 * layer->config.hidden,
                        layer->config.hidden);
    const int int8 = weights->type == GRU_INT8;
    const int scales = (weights->W_scale != NULL) + (weights->R_scale != NULL);
    if (int8 && (!weights->R_scale || (!weights->W_scale && layer->config.inputs > 0)))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.%s is NULL, expected a scale for each of %d rows with GRU_INT8",
                        weights->R_scale ? "W_scale" : "R_scale", 3 * layer->config.hidden);
    if (!int8 && scales)
        return gru_fail(GRU_BAD_ARGUMENT, "weights have scales, which go only with type GRU_INT8");
    GRU_TRY(check_aligned("W", weights->W, element));
    GRU_TRY(check_aligned("R", weights->R, element));
    GRU_TRY(check_aligned("bW", weights->bW, int8 ? sizeof(float) : element));
    GRU_TRY(check_aligned("bR", weights->bR, int8 ? sizeof(float) : element));
    GRU_TRY(check_aligned("W_scale", weights->W_scale, sizeof(float)));
    GRU_TRY(check_aligned("R_scale", weights->R_scale, sizeof(float)));
    for (int i = 0; i < 4; i++)
        if (weights->reserved[i])
            return gru_fail(GRU_BAD_ARGUMENT,
                            "weights.reserved[%d] is %llu, expected 0: make the struct with GRU_INIT", i,
                            (unsigned long long)weights->reserved[i]);
    return GRU_OK;
}

/* Whether the layer's engines so far run every size, in the direction asked about. */
static int complete(const gru_layer *layer, int backward) {
    for (int32_t i = 0; i < layer->engine_count; i++)
        if (backward ? layer->engines[i]->backward != NULL : layer->engines[i]->declines_run == NULL)
            return 1;
    return 0;
}

/* Fills layer->engines from those of its backend that accept the variant, best first: down to one that runs every size,
 * and to one that has a backward pass. */
static gru_status choose_engines(gru_layer *layer) {
    const gru_context *context = layer->context;
    char reasons[768] = "";
    const gru_engine *engine;
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL; i++) {
        if (engine->backend != context->backend) continue;
        if (context->config.engine && strcmp(context->config.engine, engine->name) != 0) continue;
        if (complete(layer, 0) && (complete(layer, 1) || !engine->backward)) continue;
        const char *reason = engine->declines(context, &layer->config);
        const size_t used = strlen(reasons);
        if (reason)
            (void)snprintf(reasons + used, sizeof reasons - used, "%s%s: %s", used ? "; " : "", engine->name,
                           reason);
        else if (layer->engine_count < GRU_LAYER_ENGINES)
            layer->engines[layer->engine_count++] = engine;
    }
    return layer->engine_count ? GRU_OK
                               : gru_fail(GRU_UNSUPPORTED, "no engine can run this layer: %s", reasons);
}

const gru_engine *gru_layer_engine(const gru_layer *layer, const gru_run *run) {
    for (int32_t i = 0; i < layer->engine_count; i++) {
        const gru_engine *engine = layer->engines[i];
        if (!engine->declines_run || !run || !engine->declines_run(layer, run)) return engine;
    }
    return NULL;
}

gru_status gru_layer_forward_engine(const gru_layer *layer, const gru_run *run, const gru_engine **engine) {
    *engine = gru_layer_engine(layer, run);
    if (*engine) return GRU_OK;
    return gru_fail(GRU_UNSUPPORTED, "no engine runs T %lld, N %lld: %s", (long long)run->T,
                    (long long)run->N, gru_engine_reasons(layer, run));
}

gru_status gru_layer_backward_engine(const gru_layer *layer, const gru_engine **engine) {
    for (int32_t i = 0; i < layer->engine_count; i++) {
        *engine = layer->engines[i];
        if ((*engine)->backward) return GRU_OK;
    }
    return gru_fail(GRU_UNSUPPORTED, "engine %s, which the context insists on, has no backward pass",
                    layer->engines[0]->name);
}

gru_status gru_layer_create(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                            gru_layer **layer) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL");
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL, expected a place for the new layer");
    GRU_TRY(check_config(config));
    gru_layer draft = {.context = context, .config = *config};
    if (draft.config.hard_slope == 0) draft.config.hard_slope = 0.2f;
    GRU_TRY(check_weights(&draft, weights));
    GRU_TRY(choose_engines(&draft));
    draft.packed_bytes = context->backend->packed_bytes(&draft.config);
    gru_layer *fresh = gru_host_allocate(context, sizeof *fresh, "the layer");
    if (!fresh) return GRU_OUT_OF_MEMORY;
    gru_status status = gru_allocate(context, draft.packed_bytes, &draft.packed);
    if (status == GRU_OK) status = context->backend->pack(&draft, weights, draft.packed, NULL);
    if (status != GRU_OK) {
        gru_free(context, draft.packed);
        gru_host_free(context, fresh, sizeof *fresh);
        return status;
    }
    gru_context_retain(context);
    *fresh = draft;
    *layer = fresh;
    return GRU_OK;
}

void gru_layer_release(gru_layer *layer) {
    if (!layer) return;
    gru_context *context = layer->context;
    gru_free(context, layer->packed);
    gru_host_free(context, layer, sizeof *layer);
    gru_context_release(context);
}

gru_status gru_layer_describe(const gru_layer *layer, gru_layer_config *config) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL, expected a place for the configuration");
    *config = layer->config;
    return GRU_OK;
}

gru_status gru_layer_update(gru_layer *layer, const gru_weights *weights, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    GRU_TRY(check_weights(layer, weights));
    return layer->context->backend->pack(layer, weights, layer->packed, stream);
}

/* packed is cleared before the weights are read: they may not lie in it. */
static gru_status check_apart(const gru_layer *layer, const gru_weights *weights, const void *packed) {
    const size_t H = (size_t)layer->config.hidden, I = (size_t)layer->config.inputs;
    const size_t element = gru_type_bytes(weights->type);
    const size_t bias = 3 * H * (weights->type == GRU_INT8 ? sizeof(float) : element);
    gru_regions regions = {.count = 0};
    gru_regions_add(&regions, "weights.W", weights->W, 3 * H * I * element, 0);
    gru_regions_add(&regions, "weights.R", weights->R, 3 * H * H * element, 0);
    gru_regions_add(&regions, "weights.bW", weights->bW, bias, 0);
    gru_regions_add(&regions, "weights.bR", weights->bR, bias, 0);
    gru_regions_add(&regions, "weights.W_scale", weights->W_scale, 3 * H * sizeof(float), 0);
    gru_regions_add(&regions, "weights.R_scale", weights->R_scale, 3 * H * sizeof(float), 0);
    gru_regions_add(&regions, "packed", packed, layer->packed_bytes, 1);
    return gru_regions_check(&regions);
}

gru_status gru_layer_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    GRU_TRY(check_weights(layer, weights));
    if (!packed || (uintptr_t)packed % 64)
        return gru_fail(GRU_BAD_ARGUMENT, "packed is %p, expected %zu bytes aligned to 64", packed,
                        layer->packed_bytes);
    GRU_TRY(check_apart(layer, weights, packed));
    return layer->context->backend->pack(layer, weights, packed, stream);
}

size_t gru_layer_workspace(const gru_layer *layer, int64_t T, int64_t N, int backward) {
    size_t most = 0;
    for (int32_t i = 0; i < layer->engine_count; i++) {
        const gru_engine *engine = layer->engines[i];
        if (backward && !engine->backward) continue;
        const size_t bytes =
            backward ? engine->backward_workspace(layer, T, N) : engine->workspace(layer, T, N);
        if (bytes > most) most = bytes;
    }
    return most;
}

gru_status gru_layer_memory(const gru_layer *layer, int64_t T, int64_t N, gru_memory *memory) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!memory) return gru_fail(GRU_BAD_ARGUMENT, "memory is NULL, expected a place for the sizes");
    if (T < 0) return gru_fail(GRU_BAD_ARGUMENT, "T is %lld, expected 0 or more", (long long)T);
    if (N < 0) return gru_fail(GRU_BAD_ARGUMENT, "N is %lld, expected 0 or more", (long long)N);
    gru_memory need = {.packed = layer->packed_bytes};
    need.reserve = layer->context->backend->reserve_bytes(&layer->config, T, N);
    need.workspace = gru_layer_workspace(layer, T, N, 0);
    need.backward_workspace = gru_layer_workspace(layer, T, N, 1);
    if (need.reserve == SIZE_MAX || need.workspace == SIZE_MAX || need.backward_workspace == SIZE_MAX)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "T is %lld and N is %lld: with H %d this needs more bytes than there are addresses",
                        (long long)T, (long long)N, layer->config.hidden);
    *memory = need;
    return GRU_OK;
}
