/* activation.h: the activations f and g of a layer: which they are, their numbers, and what is allowed. */
#ifndef GRU_ACTIVATION_H
#define GRU_ACTIVATION_H

#include "gru/gru.h"

enum { GRU_ACTIVATION_FIRST = GRU_ACTIVATION_SIGMOID };

/* The rows of the table, counted from 0. */
enum {
#define ACTIVATION(NAME, ...) GRU_ROW_OF_##NAME,
#include "activations.def"
#undef ACTIVATION
    GRU_ACTIVATIONS
};

/* A function and its numbers, 0 where it has none. */
typedef struct gru_activation {
    int32_t row;
    float alpha, beta;
} gru_activation;

/* What the table says of a row. Defaults are NaN where a function has no such number. */
typedef struct gru_activation_facts {
    const char *word;
    float alpha, beta;
    int32_t may_be_negative; /* alpha */
} gru_activation_facts;

/* NULL: there is no such row. */
const gru_activation_facts *gru_activation_facts_of(int32_t row);

/* f and g of a checked configuration, numbers filled in, whichever constants name them. */
gru_activation gru_gate_of(const gru_layer_config *config);
gru_activation gru_candidate_of(const gru_layer_config *config);

/* The row that a value of config.gate or config.candidate names; -1: none. */
int32_t gru_gate_row(int32_t gate);
int32_t gru_candidate_row(int32_t candidate);

/* Whether 1 - f(v) = f(-v), so that weights of KEEP and WRITE convert into each other. The gate is a checked one. */
int gru_gate_is_symmetric(const gru_layer_config *config);

/* Fills in the defaults of a checked configuration. A function that has a constant GRU_GATE_... or GRU_CANDIDATE_... gets it,
 * and a hard sigmoid with another beta than 0.5 the other one, so that equal layers have equal configurations. */
void gru_activations_fill(gru_layer_config *config);

/* Whether f and g are the functions that every kernel has: sigmoid or hard sigmoid, and tanh, relu or linear. */
static inline int gru_activations_are_common(const gru_layer_config *config) {
    return (config->gate | config->candidate) < GRU_ACTIVATION_FIRST;
}

#endif
