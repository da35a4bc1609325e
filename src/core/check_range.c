/* check_range.c: finds finite weights that a narrower type would turn into infinity, and runs then into NaN. */
#include "check_range.h"

#include <math.h>

#include "error.h"
#include "layout.h"

/* Whether some finite number of the first type is too large for the second. */
static int can_overflow(int32_t from, int32_t to) {
    static const int range[] = {[GRU_F32] = 2, [GRU_F16] = 0, [GRU_BF16] = 1, [GRU_F64] = 3, [GRU_INT8] = 3};
    return range[from] > range[to];
}

static gru_status too_large(const char *who, size_t i, double number, int32_t narrow) {
    return gru_fail(GRU_BAD_DATA, "%s[%zu] is %g, which %s cannot hold", who, i, number,
                    gru_type_name(narrow));
}

gru_status gru_check_range(const char *who, const void *data, int32_t type, size_t count, int32_t narrow) {
    if (!data || !can_overflow(type, narrow)) return GRU_OK;
    for (size_t i = 0; i < count; i++) {
        const double number = gru_load_double(data, type, i);
        if (gru_overflows(number, narrow)) return too_large(who, i, number, narrow);
    }
    return GRU_OK;
}

/* A weight is the product of an integer and a scale, in f32. */
static gru_status check_scaled(const char *who, const int8_t *data, const float *scales, size_t columns,
                               const gru_layer_config *config) {
    const int32_t narrow = can_overflow(GRU_F32, config->weight_type) ? config->weight_type : GRU_F32;
    for (size_t i = 0; i < GATES * (size_t)config->hidden * columns; i++) {
        const double number = (double)data[i] * (double)scales[i / columns];
        if (gru_overflows(number, narrow)) return too_large(who, i, number, narrow);
    }
    return GRU_OK;
}

/* Of a layer of int8 weights. A sum of integers, up to 2^31, times a scale is then below 2^128. */
static const double largest_scale = 0x1p96, largest_integer = 127;

/* NaN is refused too. */
static gru_status check_limit(const char *who, const void *data, int32_t type, size_t count, double limit,
                              const char *expected) {
    for (size_t i = 0; data && i < count; i++) {
        const double number = gru_load_double(data, type, i);
        if (!(fabs(number) <= limit))
            return gru_fail(GRU_BAD_DATA, "%s[%zu] is %g, expected %s", who, i, number, expected);
    }
    return GRU_OK;
}

gru_status gru_check_weights_range(const gru_layer_config *config, const gru_weights *weights) {
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const int32_t type = weights->type, bias = config->weight_type == GRU_F64 ? GRU_F64 : GRU_F32;
    if (weights->on_device) return GRU_OK;
    if (type == GRU_INT8) {
        const int kept = config->weight_type == GRU_INT8;
        const char *const expected = kept ? "a finite scale, up to 2^96" : "a finite scale";
        const double limit = kept ? largest_scale : (double)FLT_MAX;
        GRU_TRY(check_limit("weights.W_scale", weights->W_scale, GRU_F32, GATES * H, limit, expected));
        GRU_TRY(check_limit("weights.R_scale", weights->R_scale, GRU_F32, GATES * H, limit, expected));
        GRU_TRY(check_scaled("weights.W", weights->W, weights->W_scale, I, config));
        return check_scaled("weights.R", weights->R, weights->R_scale, H, config);
    }
    if (config->weight_type == GRU_INT8) {
        const char *const expected = "a finite number, up to 127 * 2^96, for a layer of int8 weights";
        const double limit = largest_integer * largest_scale;
        GRU_TRY(check_limit("weights.W", weights->W, type, GATES * H * I, limit, expected));
        GRU_TRY(check_limit("weights.R", weights->R, type, GATES * H * H, limit, expected));
    }
    GRU_TRY(gru_check_range("weights.W", weights->W, type, GATES * H * I, config->weight_type));
    GRU_TRY(gru_check_range("weights.R", weights->R, type, GATES * H * H, config->weight_type));
    GRU_TRY(gru_check_range("weights.bW", weights->bW, type, GATES * H, bias));
    return gru_check_range("weights.bR", weights->bR, type, GATES * H, bias);
}
