/* check_view.h: decides whether the rows of one view can lie where its strides put them. */
#ifndef GRU_CHECK_VIEW_H
#define GRU_CHECK_VIEW_H

#include "check_overlap.h"

typedef struct gru_checked_view {
    const char *name;
    const void *data;
    int64_t *time_stride, *batch_stride; /* zeros are filled in */
    size_t row;                          /* elements */
    size_t element;                      /* bytes */
    int written;
} gru_checked_view;

/* The field is a gru_view or a gru_const_view; name is what a sentence calls it. */
#define GRU_CHECKED_VIEW(name, field, row, element, written)                                                 \
    ((gru_checked_view){(name), (field).data, &(field).time_stride, &(field).batch_stride, (row), (element), \
                        (written)})

/* Checks alignment, strides and, where it is written, that its rows lie apart; then fills in the strides and adds its
 * region. data NULL: nothing is looked at. */
gru_status gru_check_view(int64_t T, int64_t N, gru_checked_view view, gru_regions *regions);

/* GRU_BAD_ARGUMENT unless data is a multiple of alignment. */
gru_status gru_check_aligned(const char *name, const void *data, size_t alignment);

#endif
