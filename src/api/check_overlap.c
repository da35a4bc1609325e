/* check_overlap.c: the pairwise comparison of a call's buffers. */
#include "check_overlap.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"

/* Whether two buffers whose ranges intersect are disjoint columns of one matrix: equal strides, the outer one a multiple
 * of the inner, and rows that do not meet within the inner stride. */
static int separate_columns(const gru_region *a, const gru_region *b) {
    if (a->time_stride != b->time_stride || a->batch_stride != b->batch_stride) return 0;
    size_t inner = a->batch_stride, outer = a->time_stride;
    if (inner == 0 || (outer != 0 && outer < inner)) {
        inner = a->time_stride;
        outer = a->batch_stride;
    }
    if (inner == 0 || outer % inner != 0) return 0;
    if (a->begin > b->begin) {
        const gru_region *first = b;
        b = a;
        a = first;
    }
    const size_t column = (b->begin - a->begin) % inner;
    return a->row_bytes <= column && column + b->row_bytes <= inner;
}

/* hT may be h0: engines read all of h0 before they write hT. */
static int same_state(const gru_region *a, const gru_region *b) {
    return a->state && b->state && a->begin == b->begin && a->batch_stride == b->batch_stride;
}

/* "run.hT[3]" for the name "run.hT[]" with index 3; any other name as it is. */
static const char *full_name(const gru_region *region, char text[64]) {
    const char *brackets = strstr(region->name, "[]");
    if (!brackets) return region->name;
    (void)snprintf(text, 64, "%.*s[%d]", (int)(brackets - region->name), region->name, region->index);
    return text;
}

static gru_status overlap(const gru_region *a, const gru_region *b) {
    char text_a[64], text_b[64];
    const char *name_a = full_name(a, text_a), *name_b = full_name(b, text_b);
    return gru_fail(GRU_BAD_ARGUMENT, "%s (%p to %p) overlaps %s (%p to %p), and %s is written", name_a,
                    (const void *)a->begin, (const void *)a->end, name_b, (const void *)b->begin,
                    (const void *)b->end, a->written ? name_a : name_b);
}

gru_status gru_regions_check_pair(const gru_region *a, const gru_region *b) {
    if (!(a->written || b->written) || a->end <= b->begin || b->end <= a->begin) return GRU_OK;
    if (same_state(a, b) || separate_columns(a, b)) return GRU_OK;
    return overlap(a, b);
}

gru_status gru_regions_check(const gru_regions *regions) {
    for (int i = 0; i < regions->count; i++)
        for (int j = i + 1; j < regions->count; j++)
            GRU_TRY(gru_regions_check_pair(&regions->list[i], &regions->list[j]));
    return GRU_OK;
}
