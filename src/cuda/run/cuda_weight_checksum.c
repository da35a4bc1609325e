/* cuda_weight_checksum.c: which weights GRU_CHECK_WEIGHTS sums on the device, and into which reserve. */
#include "cuda_weight_checksum.h"

#include "core/reserve.h"

gru_status gru_cuda_sum_weights(const gru_layer *layer, const gru_run *run, int compare) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    if (!(layer->context->config.flags & GRU_CHECK_WEIGHTS) || run->mode == GRU_INFERENCE) return GRU_OK;
    gru_cuda_weights_sum sum = {.words = gru_run_packed(layer, run), .compare = compare};
    sum.count = (int64_t)(gru_cuda_packed_parts(&layer->config).staging /
                          sizeof *sum.words); /* all but the staging */
    sum.header = gru_reserve_header_of(&layer->config, run);
    sum.header.backend = GRU_BACKEND_CUDA;
    sum.reserve = run->reserve;
    sum.report = machine->report;
    return gru_cuda_status(machine, gru_cuda_launch_weights_sum(&sum, gru_cuda_stream(run->stream)),
                           "launching the sum over the weights");
}
