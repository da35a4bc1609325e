/* host_memory.h: host memory through the context's allocator. */
#ifndef GRU_HOST_MEMORY_H
#define GRU_HOST_MEMORY_H

#include "context.h"

/* Aligned to 64 bytes; NULL with a sentence when there is none. `what` names the memory in the sentence. */
void *gru_host_allocate(const gru_context *context, size_t bytes, const char *what);
void gru_host_free(const gru_context *context, void *memory, size_t bytes);

#endif
