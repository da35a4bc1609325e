/* layer_read.c: reads the weights of a layer back out of their packed layout. */
#include <string.h>

#include "check_view.h"
#include "core/context.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/layout.h"

/* Only layers of int8 weights have integers to read. */
static gru_status check_type(const gru_weights_out *out, const gru_layer_config *config) {
    const int has_int8 = config->weight_type == GRU_INT8;
    if (out->type != GRU_F32 && out->type != GRU_F64 && !(out->type == GRU_INT8 && has_int8))
        return gru_fail(GRU_BAD_ARGUMENT, "weights.type is %s (%d), expected f32%s f64%s",
                        gru_type_name(out->type), out->type, has_int8 ? "," : " or",
                        has_int8 ? " or int8" : ": weight_type is not int8");
    if (out->type != GRU_INT8 && (out->W_scale || out->R_scale))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.%s is given, expected NULL: weights.type is %s, and scales go with int8",
                        out->W_scale ? "W_scale" : "R_scale", gru_type_name(out->type));
    return GRU_OK;
}

static int32_t bias_type_of(const gru_weights_out *out) {
    return out->type == GRU_INT8 ? GRU_F32 : out->type;
}

static gru_status check_out(const gru_weights_out *out, const gru_layer_config *config) {
    if (!out) return gru_fail(GRU_BAD_ARGUMENT, "weights is NULL, expected arrays to write to");
    GRU_TRY(check_type(out, config));
    const size_t element = gru_type_bytes(out->type), bias = gru_type_bytes(bias_type_of(out));
    GRU_TRY(gru_check_aligned("weights.W", out->W, element));
    GRU_TRY(gru_check_aligned("weights.R", out->R, element));
    GRU_TRY(gru_check_aligned("weights.bW", out->bW, bias));
    GRU_TRY(gru_check_aligned("weights.bR", out->bR, bias));
    GRU_TRY(gru_check_aligned("weights.W_scale", out->W_scale, sizeof(float)));
    GRU_TRY(gru_check_aligned("weights.R_scale", out->R_scale, sizeof(float)));
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
            const size_t at = (size_t)row * (size_t)columns + (size_t)k;
            if (type == GRU_INT8)
                ((int8_t *)to)[at] = ((const int8_t *)packed)[number.byte];
            else
                gru_store_double(to, type, at, number_at(packed, &number));
        }
}

/* [3H] of an array of int8. */
static void read_scales(const gru_layer *layer, const char *packed, gru_packed_part part, float *to) {
    const int32_t H = layer->config.hidden;
    for (int32_t row = 0; to && row < GATES * H; row++) {
        const gru_packed_number number =
            layer->context->backend->packed_number(&layer->config, part, row / H, row % H, 0);
        memcpy(to + row, packed + number.scale, sizeof *to);
    }
}

static void read_all(const gru_layer *layer, const char *packed, const gru_weights_out *out) {
    read_part(layer, packed, GRU_PACKED_W, layer->config.inputs, out->W, out->type);
    read_part(layer, packed, GRU_PACKED_R, layer->config.hidden, out->R, out->type);
    read_part(layer, packed, GRU_PACKED_BW, 1, out->bW, bias_type_of(out));
    read_part(layer, packed, GRU_PACKED_BR, 1, out->bR, bias_type_of(out));
    read_scales(layer, packed, GRU_PACKED_W, out->W_scale);
    read_scales(layer, packed, GRU_PACKED_R, out->R_scale);
}

/* The packed weights of a device are copied to host memory first. */
gru_status gru_layer_read(const gru_layer *layer, const gru_weights_out *weights, void *stream) {
    if (!layer) return gru_fail(GRU_BAD_ARGUMENT, "layer is NULL");
    gru_context *context = layer->context;
    GRU_TRY(check_out(weights, &layer->config));
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
