/* run.c: the calls that run a layer: check, choose the engine, call it. */
#include "check_run.h"
#include "core/engine.h"
#include "core/error.h"
#include "selection.h"

gru_status gru_layer_forward(const gru_layer *layer, const gru_run *run) {
    gru_run resolved;
    GRU_TRY(gru_check_forward(layer, run, &resolved));
    const gru_engine *engine;
    GRU_TRY(gru_layer_forward_engine(layer, &resolved, &engine));
    const gru_job job = {layer, &resolved, NULL};
    return engine->forward(&job, 1);
}

gru_status gru_layer_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    gru_run resolved;
    gru_gradients resolved_gradients;
    GRU_TRY(gru_check_backward(layer, run, gradients, &resolved, &resolved_gradients));
    const gru_engine *engine;
    GRU_TRY(gru_layer_backward_engine(layer, &engine));
    const gru_job job = {layer, &resolved, &resolved_gradients};
    return engine->backward(&job, 1);
}
