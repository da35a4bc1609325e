/* cpu_add.c: the sum of two tensors, for layers whose directions are merged by adding. */
#include "cpu_engine.h"

static void add_row_f32(float *to, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

/* f64 is added as it is, 16-bit types by way of f32. */
static void add_row(int32_t type, void *to, const void *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (type == GRU_F64)
            ((double *)to)[i] += ((const double *)from)[i];
        else
            gru_store_float(to, type, i, gru_load_float(to, type, i) + gru_load_float(from, type, i));
}

gru_status gru_cpu_add(gru_context *context, const gru_addition *a, void *stream) {
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
