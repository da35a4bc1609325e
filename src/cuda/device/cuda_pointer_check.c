/* cuda_pointer_check.c: asks the driver where memory lies. A kernel that follows a bad pointer loses the device for the
 * whole process, so a bad pointer must be found before the launch. */
#include "cuda_pointer_check.h"

#include <sys/mman.h>
#include <unistd.h>

/* Whether the process has memory there, which a device with page tables of the host reaches. The driver does not know. */
static int is_mapped(const void *data) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return msync((void *)((uintptr_t)data / page * page), 1, MS_ASYNC) == 0;
}

static int is_reachable(const gru_cuda_device *device, const void *data,
                        const struct cudaPointerAttributes *attributes) {
    switch (attributes->type) {
    case cudaMemoryTypeDevice:
        return attributes->device == device->ordinal;
    case cudaMemoryTypeManaged:
        return 1;
    case cudaMemoryTypeHost:
        return attributes->devicePointer != NULL || device->pageable;
    default:
        return device->pageable && is_mapped(data);
    }
}

gru_status gru_cuda_check_memory(gru_cuda_device *device, const char *name, const void *data) {
    struct cudaPointerAttributes attributes;
    if (!data) return GRU_OK;
    GRU_CUDA_TRY(device, cudaPointerGetAttributes(&attributes, data), "querying a pointer");
    if (is_reachable(device, data, &attributes)) return GRU_OK;
    if (attributes.type == cudaMemoryTypeDevice)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s is %p, memory of CUDA device %d; expected memory of CUDA device %d", name, data,
                        attributes.device, device->ordinal);
    if (device->pageable)
        return gru_fail(GRU_BAD_ARGUMENT, "%s is %p, where this process has no memory", name, data);
    return gru_fail(GRU_BAD_ARGUMENT,
                    "%s is %p, host memory; expected memory of CUDA device %d: gru_allocate gives it", name,
                    data, device->ordinal);
}

/* The runtime's own streams belong to the current device, which is the context's during a call. */
gru_status gru_cuda_check_stream(gru_cuda_device *device, void *stream) {
    int owner = device->ordinal;
    if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread) return GRU_OK;
    const cudaError_t error = cudaStreamGetDevice(stream, &owner);
    if (error == cudaErrorInvalidResourceHandle) {
        (void)cudaGetLastError();
        return gru_fail(GRU_BAD_ARGUMENT, "run.stream is %p, expected a cudaStream_t or NULL", stream);
    }
    GRU_CUDA_TRY(device, error, "querying the stream's device");
    if (owner == device->ordinal) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "run.stream is %p of CUDA device %d, expected one of CUDA device %d",
                    stream, owner, device->ordinal);
}

gru_status gru_cuda_check_buffer(gru_context *context, const char *name, const void *data) {
    if (context->config.flags & GRU_SKIP_POINTER_CHECKS) return GRU_OK;
    return gru_cuda_check_memory(gru_cuda_device_of(context), name, data);
}
