/* cuda_check_run.c: lists the buffers of a run and checks each. */
#include "cuda_check_run.h"

#include "cuda/device/cuda_pointer_check.h"

enum {
    MAX_SEQUENCES = INT32_MAX - 127
}; /* kernels count sequences and the padding of a block tile in 32 bits */

gru_status gru_cuda_check_run(const gru_layer *layer, const gru_run *run) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
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
        {"run.mask", run->mask.data},
        {"run.offsets", run->offsets},
        {"run.batch_sizes", run->batch_sizes},
        {"run.batch_order", run->batch_order},
        {"run.h0_slots", run->h0_slots},
        {"run.hT_slots", run->hT_slots},
        {"run.restart", run->restart.data},
        {"run.attention", run->attention.data},
        {"run.packed", run->packed},
        {"run.workspace", run->workspace},
        {"run.reserve", run->mode == GRU_INFERENCE ? NULL : run->reserve},
    };
    if (run->N > MAX_SEQUENCES)
        return gru_fail(GRU_UNSUPPORTED, "run.N is %lld, expected at most %d on a CUDA device",
                        (long long)run->N, MAX_SEQUENCES);
    GRU_TRY(gru_cuda_check_stream(device, run->stream));
    if (layer->context->config.flags & GRU_SKIP_POINTER_CHECKS) return GRU_OK;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        GRU_TRY(gru_cuda_check_memory(device, buffers[i].name, buffers[i].data));
    return GRU_OK;
}
