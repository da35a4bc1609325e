/* other_layout.h: the steps of a padded batch with lengths, laid out otherwise: between masked steps, or as a ragged batch. */
#ifndef OTHER_LAYOUT_H
#define OTHER_LAYOUT_H

#include "problem.h"

enum {
    OTHER_LONGER_MASK, /* three steps more, so that every row has absent ones */
    OTHER_MASK,        /* as many steps: right and left padding, holes, whole rows */
    OTHER_OFFSETS,     /* one sequence after the other */
    OTHER_BATCH_ORDER, /* one step after the other, sequences in another order */
    OTHER_BATCH_SIZES, /* the same in the caller's order: lengths descend */
    OTHER_LAYOUTS
};

typedef struct other_layout {
    int kind;
    int64_t padded_T, N; /* of the padded batch */
    int64_t T, rows;     /* of the run, and rows of its tensors */
    int64_t *place;      /* [padded_T][N] row of a step; -1: past the length */
    gru_run fields;      /* T, N and what says which steps there are */
    void *buffers[4];
    int buffer_count;
} other_layout;

/* lengths: [N], descending for OTHER_BATCH_SIZES. seed: of the pattern. */
void other_layout_make(other_layout *o, int kind, int64_t T, int64_t N, const int32_t *lengths,
                       uint64_t seed);
void other_layout_free(other_layout *o);
/* Copies T, N and the fields that say which steps there are. */
void other_layout_set(const other_layout *o, gru_run *run);
/* Rows that tensors get memory for: at least one, because no bytes have no address on a device. */
size_t other_layout_room(const other_layout *o);
/* [padded_T][N] rows of so many bytes at their places, NaN or 255 elsewhere; and back, zeros past lengths. NULL: NULL.
 * Memory of the caller. */
void *other_layout_spread(const other_layout *o, const void *padded, size_t row);
void *other_layout_gather(const other_layout *o, const void *spread, size_t row);
/* Whether all rows of absent steps are zero. */
int other_layout_zeros(const other_layout *o, const void *spread, size_t row);
/* What y of [rows] becomes with GRU_ABSENT_LAST, from that with zeros, in place. */
void other_layout_repeat(const other_layout *o, int32_t direction, void *y, size_t row);

#endif
