/* cuda_weight_checksum.h: finds weights that changed between forward and backward (GRU_CHECK_WEIGHTS). */
#ifndef GRU_CUDA_WEIGHT_CHECKSUM_H
#define GRU_CUDA_WEIGHT_CHECKSUM_H

#include "cuda/layer/cuda_layer.h"

/* Does nothing without GRU_CHECK_WEIGHTS. Forward (compare 0) stores a sum over the run's weights in the header of the
 * reserve, after the header was written. Backward (compare 1) reports a reserve that was made with other weights or by
 * another layer. Call it between gru_cuda_enter and gru_cuda_leave. */
gru_status gru_cuda_checksum_weights(const gru_layer *layer, const gru_run *run, int compare);

#endif
