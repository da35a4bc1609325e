/* cuda_pointer_check.c: asks the driver where memory lies. A kernel that follows a bad pointer loses the device for the
 * whole process, so a bad pointer must be found before the launch. */
#include "cuda_pointer_check.h"

static int reaches(const gru_cuda_machine *machine, const struct cudaPointerAttributes *facts) {
    switch (facts->type) {
    case cudaMemoryTypeDevice:
        return facts->device == machine->device;
    case cudaMemoryTypeManaged:
        return 1;
    case cudaMemoryTypeHost:
        return facts->devicePointer != NULL || machine->pageable;
    default:
        return machine->pageable;
    }
}

gru_status gru_cuda_check_memory(gru_cuda_machine *machine, const char *name, const void *data) {
    struct cudaPointerAttributes facts;
    if (!data) return GRU_OK;
    GRU_CUDA_TRY(machine, cudaPointerGetAttributes(&facts, data), "asking where memory lies");
    if (reaches(machine, &facts)) return GRU_OK;
    if (facts.type == cudaMemoryTypeDevice)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s is %p, memory of CUDA device %d; expected memory of CUDA device %d", name, data,
                        facts.device, machine->device);
    return gru_fail(GRU_BAD_ARGUMENT,
                    "%s is %p, host memory; expected memory of CUDA device %d: gru_allocate gives it", name,
                    data, machine->device);
}

/* The runtime's own streams belong to the current device, which is the context's during a call. */
gru_status gru_cuda_check_stream(gru_cuda_machine *machine, void *stream) {
    int device = machine->device;
    if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread) return GRU_OK;
    const cudaError_t error = cudaStreamGetDevice(stream, &device);
    if (error == cudaErrorInvalidResourceHandle) {
        (void)cudaGetLastError();
        return gru_fail(GRU_BAD_ARGUMENT, "run.stream is %p, expected a cudaStream_t or NULL", stream);
    }
    GRU_CUDA_TRY(machine, error, "asking for the stream's device");
    if (device == machine->device) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "run.stream is %p of CUDA device %d, expected one of CUDA device %d",
                    stream, device, machine->device);
}

gru_status gru_cuda_check_buffer(gru_context *context, const char *name, const void *data) {
    if (context->config.flags & GRU_SKIP_POINTER_CHECKS) return GRU_OK;
    return gru_cuda_check_memory(gru_cuda_machine_of(context), name, data);
}
