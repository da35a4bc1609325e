/* layer.c: creates layers, packs their weights and tells the sizes that their runs need. */
#include "core/layer.h"

#include "check_layer.h"
#include "core/activation.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "run_memory.h"
#include "selection.h"

/* Frees what the layer owns, also if only a part of it was created. */
static void cleanup(gru_layer *layer) {
    const gru_backend *backend = layer->context->backend;
    gru_free(layer->context, layer->packed);
    if (backend->destroy_prepared) backend->destroy_prepared(layer);
}

/* Gives a layer with a checked configuration its engines and, unless weights is NULL, its weights, which have been read
 * when this returns. */
static gru_status fill(gru_layer *layer, const gru_weights *weights) {
    gru_context *context = layer->context;
    const gru_backend *backend = context->backend;
    GRU_TRY(gru_layer_choose_engines(layer));
    if (backend->prepare) GRU_TRY(backend->prepare(layer));
    layer->packed_bytes = backend->packed_bytes(&layer->config);
    layer->step_workspace = gru_layer_workspace(layer, 1, 1, GRU_PASS_FORWARD);
    if (!weights) return GRU_OK;
    GRU_TRY(gru_allocate(context, layer->packed_bytes, &layer->packed));
    GRU_TRY(backend->pack(layer, weights, layer->packed, NULL));
    return gru_wait(context, NULL);
}

gru_status gru_layer_create(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                            gru_layer **layer) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL");
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL, expected a pointer to store the new layer");
    GRU_TRY(gru_check_layer_config(config));
    gru_layer created = {.context = context, .config = *config};
    gru_activations_fill(&created.config);
    if (weights) GRU_TRY(gru_check_weights(&created, weights));
    gru_layer *result = gru_host_allocate(context, sizeof *result, "the layer");
    if (!result) return GRU_OUT_OF_MEMORY;
    const gru_status status = fill(&created, weights);
    if (status != GRU_OK) {
        cleanup(&created);
        gru_host_free(context, result, sizeof *result);
        return status;
    }
    gru_context_retain(context);
    *result = created;
    *layer = result;
    return GRU_OK;
}

void gru_layer_release(gru_layer *layer) {
    if (!layer) return;
    gru_context *context = layer->context;
    cleanup(layer);
    gru_host_free(context, layer, sizeof *layer);
    gru_context_release(context);
}

gru_status gru_layer_describe(const gru_layer *layer, gru_layer_config *config) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL, expected a gru_layer_config to fill in");
    *config = layer->config;
    return GRU_OK;
}

gru_status gru_layer_update(gru_layer *layer, const gru_weights *weights, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!layer->packed)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "layer was created without weights, which each run gives as run.packed");
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

gru_status gru_layer_sizes(const gru_layer *layer, int64_t T, int64_t N, gru_sizes *sizes) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    if (!sizes) return gru_fail(GRU_BAD_ARGUMENT, "sizes is NULL, expected a gru_sizes to fill in");
    if (T < 0) return gru_fail(GRU_BAD_ARGUMENT, "T is %lld, expected 0 or more", (long long)T);
    if (N < 0) return gru_fail(GRU_BAD_ARGUMENT, "N is %lld, expected 0 or more", (long long)N);
    gru_sizes need = {.packed = layer->packed_bytes};
    need.reserve = layer->context->backend->reserve_bytes(&layer->config, T, N, GRU_TRAIN);
    need.reserve_recompute =
        layer->context->backend->reserve_bytes(&layer->config, T, N, GRU_TRAIN_RECOMPUTE);
    need.workspace = gru_layer_workspace(layer, T, N, GRU_PASS_FORWARD);
    need.backward_workspace = gru_layer_workspace(layer, T, N, GRU_PASS_BACKWARD);
    if (need.reserve == SIZE_MAX || need.workspace == SIZE_MAX || need.backward_workspace == SIZE_MAX)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "T is %lld and N is %lld: with H %d this needs more bytes than there are addresses",
                        (long long)T, (long long)N, layer->config.hidden);
    *sizes = need;
    return GRU_OK;
}

gru_status gru_layer_allocate(const gru_layer *layer, gru_run *run) {
    gru_sizes sizes;
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    GRU_TRY(gru_run_check_empty(run));
    GRU_TRY(gru_layer_sizes(layer, run->T, run->N, &sizes));
    return gru_run_allocate(layer->context, &sizes, run);
}
