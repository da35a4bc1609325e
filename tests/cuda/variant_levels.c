/* variant_levels.c: draws the variants of covering arrays, and knows which have kinks. */
#include "variant_levels.h"

#include "support/problem.h"

enum { OTHER = 3 }; /* the level that stands for another activation */

static void draw_gate(gru_layer_config *config, int number) {
    static const gru_activation gates[] = {{GRU_ROW_OF_HARD_SIGMOID, 0.2f, 0.375f},
                                           {GRU_ROW_OF_AFFINE, 0.2f, 0.5f},
                                           {GRU_ROW_OF_SCALED_TANH, 0.625f, 0.375f}};
    const gru_activation f = gates[(size_t)number % (sizeof gates / sizeof *gates)];
    config->gate = GRU_ACTIVATION_FIRST + f.row, config->gate_alpha = f.alpha, config->gate_beta = f.beta;
}

static void draw_candidate(gru_layer_config *config, int number) {
    static const gru_activation candidates[] = {
        {GRU_ROW_OF_SIGMOID, 0, 0},           {GRU_ROW_OF_HARD_SIGMOID, 0.25f, 0.375f},
        {GRU_ROW_OF_LEAKY_RELU, 0.25f, 0},    {GRU_ROW_OF_ELU, 0.625f, 0},
        {GRU_ROW_OF_SOFTSIGN, 0, 0},          {GRU_ROW_OF_SOFTPLUS, 0, 0},
        {GRU_ROW_OF_SCALED_TANH, 1.5f, 0.5f}, {GRU_ROW_OF_HARD_TANH, 0, 0}};
    const gru_activation g = candidates[(size_t)number % (sizeof candidates / sizeof *candidates)];
    config->candidate = GRU_ACTIVATION_FIRST + g.row;
    config->candidate_alpha = g.alpha, config->candidate_beta = g.beta;
}

gru_layer_config variant_of_levels(const uint8_t levels[VARIANT_LEVELS], int number) {
    const int gate = levels[LEVEL_GATE] % OTHER, candidate = levels[LEVEL_CANDIDATE] % OTHER;
    const int end = levels[LEVEL_CLIP] + 2 * levels[LEVEL_DIRECTION];
    gru_layer_config config = problem_variant(
        levels[LEVEL_RESET] + 3 * (levels[LEVEL_UPDATE] + 2 * (gate + 3 * (candidate + 3 * end))));
    if (levels[LEVEL_GATE] == OTHER) draw_gate(&config, number);
    if (levels[LEVEL_CANDIDATE] == OTHER) draw_candidate(&config, number);
    return config;
}

static int has_kinks(gru_activation f) {
    switch (f.row) {
    case GRU_ROW_OF_HARD_SIGMOID:
    case GRU_ROW_OF_RELU:
    case GRU_ROW_OF_LEAKY_RELU:
    case GRU_ROW_OF_THRESHOLDED_RELU:
    case GRU_ROW_OF_SELU:
    case GRU_ROW_OF_RELU6:
    case GRU_ROW_OF_HARD_TANH:
    case GRU_ROW_OF_HARD_SILU:
        return 1;
    case GRU_ROW_OF_ELU:
        return f.alpha != 1;
    default:
        return 0;
    }
}

int variant_has_kinks(const gru_layer_config *config) {
    return has_kinks(gru_gate_of(config)) || has_kinks(gru_candidate_of(config)) || config->clip != 0;
}
