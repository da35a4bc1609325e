/* cpu_slice.h: the slice of one part of a call: some rows of the batch with all units, or all rows with some panels of units. */
#ifndef GRU_CPU_SLICE_H
#define GRU_CPU_SLICE_H

#include <assert.h>

#include "core/timeline.h"
#include "cpu_layout.h"
#include "cpu_schedule.h"

typedef struct gru_cpu_range {
    size_t begin, end;
} gru_cpu_range;

typedef struct gru_cpu_slice {
    int32_t index, threads;
    int by_rows;
    int64_t row_begin, row_end;
    gru_cpu_range panels, units; /* units: of the panels, not past H */
} gru_cpu_slice;

/* Range `index` of `ranges` nearly equal ones. */
static inline gru_cpu_range gru_cpu_split(size_t count, int32_t index, int32_t ranges) {
    const size_t i = (size_t)index, n = (size_t)ranges;
    return (gru_cpu_range){count * i / n, count * (i + 1) / n};
}

/* The first of the rows that range `index` of `ranges` has, if all ranges are to have as many steps. */
static inline int64_t gru_cpu_split_steps(const gru_timeline *line, int32_t index, int32_t ranges) {
    int64_t all = 0, before = 0, n = 0;
    if (!line->counts) return line->N * index / ranges;
    if (index == ranges) return line->N;
    for (int64_t i = 0; i < line->N; i++) all += line->counts[i];
    while (n < line->N && before < all * index / ranges) before += line->counts[n++];
    return n;
}

static inline gru_cpu_slice gru_cpu_slice_of(const gru_cpu_schedule *schedule, const gru_timeline *line,
                                             int32_t hidden, int32_t index) {
    assert(index >= 0 && index < schedule->threads);
    gru_cpu_slice slice = {
        .index = index, .threads = schedule->threads, .by_rows = schedule->by_rows, .row_end = line->N};
    slice.panels.end = gru_cpu_panel_count(hidden);
    if (schedule->by_rows) {
        slice.row_begin = gru_cpu_split_steps(line, index, schedule->threads);
        slice.row_end = gru_cpu_split_steps(line, index + 1, schedule->threads);
    } else {
        slice.panels = gru_cpu_split(slice.panels.end, index, schedule->threads);
    }
    slice.units.begin = slice.panels.begin * PANEL;
    slice.units.end = slice.panels.end * PANEL < (size_t)hidden ? slice.panels.end * PANEL : (size_t)hidden;
    return slice;
}

#endif
