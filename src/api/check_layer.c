/* check_layer.c: the checks of a layer's configuration and of the weights that are packed into it. */
#include "check_layer.h"

#include <math.h>

#include "check_view.h"
#include "core/activation.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/number.h"

enum { MAX_UNITS = 1 << 24 }; /* keeps every product of two sizes and a type within 63 bits */

enum { MAX_INT8_UNITS = 1 << 16 }; /* sums of integer products have 32 bits, and must leave some to x and h */

static gru_status check_choice(const char *name, int32_t value, int32_t last) {
    if (value >= 0 && value <= last) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "config.%s is %d, expected 0 to %d", name, value, last);
}

static gru_status check_type(const char *name, int32_t type, int32_t last) {
    if (type >= 0 && type <= last) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "config.%s is %s (%d), expected f32, f16, bf16%s", name,
                    gru_type_name(type), type, last == GRU_INT8 ? ", f64 or int8" : " or f64");
}

static gru_status check_types(const gru_layer_config *config) {
    const int32_t io = config->io_type, state = config->state_type, weight = config->weight_type;
    GRU_TRY(check_type("io_type", io, GRU_F64));
    GRU_TRY(check_type("state_type", state, GRU_F64));
    GRU_TRY(check_type("weight_type", weight, GRU_INT8));
    if ((io == GRU_F64) != (weight == GRU_F64) || (io == GRU_F64) != (state == GRU_F64))
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "config.io_type is %s, state_type %s and weight_type %s: f64 goes with f64 in all three",
            gru_type_name(io), gru_type_name(state), gru_type_name(weight));
    if (state != GRU_F32 && state != io)
        return gru_fail(GRU_BAD_ARGUMENT, "config.state_type is %s, expected f32 or io_type, which is %s",
                        gru_type_name(state), gru_type_name(io));
    return GRU_OK;
}

/* Of config.gate or config.candidate. last: the last constant that is only for it; those take no alpha here. */
typedef struct named_activation {
    const char *field;
    int32_t value, last, row;
    float alpha, beta;
} named_activation;

/* standard: the default of the number; NaN: the function has none. */
static gru_status check_number(const named_activation *a, const char *name, float number, float standard,
                               int may_be_negative) {
    const char *word = gru_activation_facts_of(a->row)->word;
    if (isnan(standard) && number != 0)
        return gru_fail(GRU_BAD_ARGUMENT, "config.%s_%s is %g, expected 0: %s %d (%s) takes no %s", a->field,
                        name, (double)number, a->field, a->value, word, name);
    if (isnan(number) || isinf(number) || (number < 0 && !may_be_negative))
        return gru_fail(GRU_BAD_ARGUMENT, "config.%s_%s is %g, expected a finite number%s for %s", a->field,
                        name, (double)number, may_be_negative ? "" : ", 0 (for the default) or more,", word);
    return GRU_OK;
}

static gru_status check_activation(const named_activation *a) {
    const gru_activation_facts *facts = gru_activation_facts_of(a->row);
    if (!facts)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.%s is %d, expected 0 to %d, or GRU_ACTIVATION_..., %d to %d", a->field,
                        a->value, a->last, GRU_ACTIVATION_FIRST, GRU_ACTIVATION_FIRST + GRU_ACTIVATIONS - 1);
    const float alpha = a->value <= a->last ? NAN : facts->alpha;
    GRU_TRY(check_number(a, "alpha", a->alpha, alpha, facts->may_be_negative));
    return check_number(a, "beta", a->beta, facts->beta, 1);
}

static gru_status check_activations(const gru_layer_config *config) {
    const named_activation gate = {
        "gate",           config->gate, GRU_GATE_HARD_SIGMOID, gru_gate_row(config->gate), config->gate_alpha,
        config->gate_beta};
    const named_activation candidate = {"candidate",
                                        config->candidate,
                                        GRU_CANDIDATE_LINEAR,
                                        gru_candidate_row(config->candidate),
                                        config->candidate_alpha,
                                        config->candidate_beta};
    GRU_TRY(check_activation(&gate));
    return check_activation(&candidate);
}

gru_status gru_check_layer_config(const gru_layer_config *config) {
    if (config->inputs < 0 || config->inputs > MAX_UNITS)
        return gru_fail(GRU_BAD_ARGUMENT, "config.inputs is %d, expected 0 to %d", config->inputs, MAX_UNITS);
    if (config->hidden < 1 || config->hidden > MAX_UNITS)
        return gru_fail(GRU_BAD_ARGUMENT, "config.hidden is %d, expected 1 to %d", config->hidden, MAX_UNITS);
    if (config->weight_type == GRU_INT8 &&
        (config->inputs > MAX_INT8_UNITS || config->hidden > MAX_INT8_UNITS))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.inputs is %d and hidden %d, expected at most %d with int8 weights",
                        config->inputs, config->hidden, MAX_INT8_UNITS);
    GRU_TRY(check_choice("reset_mode", config->reset_mode, GRU_RESET_ALL));
    GRU_TRY(check_choice("update", config->update, GRU_UPDATE_WRITE));
    GRU_TRY(check_activations(config));
    GRU_TRY(check_choice("direction", config->direction, GRU_REVERSE));
    GRU_TRY(check_types(config));
    if (!(config->clip >= 0) || isinf(config->clip))
        return gru_fail(GRU_BAD_ARGUMENT, "config.clip is %g, expected a finite number, 0 (none) or more",
                        (double)config->clip);
    if (!(config->hard_slope >= 0) || isinf(config->hard_slope))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.hard_slope is %g, expected a finite number, 0 (for 0.2) or more",
                        (double)config->hard_slope);
    return gru_check_reserved("config", config->reserved, 6);
}

gru_status gru_check_weights(const gru_layer *layer, const gru_weights *weights) {
    if (!weights) return gru_fail(GRU_BAD_ARGUMENT, "weights is NULL");
    const size_t element = gru_type_bytes(weights->type);
    if (element == 0)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.type is %d, expected GRU_F32 to GRU_INT8", weights->type);
    if (weights->on_device != 0 && weights->on_device != 1)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.on_device is %d, expected 0 or 1", weights->on_device);
    if (weights->on_device && layer->context->config.backend == GRU_BACKEND_CPU)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.on_device is 1, but the context is a CPU, which has only host memory");
    if (!weights->W && layer->config.inputs > 0)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.W is NULL, expected [%d][%d]", 3 * layer->config.hidden,
                        layer->config.inputs);
    if (!weights->R)
        return gru_fail(GRU_BAD_ARGUMENT, "weights.R is NULL, expected [%d][%d]", 3 * layer->config.hidden,
                        layer->config.hidden);
    const int int8 = weights->type == GRU_INT8;
    if (int8 && (!weights->R_scale || (!weights->W_scale && layer->config.inputs > 0)))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.%s is NULL, expected a scale for each of %d rows with GRU_INT8",
                        weights->R_scale ? "W_scale" : "R_scale", 3 * layer->config.hidden);
    if (!int8 && (weights->W_scale || weights->R_scale))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "weights.%s is given, expected NULL: weights.type is %s, and scales go with int8",
                        weights->W_scale ? "W_scale" : "R_scale", gru_type_name(weights->type));
    GRU_TRY(gru_check_aligned("weights.W", weights->W, element));
    GRU_TRY(gru_check_aligned("weights.R", weights->R, element));
    GRU_TRY(gru_check_aligned("weights.bW", weights->bW, int8 ? sizeof(float) : element));
    GRU_TRY(gru_check_aligned("weights.bR", weights->bR, int8 ? sizeof(float) : element));
    GRU_TRY(gru_check_aligned("weights.W_scale", weights->W_scale, sizeof(float)));
    GRU_TRY(gru_check_aligned("weights.R_scale", weights->R_scale, sizeof(float)));
    GRU_TRY(gru_check_reserved("weights", weights->reserved, 4));
    return layer->context->backend->check_weights(layer, weights);
}

gru_status gru_check_weights_apart(const gru_layer *layer, const gru_weights *weights, const void *packed) {
    const size_t H = (size_t)layer->config.hidden, I = (size_t)layer->config.inputs;
    const size_t element = gru_type_bytes(weights->type);
    const size_t bias = 3 * H * (weights->type == GRU_INT8 ? sizeof(float) : element);
    gru_regions regions = {.count = 0};
    gru_regions_add(&regions, "weights.W", weights->W, 3 * H * I * element, 0);
    gru_regions_add(&regions, "weights.R", weights->R, 3 * H * H * element, 0);
    gru_regions_add(&regions, "weights.bW", weights->bW, bias, 0);
    gru_regions_add(&regions, "weights.bR", weights->bR, bias, 0);
    gru_regions_add(&regions, "weights.W_scale", weights->W_scale, 3 * H * sizeof(float), 0);
    gru_regions_add(&regions, "weights.R_scale", weights->R_scale, 3 * H * sizeof(float), 0);
    gru_regions_add(&regions, "packed", packed, layer->packed_bytes, 1);
    return gru_regions_check(&regions);
}
