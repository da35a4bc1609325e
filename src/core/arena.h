/* arena.h: hands out memory piece by piece, each on a cache line of its own. Without memory it only measures, so that one
 * function says both how large the memory is and where its arrays lie. */
#ifndef GRU_ARENA_H
#define GRU_ARENA_H

#include "number.h"

typedef struct gru_arena {
    char *base; /* NULL: only measured */
    size_t used;
} gru_arena;

static inline void *gru_arena_take(gru_arena *arena, size_t bytes) {
    void *memory = arena->base ? arena->base + arena->used : NULL;
    arena->used = gru_size_plus(arena->used, gru_size_lines(bytes));
    return memory;
}

#endif
