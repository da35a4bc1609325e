/* cuda_weight_checksum.c: which weights GRU_CHECK_WEIGHTS sums on the device, and into which reserve. */
#include "cuda_weight_checksum.h"

#include "core/reserve.h"

gru_status gru_cuda_checksum_weights(const gru_layer *layer, const gru_run *run, int compare) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    if (!(layer->context->config.flags & GRU_CHECK_WEIGHTS) || run->mode == GRU_INFERENCE) return GRU_OK;
    gru_cuda_weight_checksum sum = {.words = gru_run_packed(layer, run), .compare = compare};
    sum.count = (int64_t)(gru_cuda_packed_layout_of(&layer->config).staging /
                          sizeof *sum.words); /* all but the staging */
    sum.header = gru_reserve_header_of(&layer->config, run);
    sum.header.backend = GRU_BACKEND_CUDA;
    sum.reserve = run->reserve;
    sum.device_error = device->device_error;
    return gru_cuda_status(device, gru_cuda_launch_weight_checksum(&sum, gru_cuda_stream(run->stream)),
                           "launching the sum over the weights");
}
