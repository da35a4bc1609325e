/* cuda_memory.h: device memory of a context. */
#ifndef GRU_CUDA_MEMORY_H
#define GRU_CUDA_MEMORY_H

#include "cuda_device.h"

/* gru_backend.allocate, .release and .copy. Memory is aligned to GRU_CUDA_ALIGN bytes. */
gru_status gru_cuda_allocate(gru_context *context, size_t bytes, void **memory);
void gru_cuda_release(gru_context *context, void *memory);
gru_status gru_cuda_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream);
/* At the context's end: frees the records of blocks that the caller never released. */
void gru_cuda_free_blocks(gru_context *context);

#endif
