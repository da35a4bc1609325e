/* check_view.h: checks strides, alignment and reserved words. */
#ifndef GRU_CHECK_VIEW_H
#define GRU_CHECK_VIEW_H

#include "check_overlap.h"
#include "core/error.h"

typedef struct gru_checked_view {
    const char *name;
    const void *data;
    int64_t *time_stride, *batch_stride; /* zeros are filled in */
    size_t row;                          /* elements */
    size_t element;                      /* bytes */
    int written;
} gru_checked_view;

/* Checks alignment, strides and, if it is written, that its rows do not overlap. Fills in the strides and adds its region.
 * The rows are those of the run: [T][N], or the rows of a ragged batch, whose batch_stride stays 0. data is not NULL. */
gru_status gru_check_view(const gru_run *run, const gru_checked_view *view, gru_regions *regions);

/* The same of a field that is a gru_view or a gru_const_view and may be NULL; name is what a sentence calls it. Returns
 * from the calling function if it fails. By pointer: copying a small struct just written costs more than the check. */
#define GRU_CHECK_VIEW(run, regions, name, field, row, element, written)                                     \
    do {                                                                                                     \
        const gru_checked_view view_ = {                                                                     \
            (name), (field).data, &(field).time_stride, &(field).batch_stride, (row), (element), (written)}; \
        if (view_.data) GRU_TRY(gru_check_view((run), &view_, (regions)));                                   \
    } while (0)

/* GRU_BAD_ARGUMENT unless the reserved words of a struct are all zero. */
gru_status gru_check_reserved(const char *name, const uint64_t *words, int32_t count);

/* GRU_BAD_ARGUMENT unless data is a multiple of alignment, a power of two. */
static inline gru_status gru_check_aligned(const char *name, const void *data, size_t alignment) {
    assert(alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (((uintptr_t)data & (alignment - 1)) == 0) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "%s is %p, expected a multiple of %zu", name, data, alignment);
}

#endif
