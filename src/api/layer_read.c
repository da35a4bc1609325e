/* layer_read.c: reads the weights of a layer back out of their packed layout. */
#include "check_view.h"
#include "core/context.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/layout.h"

static gru_status check_out(const gru_weights_out *out) {
    if (!out) return gru_fail(GRU_BAD_ARGUMENT, "weights is NULL, expected arrays to write to");
    if (out->type != GRU_F32 && out->type != GRU_F64)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.type is %s (%d), expected f32 or f64",
                        gru_type_name(out->type), out->type);
    const size_t element = gru_type_bytes(out->type);
    GRU_TRY(gru_check_aligned("weights.W", out->W, element));
    GRU_TRY(gru_check_aligned("weights.R", out->R, element));
    GRU_TRY(gru_check_aligned("weights.bW", out->bW, element));
    GRU_TRY(gru_check_aligned("weights.bR", out->bR, element));
    return gru_check_reserved("weights", out->reserved, 4);
}

static double number_at(const char *packed, const gru_packed_number *number) {
    const void *at = packed + number->byte;
    if (number->type != GRU_INT8) return gru_load_double(at, number->type, 0);
    return (double)*(const int8_t *)at * gru_load_double(packed + number->scale, GRU_F32, 0);
}

/* One array, [3H][columns]. */
static void read_part(const gru_layer *layer, const char *packed, gru_packed_part part, int32_t columns,
                      void *to, int32_t type) {
    const int32_t H = layer->config.hidden;
    if (!to) return;
    for (int32_t row = 0; row < GATES * H; row++)
        for (int32_t k = 0; k < columns; k++) {
            const gru_packed_number number =
                layer->context->backend->packed_number(&layer->config, part, row / H, row % H, k);
            gru_store_double(to, type, (size_t)row * (size_t)columns + (size_t)k, number_at(packed, &number));
        }
}

static void read_all(const gru_layer *layer, const char *packed, const gru_weights_out *out) {
    read_part(layer, packed, GRU_PACKED_W, layer->config.inputs, out->W, out->type);
    read_part(layer, packed, GRU_PACKED_R, layer->config.hidden, out->R, out->type);
    read_part(layer, packed, GRU_PACKED_BW, 1, out->bW, out->type);
    read_part(layer, packed, GRU_PACKED_BR, 1, out->bR, out->type);
}

/* The packed weights of a device are copied to host memory first. */
gru_status gru_layer_read(const gru_layer *layer, const gru_weights_out *weights, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    gru_context *context = layer->context;
    GRU_TRY(check_out(weights));
    if (!layer->packed) return gru_fail(GRU_BAD_ARGUMENT, "layer was created without weights");
    GRU_TRY(gru_wait(context, stream));
    if (context->backend->host_memory) {
        read_all(layer, layer->packed, weights);
        return GRU_OK;
    }
    char *packed = gru_host_allocate(context, layer->packed_bytes, "a copy of the weights");
    if (!packed) return GRU_OUT_OF_MEMORY;
    gru_status status = gru_copy(context, packed, layer->packed, layer->packed_bytes, stream);
    if (status == GRU_OK) status = gru_wait(context, stream);
    if (status == GRU_OK) read_all(layer, packed, weights);
    gru_host_free(context, packed, layer->packed_bytes);
    return status;
}
