/* cuda_pointer_check.c: asks the driver of every pointer of a run whether the device can follow it: a kernel that cannot takes
 * the whole device from the process. */
#include "core/error.h"
#include "cuda/cuda_engine.h"

enum { MOST_SEQUENCES = INT32_MAX - 127 }; /* kernels count them, and a tile's padding, with 32 bits */

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

/* The streams that every device has go with the current one, which is the context's while it works. */
static gru_status check_stream(gru_cuda_machine *machine, void *stream) {
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

gru_status gru_cuda_check_run(const gru_layer *layer, const gru_run *run) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const struct {
        const char *name;
        const void *data;
    } buffers[] = {
        {"run.x", run->x.data},
        {"run.projected", run->projected.data},
        {"run.y", run->y.data},
        {"run.h0", run->h0},
        {"run.hT", run->hT},
        {"run.h_restart", run->h_restart},
        {"run.lengths", run->lengths},
        {"run.h0_slots", run->h0_slots},
        {"run.hT_slots", run->hT_slots},
        {"run.restart", run->restart.data},
        {"run.attention", run->attention.data},
        {"run.packed", run->packed},
        {"run.workspace", run->workspace},
        {"run.reserve", run->mode == GRU_INFERENCE ? NULL : run->reserve},
    };
    if (run->N > MOST_SEQUENCES)
        return gru_fail(GRU_UNSUPPORTED, "run.N is %lld, expected at most %d on a CUDA device",
                        (long long)run->N, MOST_SEQUENCES);
    GRU_TRY(check_stream(machine, run->stream));
    if (layer->context->config.flags & GRU_SKIP_POINTER_CHECKS) return GRU_OK;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        GRU_TRY(gru_cuda_check_memory(machine, buffers[i].name, buffers[i].data));
    return GRU_OK;
}

gru_status gru_cuda_check_buffer(gru_context *context, const char *name, const void *data) {
    if (context->config.flags & GRU_SKIP_POINTER_CHECKS) return GRU_OK;
    return gru_cuda_check_memory(gru_cuda_machine_of(context), name, data);
}
