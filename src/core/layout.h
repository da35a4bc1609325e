/* layout.h: the order of the gates, and the addresses of rows in the tensors of a call. */
#ifndef GRU_LAYOUT_H
#define GRU_LAYOUT_H

#include "gru/gru.h"
#include "number.h"

enum { GATE_R = 0, GATE_Z = 1, GATE_N = 2, GATES = 3 };

/* Engines get runs whose strides the checks have filled in: none is zero, except the batch strides of a ragged batch, whose
 * rows are counted by t alone. */
static inline size_t gru_view_index(int64_t time_stride, int64_t batch_stride, int64_t t, int64_t n) {
    return (size_t)(t * time_stride + n * batch_stride);
}

/* First element of row (t, n) of a view, as an offset in elements. */
#define GRU_ROW(view, t, n) gru_view_index((view).time_stride, (view).batch_stride, (t), (n))

/* Whether the run's views are ragged: rows of a batch one after the other, without absent steps. */
static inline int gru_run_is_ragged(const gru_run *run) {
    return run->offsets != NULL || run->batch_sizes != NULL;
}

/* One step of one sequence without anything that only some rows or steps have: the call that streaming kernels take. */
static inline int gru_run_is_streaming(const gru_run *run) {
    return run->T == 1 && run->N == 1 && run->mode == GRU_INFERENCE && run->x.data && !run->lengths &&
           !run->mask.data && !gru_run_is_ragged(run) && !run->restart.data && !run->attention.data;
}

/* The sequence that is number `place` of a ragged batch by batch_sizes. */
static inline int64_t gru_sequence_at(const gru_run *run, int64_t place) {
    return run->batch_order ? run->batch_order[place] : place;
}

/* Whether row n of a run that is not ragged has a step at time t. */
static inline int gru_run_has_step(const gru_run *run, int64_t t, int64_t n) {
    if (run->mask.data) return ((const uint8_t *)run->mask.data)[GRU_ROW(run->mask, t, n)] != 0;
    return !run->lengths || t < run->lengths[n];
}

/* The time of step s of a row with this many steps and none absent before the last. A reverse layer visits them from the last to the first. */
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

#endif
