/* variant_levels.h: the variant of a layer as six dimensions of a covering array. */
#ifndef GRU_TEST_VARIANT_LEVELS_H
#define GRU_TEST_VARIANT_LEVELS_H

#include "gru/gru.h"

/* The dimensions, in this order, have 3, 2, 4, 4, 2 and 2 levels. Gate and candidate: three of problem_variant, and another
 * activation. */
enum { LEVEL_RESET, LEVEL_UPDATE, LEVEL_GATE, LEVEL_CANDIDATE, LEVEL_CLIP, LEVEL_DIRECTION, VARIANT_LEVELS };

/* The variant of a row's six levels; its number draws which other activation. Slopes are as small as those for which the budget
 * of rounded operands is made; test_activations has all functions. */
gru_layer_config variant_of_levels(const uint8_t levels[VARIANT_LEVELS], int number);

/* Whether a slope of the layer jumps somewhere. */
int variant_has_kinks(const gru_layer_config *config);

#endif
