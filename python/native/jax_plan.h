/* jax_plan.h: a layer without weights for each configuration that operators are called with. */
#ifndef LIBGRU_JAX_PLAN_H
#define LIBGRU_JAX_PLAN_H

#include <gru/gru.h>

#include "scratch.h"

typedef struct jax_plan {
    gru_layer_config config;
    int32_t threads;
    gru_layer *layer;
    scratch scratch;
    struct jax_plan *next;
} jax_plan;

/* Finds or makes the layer; NULL with gru_last_error() if it cannot be made. It lives as long as the process, so that a call
 * takes no lock. */
jax_plan *jax_plan_of(const gru_layer_config *config, int32_t threads);

#endif
