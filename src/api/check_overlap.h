/* check_overlap.h: finds buffers of one call that share memory although one of them is written. */
#ifndef GRU_CHECK_OVERLAP_H
#define GRU_CHECK_OVERLAP_H

#include <assert.h>

#include "gru/gru.h"

/* A buffer: rows of row_bytes at begin + t * time_stride + n * batch_stride, all in bytes. One row: strides 0. */
typedef struct gru_region {
    const char *name; /* "run.hT[]": an element of an array, of this index */
    int32_t index;
    uintptr_t begin, end; /* end: past the last byte of the last row */
    size_t row_bytes, time_stride, batch_stride;
    int written;
    int state; /* h0 or hT, which may be one array */
} gru_region;

enum { GRU_REGIONS = 32 }; /* a run with all its gradients has 24 */

typedef struct gru_regions {
    gru_region list[GRU_REGIONS];
    int count;
} gru_regions;

/* Adds a buffer without strides and returns it, so that the caller can set them. NULL data or no bytes: adds nothing, returns
 * NULL. Inline, as a streaming call adds four. */
static inline gru_region *gru_regions_add(gru_regions *regions, const char *name, const void *data,
                                          size_t bytes, int written) {
    if (!data || bytes == 0) return NULL;
    assert(regions->count < GRU_REGIONS);
    gru_region *region = &regions->list[regions->count++];
    region->name = name;
    region->index = 0;
    region->begin = (uintptr_t)data;
    region->end = (uintptr_t)data + bytes;
    region->row_bytes = bytes;
    region->time_stride = region->batch_stride = 0;
    region->written = written;
    region->state = 0;
    return region;
}

/* GRU_BAD_ARGUMENT if they overlap although one is written; an empty region (begin is end) overlaps nothing. */
gru_status gru_regions_check_pair(const gru_region *a, const gru_region *b);

/* GRU_BAD_ARGUMENT for the first pair that overlaps. */
gru_status gru_regions_check(const gru_regions *regions);

#endif
