/* cpu_pack.h: packs a layer's weights. */
#ifndef GRU_CPU_PACK_H
#define GRU_CPU_PACK_H

#include "core/layer.h"

/* Writes the packed weights, cpu_layout.h, to `packed`. */
void gru_cpu_pack(const gru_layer_config *config, const gru_weights *weights, void *packed);

#endif
