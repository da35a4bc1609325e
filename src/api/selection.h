/* selection.h: which engines can run a layer, and which of them runs a call. */
#ifndef GRU_SELECTION_H
#define GRU_SELECTION_H

#include "core/engine.h"

/* Fills layer->engines with those of its backend that accept the configuration, best first, down to one that runs every
 * size and one that has a backward pass. GRU_UNSUPPORTED with the reasons if there is none. */
gru_status gru_layer_choose_engines(gru_layer *layer);

/* The most that any of the layer's engines needs, in bytes; SIZE_MAX: too large. T and N are 0 or more. */
size_t gru_layer_workspace(const gru_layer *layer, int64_t T, int64_t N, int backward);

/* The first of the layer's engines that runs these sizes, or NULL. run NULL: the first that runs all, or the last. */
const gru_engine *gru_layer_engine(const gru_layer *layer, const gru_run *run);
/* The same as a status, with the reasons in the sentence; and the engine of the backward pass. run: checked. */
gru_status gru_layer_forward_engine(const gru_layer *layer, const gru_run *run, const gru_engine **engine);
gru_status gru_layer_backward_engine(const gru_layer *layer, const gru_engine **engine);

#endif
