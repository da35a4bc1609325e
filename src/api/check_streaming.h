/* check_streaming.h: the quick check of streaming calls. */
#ifndef GRU_CHECK_STREAMING_H
#define GRU_CHECK_STREAMING_H

#include "core/layer.h"

/* Returns 1 and fills in the strides if run is a streaming call on a CPU with nothing but dense x, y, h0, hT, packed and
 * workspace, and passes every check of a forward run. Else returns 0 and leaves run unchanged. */
int gru_check_streaming(const gru_layer *layer, gru_run *run);

#endif
