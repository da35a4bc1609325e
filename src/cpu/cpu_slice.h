/* cpu_slice.h: what one thread does of a call: some rows of the batch with all units, or all rows with some panels of units. */
#ifndef GRU_CPU_SLICE_H
#define GRU_CPU_SLICE_H

#include "cpu_layout.h"
#include "cpu_schedule.h"

typedef struct gru_cpu_range {
    size_t begin, end;
} gru_cpu_range;

typedef struct gru_cpu_share {
    int32_t index, threads;
    int by_rows;
    int64_t row_begin, row_end;
    gru_cpu_range panels, units; /* units: of the panels, not past H */
} gru_cpu_share;

/* Part `index` of `parts` nearly equal ones. */
static inline gru_cpu_range gru_cpu_split(size_t count, int32_t index, int32_t parts) {
    const size_t i = (size_t)index, n = (size_t)parts;
    return (gru_cpu_range){count * i / n, count * (i + 1) / n};
}

static inline gru_cpu_share gru_cpu_share_of(const gru_cpu_plan *plan, int64_t N, int32_t hidden,
                                             int32_t index) {
    gru_cpu_share share = {.index = index, .threads = plan->threads, .by_rows = plan->by_rows, .row_end = N};
    share.panels.end = gru_cpu_panels(hidden);
    if (plan->by_rows) {
        share.row_begin = N * index / plan->threads;
        share.row_end = N * (index + 1) / plan->threads;
    } else {
        share.panels = gru_cpu_split(share.panels.end, index, plan->threads);
    }
    share.units.begin = share.panels.begin * PANEL;
    share.units.end = share.panels.end * PANEL < (size_t)hidden ? share.panels.end * PANEL : (size_t)hidden;
    return share;
}

#endif
