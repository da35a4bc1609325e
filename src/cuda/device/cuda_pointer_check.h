/* cuda_pointer_check.h: whether the device can reach a caller's memory, and whether a stream is the device's. */
#ifndef GRU_CUDA_POINTER_CHECK_H
#define GRU_CUDA_POINTER_CHECK_H

#include "cuda_device.h"

/* Asks the driver for the memory at data; the sentence of a failure calls it by name. NULL is reached. */
gru_status gru_cuda_check_memory(gru_cuda_device *device, const char *name, const void *data);
/* gru_backend.check_buffer: the same unless the context has GRU_SKIP_POINTER_CHECKS. */
gru_status gru_cuda_check_buffer(gru_context *context, const char *name, const void *data);
/* Whether run.stream is a stream of this device. NULL and the runtime's own streams are. */
gru_status gru_cuda_check_stream(gru_cuda_device *device, void *stream);

#endif
