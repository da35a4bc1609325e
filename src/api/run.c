/* run.c: the calls that run a layer: check, choose the engine, call it. */
#include <stdio.h>
#include <string.h>

#include "check_run.h"
#include "core/engine.h"
#include "core/error.h"
#include "registry.h"

gru_status gru_forward(const gru_layer *layer, const gru_run *run) {
    gru_run resolved;
    GRU_TRY(gru_check_forward(layer, run, &resolved));
    const gru_engine *engine;
    GRU_TRY(gru_layer_forward_engine(layer, &resolved, &engine));
    const gru_job job = {layer, &resolved, NULL};
    return engine->forward(&job, 1);
}

gru_status gru_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    gru_run resolved;
    gru_gradients resolved_gradients;
    GRU_TRY(gru_check_backward(layer, run, gradients, &resolved, &resolved_gradients));
    const gru_engine *engine;
    GRU_TRY(gru_layer_backward_engine(layer, &engine));
    const gru_job job = {layer, &resolved, &resolved_gradients};
    return engine->backward(&job, 1);
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
    const char *declined = engine->declines(context, &layer->config);
    if (!declined && run && engine->declines_run) declined = engine->declines_run(layer, run);
    return declined;
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
