/* check_layer.h: decides whether a layer can be made of a configuration and weights. */
#ifndef GRU_CHECK_LAYER_H
#define GRU_CHECK_LAYER_H

#include "core/layer.h"

gru_status gru_check_layer_config(const gru_layer_config *config);

/* The weights for a layer whose context and configuration are set. */
gru_status gru_check_weights(const gru_layer *layer, const gru_weights *weights);

/* packed is cleared before the weights are read: they may not lie in it. */
gru_status gru_check_weights_apart(const gru_layer *layer, const gru_weights *weights, const void *packed);

#endif
