/* cuda_check_run.h: the checks of a run that need the CUDA driver. */
#ifndef GRU_CUDA_CHECK_RUN_H
#define GRU_CUDA_CHECK_RUN_H

#include "core/layer.h"

/* gru_backend.check_run: whether the device can reach every buffer of the run, and owns its stream. */
gru_status gru_cuda_check_run(const gru_layer *layer, const gru_run *run);

#endif
