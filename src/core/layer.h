/* layer.h: the weights of one layer in one direction, packed for a backend. */
#ifndef GRU_LAYER_H
#define GRU_LAYER_H

#include "gru/gru.h"

struct gru_engine;

enum { GRU_LAYER_ENGINES = 8 };

struct gru_layer {
    gru_context *context;
    gru_layer_config config;                             /* defaults filled in */
    const struct gru_engine *engines[GRU_LAYER_ENGINES]; /* that can run it, best first */
    int32_t engine_count;
    void *packed; /* backend's layout, packed_bytes of the context's memory; NULL: created without weights */
    size_t packed_bytes;
    void *prepared;        /* the backend's own: what its prepare made; NULL: nothing */
    size_t step_workspace; /* gru_layer_workspace with T = N = 1, which every streaming call needs */
};

/* The weights a run uses. */
static inline const void *gru_run_packed(const gru_layer *layer, const gru_run *run) {
    return run->packed ? run->packed : layer->packed;
}

#endif
