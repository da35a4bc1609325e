/* layout.h: the order of the gates, and the addresses of rows in the tensors of a call. */
#ifndef GRU_LAYOUT_H
#define GRU_LAYOUT_H

#include "gru/gru.h"
#include "number.h"

enum { GATE_R = 0, GATE_Z = 1, GATE_N = 2, GATES = 3 };

/* Engines get runs whose strides are filled in by the checks: none is zero. */
static inline size_t gru_view_index(int64_t time_stride, int64_t batch_stride, int64_t t, int64_t n) {
    return (size_t)(t * time_stride + n * batch_stride);
}

/* First element of row (t, n) of a view, as an offset in elements. */
#define GRU_ROW(view, t, n) gru_view_index((view).time_stride, (view).batch_stride, (t), (n))

/* One step of one sequence without anything that only some rows or steps have: the call that streaming kernels take. */
static inline int gru_run_is_streaming(const gru_run *run) {
    return run->T == 1 && run->N == 1 && run->mode == GRU_INFERENCE && run->x.data && !run->lengths &&
           !run->restart.data && !run->attention.data;
}

/* Valid steps of row n. */
static inline int64_t gru_run_length(const gru_run *run, int64_t n) {
    return run->lengths ? run->lengths[n] : run->T;
}

/* Steps of the longest row; 0 without rows. */
static inline int64_t gru_run_longest(const gru_run *run) {
    int64_t steps = 0;
    if (!run->lengths) return run->N > 0 ? run->T : 0;
    for (int64_t n = 0; n < run->N; n++)
        if (run->lengths[n] > steps) steps = run->lengths[n];
    return steps;
}

/* The time of step s of a row with this many valid steps. A reverse layer visits them from the last to the first. */
static inline int64_t gru_step_time(int32_t direction, int64_t length, int64_t s) {
    return direction == GRU_REVERSE ? length - 1 - s : s;
}

/* Row of h0 that row n starts from, and row of hT that it ends in. */
static inline int64_t gru_h0_row(const gru_run *run, int64_t n) {
    return run->h0_slots ? run->h0_slots[n] : n;
}

static inline int64_t gru_hT_row(const gru_run *run, int64_t n) {
    return run->hT_slots ? run->hT_slots[n] : n;
}

/* Whether step s of row n starts a new segment. A forward layer looks at the step itself, a reverse layer at the step it
 * comes from, because a segment begins with its earliest step. */
static inline int gru_segment_starts(const gru_run *run, int32_t direction, int64_t length, int64_t s,
                                     int64_t n) {
    if (!run->restart.data) return 0;
    if (direction == GRU_REVERSE) {
        if (s == 0) return 0;
        s -= 1;
    }
    const int64_t t = gru_step_time(direction, length, s);
    return ((const uint8_t *)run->restart.data)[GRU_ROW(run->restart, t, n)] != 0;
}

#endif
