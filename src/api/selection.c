/* selection.c: chooses among the engines: those of a layer, that of a run, and why not the others. */
#include "selection.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "registry.h"

/* ---- the engines of a layer ---- */

/* Whether the layer's engines so far run every size, in the direction asked about. */
static int complete(const gru_layer *layer, int backward) {
    for (int32_t i = 0; i < layer->engine_count; i++)
        if (backward ? layer->engines[i]->backward != NULL : layer->engines[i]->declines_run == NULL)
            return 1;
    return 0;
}

/* Why the engine cannot run such a layer; NULL: it can. */
static const char *declined(const gru_engine *engine, const gru_context *context,
                            const gru_layer_config *config) {
    if (config->weight_type == GRU_INT8)
        return "int8 packed weights are not built; int8 weights can be packed as f32, f16 or bf16";
    if (config->io_type == GRU_F64 && !engine->has_f64) return "f64 runs on cpu_reference only";
    return engine->declines ? engine->declines(context, config) : NULL;
}

gru_status gru_layer_choose_engines(gru_layer *layer) {
    const gru_context *context = layer->context;
    char reasons[768] = "";
    const gru_engine *engine;
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL; i++) {
        if (engine->backend != context->backend) continue;
        if (context->config.engine && strcmp(context->config.engine, engine->name) != 0) continue;
        if (complete(layer, 0) && (complete(layer, 1) || !engine->backward)) continue;
        const char *reason = declined(engine, context, &layer->config);
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

/* ---- the engine of a run ---- */

const gru_engine *gru_layer_engine(const gru_layer *layer, const gru_run *run) {
    for (int32_t i = 0; i < layer->engine_count; i++) {
        const gru_engine *engine = layer->engines[i];
        if (!engine->declines_run || (run && !engine->declines_run(layer, run))) return engine;
    }
    return run ? NULL : layer->engines[layer->engine_count - 1];
}

const char *gru_engine_at(int32_t index) {
    const gru_engine *engine = gru_registry_engine(index);
    return engine ? engine->name : NULL;
}

const char *gru_engine_name(const gru_layer *layer, const gru_run *run) {
    const gru_engine *engine = layer ? gru_layer_engine(layer, run) : NULL;
    return engine ? engine->name : "";
}

/* Why this engine is not the layer's for this run. */
static const char *reason(const gru_layer *layer, const gru_run *run, const gru_engine *engine) {
    const gru_context *context = layer->context;
    if (engine->backend != context->backend) return "the context is another machine";
    if (context->config.engine && strcmp(engine->name, context->config.engine) != 0)
        return "the context insists on another engine";
    const char *why = declined(engine, context, &layer->config);
    return !why && run && engine->declines_run ? engine->declines_run(layer, run) : why;
}

const char *gru_engine_reasons(const gru_layer *layer, const gru_run *run) {
    static _Thread_local char text[2048];
    const gru_engine *chosen = layer ? gru_layer_engine(layer, run) : NULL;
    const gru_engine *engine;
    text[0] = '\0';
    if (!layer) return text;
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL && engine != chosen; i++) {
        const char *why = reason(layer, run, engine);
        const size_t used = strlen(text);
        if (why) (void)snprintf(text + used, sizeof text - used, "%s: %s\n", engine->name, why);
    }
    return text;
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
