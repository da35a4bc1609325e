/* cuda_memory.c: allocates with cudaMalloc or by the caller's allocator, and copies. */
#include "cuda_memory.h"

#include "core/host_memory.h"

/* A block of the caller's allocator. Its release needs the size, which cannot be stored in front of the block: that is device
 * memory. */
typedef struct gru_cuda_block {
    struct gru_cuda_block *next;
    void *memory;
    size_t bytes;
} gru_cuda_block;

static cudaError_t allocate_from_caller(gru_context *context, size_t bytes, void **memory) {
    const gru_allocator *allocator = &context->config.allocator;
    gru_cuda_device *device = gru_cuda_device_of(context);
    gru_cuda_block *block = gru_host_allocate(context, sizeof *block, "the size of a buffer");
    void *given = block ? allocator->allocate(allocator->user, bytes, GRU_CUDA_ALIGN, 1) : NULL;
    if (!given) {
        gru_host_free(context, block, sizeof *block);
        return cudaErrorMemoryAllocation;
    }
    *block = (gru_cuda_block){.memory = given, .bytes = bytes};
    (void)pthread_mutex_lock(&device->mutex);
    block->next = device->blocks;
    device->blocks = block;
    (void)pthread_mutex_unlock(&device->mutex);
    *memory = given;
    return cudaSuccess;
}

/* Removes the block of this memory from the list; NULL: there is none. */
static gru_cuda_block *remove_block(gru_cuda_device *device, const void *memory) {
    (void)pthread_mutex_lock(&device->mutex);
    gru_cuda_block **link = &device->blocks;
    while (*link && (*link)->memory != memory) link = &(*link)->next;
    gru_cuda_block *block = *link;
    if (block) *link = block->next;
    (void)pthread_mutex_unlock(&device->mutex);
    return block;
}

gru_status gru_cuda_allocate(gru_context *context, size_t bytes, void **memory) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    const size_t whole = gru_cuda_align(bytes ? bytes : 1);
    void *result = NULL;
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = whole == SIZE_MAX ? cudaErrorMemoryAllocation
                              : context->config.allocator.allocate
                                  ? allocate_from_caller(context, whole, &result)
                                  : cudaMalloc(&result, whole);
    gru_cuda_leave(device, previous);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory on CUDA device %d for %zu bytes", device->ordinal,
                        bytes);
    }
    GRU_CUDA_TRY(device, error, "allocating memory");
    *memory = result;
    return GRU_OK;
}

void gru_cuda_release(gru_context *context, void *memory) {
    const gru_allocator *allocator = &context->config.allocator;
    gru_cuda_device *device = gru_cuda_device_of(context);
    const int previous = gru_cuda_enter_to_release(device);
    if (allocator->release) {
        gru_cuda_block *block = remove_block(device, memory);
        if (block) allocator->release(allocator->user, memory, block->bytes, 1);
        gru_host_free(context, block, sizeof *block);
    } else if (cudaFree(memory) != cudaSuccess)
        (void)cudaGetLastError(); /* the device is lost, and its memory with it */
    gru_cuda_leave(device, previous);
}

void gru_cuda_free_blocks(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    while (device->blocks) {
        gru_cuda_block *block = device->blocks;
        device->blocks = block->next;
        gru_host_free(context, block, sizeof *block);
    }
}

gru_status gru_cuda_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gru_cuda_stream(stream));
    gru_cuda_leave(device, previous);
    return gru_cuda_status(device, error, "copying memory");
}
