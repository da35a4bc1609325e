/* selection.c: chooses among the engines: those of a layer, that of a call, and why not the others. */
#include "selection.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "registry.h"

/* ---- the engines of a layer ---- */

/* Whether one of the layer's engines so far runs every size of this pass. */
static int is_complete(const gru_layer *layer, gru_pass pass) {
    for (int32_t i = 0; i < layer->engine_count; i++)
        if (layer->engines[i]->any_size && layer->engines[i]->passes[pass].plan) return 1;
    return 0;
}

static int is_wanted(const gru_layer *layer, const gru_engine *engine) {
    const char *forced = layer->context->config.engine;
    if (engine->backend != layer->context->backend) return 0;
    if (forced && strcmp(forced, engine->name) != 0) return 0;
    return !is_complete(layer, GRU_PASS_FORWARD) ||
           (engine->passes[GRU_PASS_BACKWARD].plan && !is_complete(layer, GRU_PASS_BACKWARD));
}

/* Why the engine cannot run such a layer; NULL: it can. */
static const char *declined(const gru_engine *engine, const gru_context *context,
                            const gru_layer_config *config) {
    if (config->weight_type == GRU_INT8 && !engine->has_int8)
        return "int8 packed weights run on CPUs only; int8 weights can be packed as f32, f16 or bf16";
    if (config->io_type == GRU_F64 && !engine->has_f64) return "f64 runs on CPUs only";
    return engine->declines ? engine->declines(engine, context, config) : NULL;
}

gru_status gru_layer_choose_engines(gru_layer *layer) {
    char reasons[768] = "";
    const gru_engine *engine;
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL; i++) {
        if (!is_wanted(layer, engine)) continue;
        const char *reason = declined(engine, layer->context, &layer->config);
        const size_t used = strlen(reasons);
        assert(layer->engine_count < GRU_LAYER_ENGINES);
        if (reason)
            (void)snprintf(reasons + used, sizeof reasons - used, "%s%s: %s", used ? "; " : "", engine->name,
                           reason);
        else
            layer->engines[layer->engine_count++] = engine;
    }
    return layer->engine_count ? GRU_OK
                               : gru_fail(GRU_UNSUPPORTED, "no engine can run this layer: %s", reasons);
}

size_t gru_layer_workspace(const gru_layer *layer, int64_t T, int64_t N, gru_pass pass) {
    size_t most = 0;
    if (T == 1 && N == 1 && pass == GRU_PASS_FORWARD && layer->step_workspace) return layer->step_workspace;
    for (int32_t i = 0; i < layer->engine_count; i++) {
        const gru_engine *engine = layer->engines[i];
        if (i > 0 && engine->passes == layer->engines[i - 1]->passes) continue; /* the same functions */
        const size_t bytes = engine->passes[pass].plan ? engine->passes[pass].workspace(layer, T, N) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

/* ---- the engine of a call ---- */

/* NULL and the plan, whose pass and count are set; or the reason. */
static const char *plan_with(const gru_engine *engine, const gru_job *jobs, gru_plan *plan) {
    const gru_engine_pass *pass = &engine->passes[plan->pass];
    plan->engine = engine;
    return pass->plan ? pass->plan(jobs, plan) : "it has no backward pass";
}

/* The first of the layer's engines that plans these jobs, or NULL. */
static const gru_engine *plan_jobs(const gru_job *jobs, gru_plan *plan) {
    const gru_layer *layer = jobs[0].layer;
    assert(plan->count == 1 || (jobs[1].layer->engine_count == layer->engine_count &&
                                jobs[1].run->T == jobs[0].run->T && jobs[1].run->N == jobs[0].run->N));
    for (int32_t i = 0; i < layer->engine_count; i++)
        if (!plan_with(layer->engines[i], jobs, plan)) return layer->engines[i];
    return NULL;
}

/* Why this engine does not run these jobs; jobs NULL: any. */
static const char *reason(const gru_layer *layer, const gru_engine *engine, const gru_job *jobs,
                          gru_plan *plan) {
    const gru_context *context = layer->context;
    if (engine->backend != context->backend)
        return *context->passed_over ? context->passed_over : "the context has another backend";
    if (context->config.engine && strcmp(engine->name, context->config.engine) != 0)
        return "the context names another engine in config.engine";
    const char *why = declined(engine, context, &layer->config);
    return !why && jobs ? plan_with(engine, jobs, plan) : why;
}

/* A line for each engine before `chosen` that has a reason; chosen NULL: for each of all. This thread's until the next call. */
enum { REASONS = 2048 };
static char *reasons(const gru_layer *layer, const gru_engine *chosen, const gru_job *jobs, gru_plan *plan) {
    static _Thread_local char text[REASONS];
    const gru_engine *engine;
    text[0] = '\0';
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL && engine != chosen; i++) {
        const char *why = reason(layer, engine, jobs, plan);
        const size_t used = strlen(text);
        if (why) (void)snprintf(text + used, sizeof text - used, "%s: %s\n", engine->name, why);
    }
    return text;
}

gru_status gru_plan_jobs(gru_pass pass, const gru_job *jobs, int32_t count, gru_plan *plan) {
    const gru_run *run = jobs[0].run;
    plan->pass = pass;
    plan->count = count;
    if (plan_jobs(jobs, plan)) return GRU_OK;
    return gru_fail(GRU_UNSUPPORTED, "no engine runs T %lld, N %lld %s: %s", (long long)run->T,
                    (long long)run->N, pass == GRU_PASS_FORWARD ? "forward" : "backward",
                    reasons(jobs[0].layer, NULL, jobs, plan));
}

gru_status gru_check_plan(gru_pass pass, const gru_layer *layer, const gru_run *run) {
    const gru_job job = {layer, run, NULL};
    gru_plan plan;
    return is_complete(layer, pass) ? GRU_OK : gru_plan_jobs(pass, &job, 1, &plan);
}

/* ---- what callers ask ---- */

const char *gru_engine_at(int32_t index) {
    const gru_engine *engine = gru_registry_engine(index);
    return engine ? engine->name : NULL;
}

/* The first that runs every size, or else the last. */
static const gru_engine *engine_of_any_run(const gru_layer *layer) {
    for (int32_t i = 0; i < layer->engine_count; i++)
        if (layer->engines[i]->any_size) return layer->engines[i];
    return layer->engines[layer->engine_count - 1];
}

/* No engine is asked about sizes that no run can have, because engines compute with them. */
static const gru_engine *engine_of(const gru_job *job, gru_plan *plan) {
    plan->pass = GRU_PASS_FORWARD;
    plan->count = 1;
    if (!job->run) return engine_of_any_run(job->layer);
    return job->run->T >= 0 && job->run->N >= 0 ? plan_jobs(job, plan) : NULL;
}

const char *gru_engine_name(const gru_layer *layer, const gru_run *run) {
    const gru_job job = {layer, run, NULL};
    gru_plan plan;
    const gru_engine *engine = layer ? engine_of(&job, &plan) : NULL;
    return engine ? engine->name : "";
}

const char *gru_engine_reasons(const gru_layer *layer, const gru_run *run) {
    const gru_job job = {layer, run, NULL};
    gru_plan plan;
    if (!layer || (run && (run->T < 0 || run->N < 0))) return "";
    char *text = reasons(layer, engine_of(&job, &plan), run ? &job : NULL, &plan);
    if (layer->context->backend->report)
        layer->context->backend->report(layer, text + strlen(text), REASONS - strlen(text));
    return text;
}
