/* cpu_backward_state.h: the data of a backward call and of one of its threads, and the addresses of its rows. */
#ifndef GRU_CPU_BACKWARD_STATE_H
#define GRU_CPU_BACKWARD_STATE_H

#include "core/reserve.h"
#include "cpu_kernels.h"
#include "cpu_operands.h"
#include "cpu_phases.h"
#include "cpu_reserve.h"
#include "cpu_slice.h"

/* Rows whose weight gradients are summed in one pass: their columns for one panel, 36 KiB, stay in a level 1 cache of 48
 * KiB. */
enum { SUMMED_ROWS = 192 };

/* Step s of row n, and its time t. */
typedef struct gru_cpu_row_coord {
    int64_t s, t, n;
} gru_cpu_row_coord;

typedef struct gru_cpu_backward_call {
    const gru_layer *layer;
    const gru_run *run;
    const gru_gradients *gradients;
    const gru_cpu_kernels *kernels;
    gru_cpu_operands operands;
    gru_cpu_schedule schedule;
    size_t I, H, padded_I, padded_H;           /* padded: to whole panels */
    size_t pitch_I, pitch_H, pitch_a, pitch_d; /* of rows of inputs, of units, of a and of d_gates */
    gru_timeline timeline;
    int64_t steps;     /* of the longest row */
    int data, weights; /* the parts of gru_gradients.parts that this call computes */
    int saved;         /* the reserve holds the saved activations */

    gru_phases *phases;       /* NULL: one thread */
    gru_phase_claims *claims; /* for each thread */
    real *R;                  /* R transposed: panels of up to 3 blocks of 16 outputs; k: n, r, z */
    real *W;                  /* W transposed in the same way; k: r, z, n */
    real *dh, *drh;           /* [N][pitch_H] */
    real *dh_restart;         /* [N][pitch_H] */
    real *dy;                 /* [N][pitch_H] 16-bit dy of a step, as f32 */
    real *dattention;         /* [2][N][P] of even and odd steps: summands of the gradient of attention */
    real *sum_W,
        *sum_R; /* [3H][pitch_W], [3H][pitch_R] sums of weight gradients so far; or dW, dR themselves */
    size_t pitch_W, pitch_R;
    double *bias_totals; /* [4][H] in the order of D_...: sums of bias gradients so far */
    real *sum_bias;      /* [4][H] the same, rounded */
    real *d_gates;       /* [T][N][pitch_d], or [chunk][N][pitch_d] if no later call reads it: [4][H] */
    real *d_gates_t;     /* [4][H][pitch] transposed, of at most SUMMED_ROWS rows */
    size_t d_gates_t_pitch;
    real *x;          /* [chunk][N][pitch_I] 16-bit x, as f32 */
    real *a;          /* [chunk][N][pitch_a] W x + bW, recomputed: [P][3][16] */
    real *recomputed; /* [chunk][N][P][4][16] activations that the reserve does not hold */
    real *rh;         /* [chunk][N][pitch_H] r h, recomputed, BEFORE */
    char *scratch;    /* of each thread */
    size_t list_rows; /* in a thread's lists */
    void *times;      /* of the timeline */
} gru_cpu_backward_call;

/* The work of one thread. */
typedef struct gru_cpu_backward_work {
    const gru_cpu_backward_call *call;
    gru_phase_member member;
    gru_cpu_slice slice;        /* of the current part */
    int64_t begin, end;         /* steps of the current chunk */
    int64_t step;               /* the current one, of a phase that is part of a step */
    int64_t first_coord;        /* the first of those that the current phase sums */
    int overwrite;              /* it sets the sums */
    gru_cpu_backward_rows rows; /* of a step */
    gru_cpu_row_coord
        *coords; /* [coord_count] the steps of all rows in the chunk, in the order of the sums */
    int64_t coord_count;
    const real **pointers; /* [list_rows] */
    real *columns;         /* [SUMMED_ROWS][3][16] columns of x, h or r h */
    real *discard;         /* [2][16] outputs of the recomputed cell that nobody reads */
} gru_cpu_backward_work;

static inline void gru_cpu_choose_part(gru_cpu_backward_work *work, int32_t part) {
    const gru_cpu_backward_call *call = work->call;
    work->slice = gru_cpu_slice_of(&call->schedule, &call->timeline, call->layer->config.hidden, part);
}

static inline size_t gru_cpu_chunk_row(const gru_cpu_backward_work *work, int64_t s, int64_t n) {
    return (size_t)(s - work->begin) * (size_t)work->call->run->N + (size_t)n;
}

static inline real *gru_cpu_d_gates_row(const gru_cpu_backward_work *work, int64_t s, int64_t n) {
    const gru_cpu_backward_call *call = work->call;
    const int passing = call->data && call->weights;
    const size_t row = passing ? gru_cpu_chunk_row(work, s, n) : (size_t)s * (size_t)call->run->N + (size_t)n;
    return call->d_gates + row * call->pitch_d;
}

static inline real *gru_cpu_saved_row(const gru_cpu_backward_work *work, int64_t s, int64_t n) {
    const gru_cpu_backward_call *call = work->call;
    if (call->saved) return gru_cpu_reserve_saved(call->layer, call->run, s, n);
    return call->recomputed + gru_cpu_chunk_row(work, s, n) * call->padded_H * SAVED;
}

/* The entering state. */
static inline const real *gru_cpu_h_row(const gru_cpu_backward_work *work, int64_t s, int64_t n) {
    return (const real *)gru_reserve_states(work->call->run) +
           gru_reserve_index(work->call->layer, work->call->run, s, n);
}

static inline const real *gru_cpu_x_row(const gru_cpu_backward_work *work, const gru_cpu_row_coord *coord) {
    const gru_const_view *x = &work->call->run->x;
    if (work->call->layer->config.io_type != REAL_TYPE)
        return work->call->x + gru_cpu_chunk_row(work, coord->s, coord->n) * work->call->pitch_I;
    return (const real *)x->data + GRU_ROW(*x, coord->t, coord->n);
}

/* Whether the row is in the thread's slice. */
static inline int gru_cpu_owns_row(const gru_cpu_backward_work *work, const gru_cpu_row_coord *coord) {
    return coord->n >= work->slice.row_begin && coord->n < work->slice.row_end;
}

/* Blocks of 16 outputs in the panel that begins at `block`, with `end` blocks in all: up to 3. */
static inline int32_t gru_cpu_blocks_at(size_t block, size_t end) {
    return end - block < GATES ? (int32_t)(end - block) : GATES;
}

#endif
