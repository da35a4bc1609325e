/* cpu_arena.h: arrays of a workspace: numbers, rows that are read side by side, and pointers to rows. */
#ifndef GRU_CPU_ARENA_H
#define GRU_CPU_ARENA_H

#include "core/arena.h"
#include "cpu_real.h"

static inline real *gru_cpu_take_reals(gru_arena *arena, size_t rows, size_t row) {
    return gru_arena_take(arena, gru_size_times(rows, row * sizeof(real)));
}

/* Numbers from a row to the next where rows are read side by side: whole panels of 16, in an odd number of cache lines, so
 * that no two of 64 neighbours share a set of a level 1 cache. */
static inline size_t gru_cpu_row_pitch(size_t numbers) {
    const size_t line = 64 / sizeof(real), lines = (numbers + 15) / 16 * 16 / line;
    return (lines | 1) * line;
}

/* [count] pointers to rows. */
static inline void *gru_cpu_take_pointers(gru_arena *arena, size_t count) {
    return gru_arena_take(arena, gru_size_times(count, sizeof(real *)));
}

#endif
