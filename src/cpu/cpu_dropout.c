/* cpu_dropout.c: drops numbers of a tensor between two layers. */
#include "../dropout.h"
#include "cpu_engine.h"

/* 16-bit types by way of f32, as on every machine. */
static void scale_number(int32_t type, void *data, size_t i, double scale) {
    if (type == GRU_F64)
        ((double *)data)[i] *= scale;
    else
        gru_store_float(data, type, i, gru_load_float(data, type, i) * (float)scale);
}

static void drop_row(const gru_dropout *d, int64_t t, int64_t n, uint32_t limit, double scale) {
    const size_t first = GRU_ROW(d->data, t, n);
    for (int64_t i = 0; i < d->row; i += 4) {
        const gru_philox_words numbers = gru_dropout_numbers(d->seed, d->layer, t, n, i / 4);
        for (int64_t lane = 0; lane < 4 && i + lane < d->row; lane++) {
            const size_t at = first + (size_t)(i + lane);
            if (numbers.word[lane] < limit)
                gru_store_double(d->data.data, d->type, at, 0); /* also what is not a number */
            else
                scale_number(d->type, d->data.data, at, scale);
        }
    }
}

gru_status gru_cpu_drop(gru_context *context, const gru_dropout *d, void *stream) {
    const uint32_t limit = gru_dropout_limit(d->rate);
    const double scale = gru_dropout_scale(d->rate);
    (void)context;
    (void)stream;
    for (int64_t t = 0; t < d->T; t++)
        for (int64_t n = 0; n < d->N; n++) drop_row(d, t, n, limit, scale);
    return GRU_OK;
}
