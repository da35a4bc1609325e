/* jax_plan.c: the list of layers without weights. */
#include "jax_plan.h"

#include <pthread.h>
#include <string.h>

static jax_plan *_Atomic plans; /* grows at its start */
static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER;

static jax_plan *find(const gru_layer_config *config, int32_t threads) {
    jax_plan *plan = atomic_load(&plans);
    while (plan && (plan->threads != threads || memcmp(&plan->config, config, sizeof *config)))
        plan = plan->next;
    return plan;
}

static jax_plan *make(const gru_layer_config *config, int32_t threads) {
    const gru_context_config cpu = {.backend = GRU_BACKEND_CPU, .threads = threads};
    jax_plan *plan = calloc(1, sizeof *plan);
    gru_context *context = NULL;
    if (!plan || gru_context_create(&cpu, &context) != GRU_OK ||
        gru_layer_create(context, config, NULL, &plan->layer) != GRU_OK) {
        gru_context_release(context);
        free(plan);
        return NULL;
    }
    gru_context_release(context); /* the layer keeps it */
    plan->config = *config, plan->threads = threads, plan->next = atomic_load(&plans);
    atomic_store(&plans, plan);
    return plan;
}

jax_plan *jax_plan_of(const gru_layer_config *config, int32_t threads) {
    jax_plan *plan = find(config, threads);
    if (plan) return plan;
    pthread_mutex_lock(&growing);
    plan = find(config, threads); /* another thread may have made it */
    if (!plan) plan = make(config, threads);
    pthread_mutex_unlock(&growing);
    return plan;
}
