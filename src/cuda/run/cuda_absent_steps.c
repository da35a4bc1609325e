/* cuda_absent_steps.c: fills in the arguments of the kernels that make the table of times and repeat outputs. */
#include "cuda_absent_steps.h"

#include "core/layout.h"
#include "cuda/device/cuda_device.h"

int gru_cuda_has_timeline(const gru_run *run) {
    return run->mask.data || gru_run_is_ragged(run);
}

gru_cuda_ragged gru_cuda_ragged_of(const gru_run *run) {
    if (!run) return (gru_cuda_ragged){0};
    return (gru_cuda_ragged){run->offsets, run->batch_sizes, run->batch_order, run->ragged_rows};
}

void gru_cuda_use_timeline(const gru_run *run, void *memory, gru_cuda_sequence *seq) {
    if (!gru_cuda_has_timeline(run)) return;
    seq->lengths = memory;
    seq->times = seq->lengths + run->N;
    seq->ragged = gru_run_is_ragged(run);
}

/* A sequence only reads the table. */
gru_status gru_cuda_make_timeline(const gru_job *job, const gru_cuda_sequence *seq) {
    gru_cuda_device *device = gru_cuda_device_of(job->layer->context);
    const gru_run *run = job->run;
    const cudaStream_t stream = gru_cuda_stream(run->stream);
    const gru_cuda_timeline line = {.T = seq->T,
                                    .N = seq->N,
                                    .direction = seq->direction,
                                    .mask = run->mask,
                                    .ragged = gru_cuda_ragged_of(run),
                                    .counts = (int32_t *)(uintptr_t)seq->lengths,
                                    .times = (int32_t *)(uintptr_t)seq->times,
                                    .device_error = device->device_error};
    if (!seq->times) return GRU_OK;
    if (run->batch_sizes)
        GRU_CUDA_TRY(device, cudaMemsetAsync(line.counts, 0xff, (size_t)run->N * sizeof *line.counts, stream),
                     "clearing the numbers of steps");
    GRU_CUDA_TRY(device, gru_cuda_launch_timeline(&line, stream), "launching the table of times");
    return GRU_OK;
}

gru_status gru_cuda_repeat_outputs(const gru_job *job, const gru_cuda_sequence *seq) {
    if (job->run->absent_output != GRU_ABSENT_LAST || !seq->y.data || !seq->lengths || seq->ragged ||
        seq->T == 0)
        return GRU_OK;
    return gru_cuda_status(gru_cuda_device_of(job->layer->context),
                           gru_cuda_launch_repeat(seq, gru_cuda_stream(job->run->stream)),
                           "launching the repetition of outputs");
}
