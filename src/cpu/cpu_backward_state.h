/* cpu_backward_state.h: what a backward pass works with, for the whole call and for one thread, and where its rows lie. */
#ifndef GRU_CPU_BACKWARD_STATE_H
#define GRU_CPU_BACKWARD_STATE_H

#include "core/reserve.h"
#include "cpu_kernels.h"
#include "cpu_operands.h"
#include "cpu_reserve.h"
#include "cpu_slice.h"
#include "cpu_threads.h"

/* Rows whose weight gradients are summed in one pass: a strip of so many, 36 KiB, stays in a level 1 cache of 48. */
enum { SUMMED_ROWS = 192 };

/* Number (s, n) of a chunk, and the time of that step. */
typedef struct gru_cpu_place {
    int64_t s, t, n;
} gru_cpu_place;

typedef struct gru_cpu_backward_call {
    const gru_layer *layer;
    const gru_run *run;
    const gru_gradients *gradients;
    const gru_cpu_kernels *kernels;
    gru_cpu_terms terms;
    gru_cpu_plan plan;
    size_t I, H, padded_I, padded_H; /* padded: to whole panels */
    int64_t steps;                   /* of the longest row */
    int data, weights;               /* the parts of this call */
    int kept;                        /* the reserve holds what the cells kept */

    gru_barrier *barrier;
    float *R;             /* [P] panels of outputs, in strips: [3H][outputs], terms in the order n, r, z */
    float *W;             /* the same of W, terms in the order r, z, n */
    float *dh, *drh;      /* [N][padded_H] */
    float *dh_restart;    /* [N][padded_H] */
    float *dy;            /* [N][padded_H] 16-bit dy of a step, widened */
    float *dattention;    /* [2][N][P] parts of an even, an odd step's gradients of attention */
    float *sum_W, *sum_R; /* [3H][padded_I], [3H][padded_H] the weights' gradients so far */
    float *sum_bias;      /* [4][H] in the order of D_... */
    float *d;             /* [T][N][4][H], or that of the chunk at hand when no later call reads it */
    float *d_columns;     /* [4][H][pitch] of SUMMED_ROWS rows at most */
    size_t d_pitch;
    float *x;         /* [chunk][N][I] 16-bit x, widened */
    float *a;         /* [chunk][N][P][3][16] W x + bW, computed again */
    float *again;     /* [chunk][N][P][4][16] what the cells would have kept */
    float *rh;        /* [chunk][N][padded_H] r h, BEFORE, computed again */
    char *scratch;    /* of each thread */
    size_t list_rows; /* in a thread's lists */
} gru_cpu_backward_call;

/* What one thread works with. */
typedef struct gru_cpu_backward_part {
    const gru_cpu_backward_call *f;
    gru_cpu_share share;
    int64_t begin, end;      /* steps of the chunk at hand */
    gru_cpu_sweep_rows rows; /* of a step */
    gru_cpu_place *places;   /* [place_count] the steps of all rows in the chunk, in the order of the sums */
    int64_t place_count;
    const float **pointers; /* [list_rows] */
    float *strip;           /* [SUMMED_ROWS][3][16] columns of x, h or r h */
    float *unused;          /* [2][padded_H] what a recomputed cell writes and nobody reads */
} gru_cpu_backward_part;

static inline void gru_cpu_backward_meet(const gru_cpu_backward_part *p) {
    gru_barrier_wait(p->f->barrier, p->share.threads);
}

static inline size_t gru_cpu_chunk_row(const gru_cpu_backward_part *p, int64_t s, int64_t n) {
    return (size_t)(s - p->begin) * (size_t)p->f->run->N + (size_t)n;
}

static inline float *gru_cpu_d_row(const gru_cpu_backward_part *p, int64_t s, int64_t n) {
    const gru_cpu_backward_call *f = p->f;
    const int passing = f->data && f->weights;
    const size_t row = passing ? gru_cpu_chunk_row(p, s, n) : (size_t)s * (size_t)f->run->N + (size_t)n;
    return f->d + row * D * f->H;
}

static inline float *gru_cpu_kept_row(const gru_cpu_backward_part *p, int64_t s, int64_t n) {
    const gru_cpu_backward_call *f = p->f;
    if (f->kept) return gru_cpu_reserve_saved(f->layer, f->run, s, n);
    return f->again + gru_cpu_chunk_row(p, s, n) * f->padded_H * KEPT;
}

/* The state that entered. */
static inline const float *gru_cpu_h_row(const gru_cpu_backward_part *p, int64_t s, int64_t n) {
    return (const float *)gru_reserve_states(p->f->run) + gru_reserve_index(p->f->layer, p->f->run, s, n);
}

static inline const float *gru_cpu_x_row(const gru_cpu_backward_part *p, const gru_cpu_place *place) {
    const gru_const_view *x = &p->f->run->x;
    if (p->f->layer->config.io_type != GRU_F32)
        return p->f->x + gru_cpu_chunk_row(p, place->s, place->n) * p->f->I;
    return (const float *)x->data + GRU_ROW(*x, place->t, place->n);
}

/* Whether the row is one of the part's. */
static inline int gru_cpu_mine(const gru_cpu_backward_part *p, const gru_cpu_place *place) {
    return place->n >= p->share.row_begin && place->n < p->share.row_end;
}

/* Panels of outputs of the strip at `panel`, of those up to `end`. */
static inline int32_t gru_cpu_strip_panels(size_t panel, size_t end) {
    return end - panel < GATES ? (int32_t)(end - panel) : GATES;
}

#endif
