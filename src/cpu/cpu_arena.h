/* cpu_arena.h: hands out a workspace piece by piece, each on a cache line of its own. Without memory it only measures, so
 * that one function says both how large a workspace is and where its arrays lie. */
#ifndef GRU_CPU_ARENA_H
#define GRU_CPU_ARENA_H

#include "core/number.h"

typedef struct gru_cpu_arena {
    char *base; /* NULL: only measured */
    size_t used;
} gru_cpu_arena;

static inline void *gru_cpu_take(gru_cpu_arena *arena, size_t bytes) {
    void *memory = arena->base ? arena->base + arena->used : NULL;
    arena->used = gru_size_plus(arena->used, gru_size_lines(bytes));
    return memory;
}

static inline float *gru_cpu_take_floats(gru_cpu_arena *arena, size_t rows, size_t row) {
    return gru_cpu_take(arena, gru_size_times(rows, row * sizeof(float)));
}

/* Floats from a row to the next where rows are read side by side: an odd number of cache lines, so that no two of 64
 * neighbours share a set of a level 1 cache. */
static inline size_t gru_cpu_row_pitch(size_t floats) {
    return ((floats + 15) / 16 | 1) * 16;
}

/* [count] pointers to rows. */
static inline void *gru_cpu_take_pointers(gru_cpu_arena *arena, size_t count) {
    return gru_cpu_take(arena, gru_size_times(count, sizeof(float *)));
}

#endif
