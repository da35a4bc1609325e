/* other_layout.c: where the steps of a padded batch lie in a masked or ragged one, and copies from one to the other. */
#include "other_layout.h"

#include <stdlib.h>
#include <string.h>

static void *own(other_layout *o, size_t bytes) {
    return o->buffers[o->buffer_count++] = tester_allocate(bytes);
}

/* Whether time t of row n has a step, `left` of `times` times being still to place: by row one of four patterns. */
static int takes(uint64_t seed, int64_t t, int64_t n, int64_t left, int64_t times) {
    if (left == times) return 1;
    if (left == 0 || n % 4 == 1) return 0; /* padding on the left */
    if (n % 4 == 0) return 1;              /* padding on the right */
    return tester_random(seed, (uint64_t)(t * 64 + n)) % (uint64_t)times < (uint64_t)left; /* holes */
}

static void make_mask(other_layout *o, const int32_t *lengths, uint64_t seed) {
    static const uint8_t present[] = {1, 2, 128, 255}; /* any non-zero byte */
    o->T = o->padded_T + (o->kind == OTHER_LONGER_MASK ? 3 : 0);
    o->rows = o->T * o->N;
    uint8_t *mask = own(o, (size_t)o->rows);
    memset(mask, 0, (size_t)o->rows);
    for (int64_t n = 0; n < o->N; n++)
        for (int64_t t = 0, step = 0; t < o->T; t++) {
            if (!takes(seed, t, n, lengths[n] - step, o->T - t)) continue;
            mask[t * o->N + n] = present[(t + n) % 4];
            o->place[step++ * o->N + n] = t * o->N + n;
        }
    o->fields.mask.data = mask;
}

static void make_offsets(other_layout *o, const int32_t *lengths) {
    int64_t *offsets = own(o, (size_t)(o->N + 1) * sizeof *offsets);
    offsets[0] = 0;
    for (int64_t n = 0; n < o->N; n++) {
        for (int64_t t = 0; t < lengths[n]; t++) o->place[t * o->N + n] = offsets[n] + t;
        offsets[n + 1] = offsets[n] + lengths[n];
    }
    o->rows = offsets[o->N];
    o->fields.offsets = offsets;
}

static void make_batch_sizes(other_layout *o, const int32_t *lengths, const int64_t *order) {
    int64_t *sizes = own(o, (size_t)o->T * sizeof *sizes);
    o->rows = 0;
    for (int64_t t = 0; t < o->T; t++) {
        sizes[t] = 0;
        for (int64_t i = 0; i < o->N; i++) {
            const int64_t n = order ? order[i] : i;
            if (t >= lengths[n]) continue;
            o->place[t * o->N + n] = o->rows++;
            sizes[t]++;
        }
    }
    o->fields.batch_sizes = sizes;
    o->fields.batch_order = order;
}

/* Sequences by descending length, the later of two equal ones first. */
static int64_t *make_order(other_layout *o, const int32_t *lengths) {
    int64_t *order = own(o, (size_t)o->N * sizeof *order), count = 0;
    for (int64_t length = o->T; length >= 0; length--)
        for (int64_t n = o->N - 1; n >= 0; n--)
            if (lengths[n] == length) order[count++] = n;
    return order;
}

void other_layout_make(other_layout *o, int kind, int64_t T, int64_t N, const int32_t *lengths,
                       uint64_t seed) {
    *o = (other_layout){.kind = kind, .padded_T = T, .N = N, .T = T};
    o->place = own(o, (size_t)(T * N) * sizeof *o->place);
    memset(o->place, 0xFF, (size_t)(T * N) * sizeof *o->place); /* -1 */
    if (kind <= OTHER_MASK) make_mask(o, lengths, seed);
    if (kind == OTHER_OFFSETS) make_offsets(o, lengths);
    if (kind == OTHER_BATCH_ORDER) make_batch_sizes(o, lengths, make_order(o, lengths));
    if (kind == OTHER_BATCH_SIZES) make_batch_sizes(o, lengths, NULL);
    o->fields.T = o->T;
    o->fields.N = N;
    o->fields.ragged_rows = kind <= OTHER_MASK ? 0 : o->rows;
}

void other_layout_free(other_layout *o) {
    for (int i = 0; i < o->buffer_count; i++) tester_free(o->buffers[i]);
}

void other_layout_set(const other_layout *o, gru_run *run) {
    run->T = o->fields.T, run->N = o->fields.N;
    run->lengths = NULL, run->mask = o->fields.mask;
    run->offsets = o->fields.offsets, run->ragged_rows = o->fields.ragged_rows;
    run->batch_sizes = o->fields.batch_sizes, run->batch_order = o->fields.batch_order;
}

size_t other_layout_room(const other_layout *o) {
    return o->rows > 0 ? (size_t)o->rows : 1;
}

void *other_layout_spread(const other_layout *o, const void *padded, size_t row) {
    if (!padded) return NULL;
    char *spread = tester_allocate(other_layout_room(o) * row);
    for (int64_t i = 0; i < o->padded_T * o->N; i++)
        if (o->place[i] >= 0)
            memcpy(spread + (size_t)o->place[i] * row, (const char *)padded + (size_t)i * row, row);
    return spread;
}

void *other_layout_gather(const other_layout *o, const void *spread, size_t row) {
    if (!spread) return NULL;
    char *padded = tester_allocate((size_t)(o->padded_T * o->N) * row);
    memset(padded, 0, (size_t)(o->padded_T * o->N) * row);
    for (int64_t i = 0; i < o->padded_T * o->N; i++)
        if (o->place[i] >= 0)
            memcpy(padded + (size_t)i * row, (const char *)spread + (size_t)o->place[i] * row, row);
    return padded;
}

/* Masked runs only have absent steps. */
static int is_absent(const other_layout *o, int64_t row) {
    return o->kind <= OTHER_MASK && ((const uint8_t *)o->fields.mask.data)[row] == 0;
}

int other_layout_zeros(const other_layout *o, const void *spread, size_t row) {
    int zeros = 1;
    for (int64_t i = 0; spread && i < o->rows; i++)
        for (size_t k = 0; is_absent(o, i) && k < row; k++)
            zeros &= ((const char *)spread)[(size_t)i * row + k] == 0;
    return zeros;
}

void other_layout_repeat(const other_layout *o, int32_t direction, void *y, size_t row) {
    for (int64_t n = 0; n < o->N; n++) {
        const char *latest = NULL;
        for (int64_t visit = 0; visit < o->T; visit++) {
            const int64_t t = direction == GRU_REVERSE ? o->T - 1 - visit : visit, i = t * o->N + n;
            char *at = (char *)y + (size_t)i * row;
            if (!is_absent(o, i))
                latest = at;
            else if (latest)
                memcpy(at, latest, row);
        }
    }
}
