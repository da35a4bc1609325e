/* check_streaming.h: the quick check of streaming calls. */
#ifndef GRU_CHECK_STREAMING_H
#define GRU_CHECK_STREAMING_H

#include "core/layer.h"

/* 1: run is one step of one sequence on a CPU, dense, with nothing but x, y, h0, hT, packed and workspace, and passes every
 * check of a forward run; its strides are filled in. 0: it is something else or has a mistake, and is as it was. */
int gru_check_streaming(const gru_layer *layer, gru_run *run);

#endif
