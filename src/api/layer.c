/* layer.c: creates layers: finds the engines of the variant, packs the weights, adds up the memory. */
#include "core/layer.h"

#include <stdio.h>
#include <string.h>

#include "check_layer.h"
#include "core/engine.h"
#include "core/error.h"
#include "registry.h"

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
        if (!engine->declines_run || (run && !engine->declines_run(layer, run))) return engine;
    }
    return run ? NULL : layer->engines[layer->engine_count - 1];
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

/* What a draft acquired so far, also half of it. */
static void discard(gru_layer *draft) {
    const gru_backend *backend = draft->context->backend;
    gru_free(draft->context, draft->packed);
    if (backend->forget) backend->forget(draft);
}

/* Gives a checked draft its engines, memory and weights, which have been read when this returns. */
static gru_status fill(gru_layer *draft, const gru_weights *weights) {
    gru_context *context = draft->context;
    const gru_backend *backend = context->backend;
    GRU_TRY(choose_engines(draft));
    if (backend->prepare) GRU_TRY(backend->prepare(draft));
    draft->packed_bytes = backend->packed_bytes(&draft->config);
    draft->step_workspace = gru_layer_workspace(draft, 1, 1, 0);
    GRU_TRY(gru_allocate(context, draft->packed_bytes, &draft->packed));
    GRU_TRY(backend->pack(draft, weights, draft->packed, NULL));
    return gru_wait(context, NULL);
}

gru_status gru_layer_create(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                            gru_layer **layer) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL");
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL, expected a place for the new layer");
    GRU_TRY(gru_check_layer_config(config));
    gru_layer draft = {.context = context, .config = *config};
    if (draft.config.hard_slope == 0) draft.config.hard_slope = 0.2f;
    GRU_TRY(gru_check_weights(&draft, weights));
    gru_layer *fresh = gru_host_allocate(context, sizeof *fresh, "the layer");
    if (!fresh) return GRU_OUT_OF_MEMORY;
    const gru_status status = fill(&draft, weights);
    if (status != GRU_OK) {
        discard(&draft);
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
    discard(layer);
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
    GRU_TRY(gru_check_weights(layer, weights));
    return layer->context->backend->pack(layer, weights, layer->packed, stream);
}

gru_status gru_layer_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    GRU_TRY(gru_check_weights(layer, weights));
    if (!packed || (uintptr_t)packed % 64)
        return gru_fail(GRU_BAD_ARGUMENT, "packed is %p, expected %zu bytes aligned to 64", packed,
                        layer->packed_bytes);
    GRU_TRY(gru_check_weights_apart(layer, weights, packed));
    return layer->context->backend->pack(layer, weights, packed, stream);
}

size_t gru_layer_workspace(const gru_layer *layer, int64_t T, int64_t N, int backward) {
    size_t most = 0;
    if (T == 1 && N == 1 && !backward && layer->step_workspace) return layer->step_workspace;
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
