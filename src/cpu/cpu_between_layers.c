/* cpu_between_layers.c: what a stack does between its layers: merges the outputs of two directions, and applies dropout. */
#include "core/dropout.h"
#include "core/layout.h"
#include "cpu_between_layers.h"

/* ---- two tensors become one ---- */

/* A loop for each operation, so that each becomes vector code. */
static void combine_f32(gru_operation operation, float *to, const float *a, const float *b, size_t count) {
    if (operation == GRU_OPERATION_ADD)
        for (size_t i = 0; i < count; i++) to[i] = a[i] + b[i];
    else if (operation == GRU_OPERATION_AVERAGE)
        for (size_t i = 0; i < count; i++) to[i] = (a[i] + b[i]) / 2;
    else if (operation == GRU_OPERATION_MULTIPLY)
        for (size_t i = 0; i < count; i++) to[i] = a[i] * b[i];
    else
        for (size_t i = 0; i < count; i++) to[i] = a[i] / 2;
}

static void combine_f64(gru_operation operation, double *to, const double *a, const double *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (operation == GRU_OPERATION_MULTIPLY)
            to[i] = a[i] * b[i];
        else if (operation == GRU_OPERATION_HALVE)
            to[i] = a[i] / 2;
        else
            to[i] = operation == GRU_OPERATION_AVERAGE ? (a[i] + b[i]) / 2 : a[i] + b[i];
}

/* 16-bit types are widened; HALVE has no b. */
static void combine_row16(const gru_combination *c, void *to, const void *a, const void *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const float one = gru_load_float(a, c->type, i), other = b ? gru_load_float(b, c->type, i) : 0;
        float result;
        combine_f32(c->operation, &result, &one, &other, 1);
        gru_store_float(to, c->type, i, result);
    }
}

gru_status gru_cpu_combine(gru_context *context, const gru_combination *c, void *stream) {
    const size_t element = gru_type_bytes(c->type), row = (size_t)c->row;
    (void)context;
    (void)stream;
    for (int64_t t = 0; t < c->T; t++)
        for (int64_t n = 0; n < c->N; n++) {
            void *to = (char *)c->to.data + GRU_ROW(c->to, t, n) * element;
            const void *a = (const char *)c->a.data + GRU_ROW(c->a, t, n) * element;
            const void *b = c->b.data ? (const char *)c->b.data + GRU_ROW(c->b, t, n) * element : NULL;
            if (c->type == GRU_F32)
                combine_f32(c->operation, to, a, b, row);
            else if (c->type == GRU_F64)
                combine_f64(c->operation, to, a, b, row);
            else
                combine_row16(c, to, a, b, row);
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
