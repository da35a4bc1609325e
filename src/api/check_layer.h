/* check_layer.h: checks the configuration and the weights of a layer. */
#ifndef GRU_CHECK_LAYER_H
#define GRU_CHECK_LAYER_H

#include "core/layer.h"

/* Values that some backends have no engine for, such as GRU_INT8 as weight_type, pass: gru_layer_choose_engines refuses them. */
gru_status gru_check_layer_config(const gru_layer_config *config);

/* The weights and their numbers, for a layer whose context and configuration are set. What passes can be packed. */
gru_status gru_check_weights(const gru_layer *layer, const gru_weights *weights);

/* GRU_BAD_ARGUMENT if the weights overlap packed, which is cleared before they are read. */
gru_status gru_check_weights_apart(const gru_layer *layer, const gru_weights *weights, const void *packed);

#endif
