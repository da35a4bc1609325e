/* timeline.h: which steps each row of a call has, and the time of each: whole rows, lengths, a mask and ragged batches look
 * alike to the CPU engines.
 *
 * A masked step is as if it were not there, so a row with k steps runs as one of length k, whose step s lies at time
 * time(s). In a ragged batch the views of a run are one long sequence (batch_stride 0), and time(s) is a row of it. */
#ifndef GRU_TIMELINE_H
#define GRU_TIMELINE_H

#include "layout.h"

typedef struct gru_timeline {
    int64_t T, N;
    int32_t direction;
    const int32_t *counts; /* [N] steps of each row; NULL: all T */
    const int32_t *
        times; /* [T][N] time of step s of row n. Past a row's last step: the times of its absent steps in any
                              order, or -1, where the tensors have no such row. NULL: by direction and count */
    gru_const_view restart;
} gru_timeline;

/* Bytes of the memory that gru_timeline_of takes; SIZE_MAX: too large. */
size_t gru_timeline_bytes(int64_t T, int64_t N);
/* Of a checked run of a layer in this direction. It points into memory, which only a mask or a ragged batch writes. */
gru_timeline gru_timeline_of(const gru_run *run, int32_t direction, void *memory);

/* Steps of row n; of the longest row, 0 without rows. */
static inline int64_t gru_timeline_steps(const gru_timeline *line, int64_t n) {
    return line->counts ? line->counts[n] : line->T;
}

int64_t gru_timeline_longest(const gru_timeline *line);

/* The time of step s of row n, s < T: past its last step that of an absent step, or -1. */
static inline int64_t gru_timeline_time(const gru_timeline *line, int64_t s, int64_t n) {
    if (line->times) return line->times[s * line->N + n];
    const int64_t count = gru_timeline_steps(line, n);
    return s < count ? gru_step_time(line->direction, count, s) : s;
}

/* Whether step s of row n, one of its steps, starts a new segment. A forward layer looks at the step itself, a reverse layer
 * at the step it comes from, because a segment begins with its earliest step. */
static inline int gru_timeline_restarts(const gru_timeline *line, int64_t s, int64_t n) {
    if (!line->restart.data) return 0;
    if (line->direction == GRU_REVERSE) {
        if (s == 0) return 0;
        s -= 1;
    }
    return ((const uint8_t *)line->restart.data)[GRU_ROW(line->restart, gru_timeline_time(line, s, n), n)] !=
           0;
}

#endif
