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

/* Numbers that are to be rounded to multiples of one scale. */
static gru_status check_finite(const char *who, const void *data, int32_t type, size_t count,
                               const char *expected) {
    for (size_t i = 0; data && i < count; i++) {
        const double number = gru_load_double(data, type, i);
        if (!(fabs(number) <= (double)FLT_MAX))
            return gru_fail(GRU_BAD_DATA, "%s[%zu] is %g, expected %s", who, i, number, expected);
    }
    return GRU_OK;
}

gru_status gru_check_weights_range(const gru_layer_config *config, const gru_weights *weights) {
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const int32_t type = weights->type, bias = config->weight_type == GRU_F64 ? GRU_F64 : GRU_F32;
    if (weights->on_device) return GRU_OK;
    if (type == GRU_INT8) {
        GRU_TRY(check_finite("weights.W_scale", weights->W_scale, GRU_F32, GATES * H, "a finite scale"));
        GRU_TRY(check_finite("weights.R_scale", weights->R_scale, GRU_F32, GATES * H, "a finite scale"));
        GRU_TRY(check_scaled("weights.W", weights->W, weights->W_scale, I, config));
        return check_scaled("weights.R", weights->R, weights->R_scale, H, config);
    }
    if (config->weight_type == GRU_INT8) {
        const char *const expected = "a finite number of f32's range for a layer of int8 weights";
        GRU_TRY(check_finite("weights.W", weights->W, type, GATES * H * I, expected));
        GRU_TRY(check_finite("weights.R", weights->R, type, GATES * H * H, expected));
    }
    GRU_TRY(gru_check_range("weights.W", weights->W, type, GATES * H * I, config->weight_type));
    GRU_TRY(gru_check_range("weights.R", weights->R, type, GATES * H * H, config->weight_type));
    GRU_TRY(gru_check_range("weights.bW", weights->bW, type, GATES * H, bias));
    return gru_check_range("weights.bR", weights->bR, type, GATES * H, bias);
}
