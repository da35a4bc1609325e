/* context.h: a device that layers run on. */
#ifndef GRU_CONTEXT_H
#define GRU_CONTEXT_H

#include <stdatomic.h>

#include "gru/gru.h"

struct gru_backend;

struct gru_context {
    atomic_int references; /* the caller's and one for each layer and stack */
    const struct gru_backend *backend;
    gru_context_config config; /* defaults filled in; engine points to engine_name or is NULL */
    char engine_name[32];
    char passed_over[320]; /* why AUTO did not take the backend before this one; "": it was not asked */
    void *device;          /* the backend's own: its threads, or facts about the device */
};

static inline void gru_context_retain(gru_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

#endif
