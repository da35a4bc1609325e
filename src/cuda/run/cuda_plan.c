/* cuda_plan.c: plans calls: asks the cost model for the best way of the engine, and whether another engine's is better. */
#include "cuda_plan.h"

#include <math.h>

/* Of the kernels of a pass. */
static const gru_cuda_occupancy *occupancy_of(const gru_layer *layer, gru_pass pass) {
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    return pass == GRU_PASS_FORWARD ? &prepared->occupancy : &prepared->backward_occupancy;
}

static gru_cuda_choice choose(const gru_cuda_step_launcher *launcher, const gru_job *jobs,
                              const gru_plan *plan) {
    const gru_layer *layer = jobs[0].layer;
    const gru_cuda_size size = {gru_cuda_layer_of(layer)->compute_type, jobs[0].run->N, layer->config.hidden,
                                layer->config.reset_mode, plan->count};
    return gru_cuda_choose_directions(launcher->choose[plan->pass], gru_cuda_device_of(layer->context), &size,
                                      occupancy_of(layer, plan->pass));
}

/* NULL, or why the engine does not run the jobs. A context that names an engine gets it wherever it fits. If it fits
 * only forward, the baseline runs backward, which reads the same reserve. */
static const char *decide(const gru_job *jobs, const gru_plan *plan, gru_cuda_plan *own) {
    const gru_cuda_step_launcher *launcher = plan->engine->impl, *baseline = launcher->baseline;
    const int forced = jobs[0].layer->context->config.engine != NULL;
    own->launcher = launcher;
    own->choice = choose(launcher, jobs, plan);
    const int fits = own->choice.seconds < HUGE_VAL;
    if (!baseline || (forced && fits)) return NULL;
    if (!fits && (!forced || plan->pass == GRU_PASS_FORWARD)) return launcher->no_room;
    const gru_cuda_choice other = choose(baseline, jobs, plan);
    if (fits) return own->choice.seconds < other.seconds ? NULL : launcher->slower;
    own->launcher = baseline;
    own->choice = other;
    return NULL;
}

const char *gru_cuda_plan_call(const gru_job *jobs, gru_plan *plan) {
    gru_cuda_plan *own = (gru_cuda_plan *)(void *)plan->own;
    if (plan->pass == GRU_PASS_BACKWARD && !gru_cuda_layer_of(jobs[0].layer)->has_backward)
        return "cuBLASLt has no algorithm for a product of the backward pass";
    const char *reason = decide(jobs, plan, own);
    if (reason) return reason;
    for (int32_t i = 0; i < plan->count; i++) {
        const gru_run *run = jobs[i].run;
        if (plan->pass == GRU_PASS_FORWARD)
            own->layout[i].forward = gru_cuda_workspace_of(jobs[i].layer, run->T, run->N);
        else
            own->layout[i].backward = gru_cuda_backward_workspace_of(jobs[i].layer, run->T, run->N);
    }
    return NULL;
}

gru_cuda_launch_context gru_cuda_launch_context_of(const gru_job *jobs, const gru_plan *plan) {
    const gru_layer *layer = jobs[0].layer;
    return (gru_cuda_launch_context){.compute_type = gru_cuda_layer_of(layer)->compute_type,
                                     .choice = gru_cuda_plan_of(plan)->choice,
                                     .fused_blocks = occupancy_of(layer, plan->pass)->fused_blocks,
                                     .overlap = gru_cuda_device_of(layer->context)->capability >= 90,
                                     .stream = gru_cuda_stream(jobs[0].run->stream)};
}
