/* cuda_pack.h: packs a layer's weights on the device. */
#ifndef GRU_CUDA_PACK_H
#define GRU_CUDA_PACK_H

#include "core/layer.h"

/* gru_backend.check_weights. */
gru_status gru_cuda_check_weights(const gru_layer *layer, const gru_weights *weights);

/* gru_backend.pack: packed has the bytes of gru_cuda_packed_layout_of. Weights may lie on the host or on the device. */
gru_status gru_cuda_pack_weights(const gru_layer *layer, const gru_weights *weights, void *packed,
                                 void *stream);

#endif
