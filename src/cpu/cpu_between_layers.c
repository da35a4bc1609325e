/* cpu_between_layers.c: what a stack does between its layers: adds the outputs of two directions, and applies dropout. */
#include "core/dropout.h"
#include "core/layout.h"
#include "cpu_between_layers.h"

/* ---- the sum of two tensors ---- */

static void add_row_f32(float *to, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

/* f64 is added in f64, 16-bit types in f32. */
static void add_row(int32_t type, void *to, const void *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (type == GRU_F64)
            ((double *)to)[i] += ((const double *)from)[i];
        else
            gru_store_float(to, type, i, gru_load_float(to, type, i) + gru_load_float(from, type, i));
}

gru_status gru_cpu_add_tensors(gru_context *context, const gru_addition *a, void *stream) {
    const size_t element = gru_type_bytes(a->type), row = (size_t)a->row;
    (void)context;
    (void)stream;
    for (int64_t t = 0; t < a->T; t++)
        for (int64_t n = 0; n < a->N; n++) {
            void *to = (char *)a->to.data + GRU_ROW(a->to, t, n) * element;
            const void *from = (const char *)a->from.data + GRU_ROW(a->from, t, n) * element;
            if (a->type == GRU_F32)
                add_row_f32(to, from, row);
            else
                add_row(a->type, to, from, row);
        }
    return GRU_OK;
}

/* ---- dropout ---- */

/* Random words are drawn for so many numbers before they are used: no unpredictable branch for each number. */
enum { DRAWN = 64 };

static void drop_f32(float *data, const uint32_t *words, int64_t count, uint32_t limit, float scale) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t saved = words[i] < limit ? 0 : UINT32_MAX;
        data[i] = gru_float_from_bits(gru_bits_from_float(data[i] * scale) & saved);
    }
}

/* 16-bit types are scaled in f32. Dropped numbers become zero, NaN too. */
static void drop_numbers(int32_t type, void *data, size_t first, const uint32_t *words, int64_t count,
                         uint32_t limit, double scale) {
    for (int64_t i = 0; i < count; i++) {
        const size_t at = first + (size_t)i;
        const int dropped = words[i] < limit;
        if (type == GRU_F64)
            ((double *)data)[at] = dropped ? 0 : ((double *)data)[at] * scale;
        else
            gru_store_float(data, type, at, dropped ? 0 : gru_load_float(data, type, at) * (float)scale);
    }
}

/* Step t of sequence n, whose numbers begin at `row`. */
static void drop_row(const gru_dropout *d, size_t row, int64_t t, int64_t n) {
    const uint32_t limit = gru_dropout_limit(d->rate);
    const double scale = gru_dropout_scale(d->rate);
    for (int64_t i = 0; i < d->row; i += DRAWN) {
        const int64_t count = d->row - i < DRAWN ? d->row - i : DRAWN;
        const size_t first = row + (size_t)i;
        uint32_t words[DRAWN];
        for (int64_t k = 0; k < count; k += 4) {
            const gru_philox_words four = gru_dropout_numbers(d->seed, d->layer, t, n, (i + k) / 4);
            memcpy(words + k, four.word, sizeof four.word);
        }
        if (d->type == GRU_F32)
            drop_f32((float *)d->data.data + first, words, count, limit, (float)scale);
        else
            drop_numbers(d->type, d->data.data, first, words, count, limit, scale);
    }
}

static void drop_rows(const gru_dropout *d) {
    for (int64_t t = 0; t < d->T; t++)
        for (int64_t n = 0; n < d->N; n++) drop_row(d, GRU_ROW(d->data, t, n), t, n);
}

/* The same numbers of the same steps. */
static void drop_ragged_rows(const gru_dropout *d) {
    const gru_run *run = d->ragged;
    for (int64_t n = 0; run->offsets && n < run->N; n++)
        for (int64_t at = run->offsets[n]; at < run->offsets[n + 1]; at++)
            drop_row(d, GRU_ROW(d->data, at, 0), at - run->offsets[n], n);
    for (int64_t t = 0, at = 0; run->batch_sizes && t < run->T; at += run->batch_sizes[t], t++)
        for (int64_t place = 0; place < run->batch_sizes[t]; place++)
            drop_row(d, GRU_ROW(d->data, at + place, 0), t, gru_sequence_at(run, place));
}

gru_status gru_cpu_apply_dropout(gru_context *context, const gru_dropout *d, void *stream) {
    (void)context;
    (void)stream;
    if (d->ragged)
        drop_ragged_rows(d);
    else
        drop_rows(d);
    return GRU_OK;
}
