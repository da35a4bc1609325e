/* activation.c: the facts of the table of activations, and how a layer's configuration names its two. */
#include "activation.h"

#include <math.h>
#include <stddef.h>

#define ABSENT NAN
enum { NOT_NEGATIVE, ANY_SIGN };
static const gru_activation_facts facts[GRU_ACTIVATIONS] = {
#define ACTIVATION(NAME, word, alpha, beta, sign, ...) {word, alpha, beta, sign},
#include "activations.def"
#undef ACTIVATION
};

#define ACTIVATION(NAME, ...)                                                         \
    _Static_assert(GRU_ACTIVATION_##NAME == GRU_ACTIVATION_FIRST + GRU_ROW_OF_##NAME, \
                   "the constants of gru.h are in the order of the table");
#include "activations.def"
#undef ACTIVATION

const gru_activation_facts *gru_activation_facts_of(int32_t row) {
    return row >= 0 && row < GRU_ACTIVATIONS ? &facts[row] : NULL;
}

/* A value from GRU_ACTIVATION_FIRST on; -1: none. */
static int32_t row_of(int32_t value) {
    const int known = value >= GRU_ACTIVATION_FIRST && value < GRU_ACTIVATION_FIRST + GRU_ACTIVATIONS;
    return known ? value - GRU_ACTIVATION_FIRST : -1;
}

int32_t gru_gate_row(int32_t gate) {
    if (gate == GRU_GATE_SIGMOID) return GRU_ROW_OF_SIGMOID;
    return gate == GRU_GATE_HARD_SIGMOID ? GRU_ROW_OF_HARD_SIGMOID : row_of(gate);
}

int32_t gru_candidate_row(int32_t candidate) {
    if (candidate == GRU_CANDIDATE_TANH) return GRU_ROW_OF_TANH;
    if (candidate == GRU_CANDIDATE_RELU) return GRU_ROW_OF_RELU;
    return candidate == GRU_CANDIDATE_LINEAR ? GRU_ROW_OF_LINEAR : row_of(candidate);
}

/* 0 selects the default; a function without the number gets 0. */
static float filled(float number, float standard) {
    return isnan(standard) ? 0.0f : number == 0.0f ? standard : number;
}

static gru_activation activation_of(int32_t row, float alpha, float beta) {
    return (gru_activation){row, filled(alpha, facts[row].alpha), filled(beta, facts[row].beta)};
}

gru_activation gru_gate_of(const gru_layer_config *config) {
    const float slope = config->gate == GRU_GATE_HARD_SIGMOID ? config->hard_slope : config->gate_alpha;
    return activation_of(gru_gate_row(config->gate), slope, config->gate_beta);
}

gru_activation gru_candidate_of(const gru_layer_config *config) {
    return activation_of(gru_candidate_row(config->candidate), config->candidate_alpha,
                         config->candidate_beta);
}

int gru_gate_is_symmetric(const gru_layer_config *config) {
    const gru_activation f = gru_gate_of(config);
    return f.row == GRU_ROW_OF_SIGMOID ||
           ((f.row == GRU_ROW_OF_HARD_SIGMOID || f.row == GRU_ROW_OF_AFFINE) && f.beta == 0.5f);
}

void gru_activations_fill(gru_layer_config *config) {
    const gru_activation f = gru_gate_of(config), g = gru_candidate_of(config);
    if (config->hard_slope == 0) config->hard_slope = facts[GRU_ROW_OF_HARD_SIGMOID].alpha;
    config->gate = f.row + GRU_ACTIVATION_FIRST, config->gate_alpha = f.alpha, config->gate_beta = f.beta;
    config->candidate = g.row + GRU_ACTIVATION_FIRST;
    config->candidate_alpha = g.alpha, config->candidate_beta = g.beta;
    if (f.row == GRU_ROW_OF_SIGMOID) config->gate = GRU_GATE_SIGMOID;
    if (f.row == GRU_ROW_OF_HARD_SIGMOID) config->hard_slope = f.alpha;
    if (f.row == GRU_ROW_OF_HARD_SIGMOID && f.beta == facts[f.row].beta)
        config->gate = GRU_GATE_HARD_SIGMOID, config->gate_alpha = config->gate_beta = 0;
    if (g.row == GRU_ROW_OF_TANH) config->candidate = GRU_CANDIDATE_TANH;
    if (g.row == GRU_ROW_OF_RELU) config->candidate = GRU_CANDIDATE_RELU;
    if (g.row == GRU_ROW_OF_LINEAR) config->candidate = GRU_CANDIDATE_LINEAR;
}
