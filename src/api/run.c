/* run.c: the calls that run a layer: check, plan, run. */
#include "check_run.h"
#include "core/error.h"
#include "selection.h"

gru_status gru_layer_forward(const gru_layer *layer, const gru_run *run) {
    gru_run checked;
    gru_plan plan;
    GRU_TRY(gru_check_forward(layer, run, &checked));
    const gru_job job = {layer, &checked, NULL};
    GRU_TRY(gru_plan_jobs(GRU_PASS_FORWARD, &job, 1, &plan));
    return gru_plan_run(&plan, &job);
}

gru_status gru_layer_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    gru_run checked;
    gru_gradients checked_gradients;
    gru_plan plan;
    GRU_TRY(gru_check_backward(layer, run, gradients, &checked, &checked_gradients));
    const gru_job job = {layer, &checked, &checked_gradients};
    GRU_TRY(gru_plan_jobs(GRU_PASS_BACKWARD, &job, 1, &plan));
    return gru_plan_run(&plan, &job);
}
