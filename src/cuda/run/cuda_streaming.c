/* cuda_streaming.c: plans and launches a call of one step in one launch.
 *
 * hT may be h0. Then blocks that read all of h0 would meet others that already write hT, so the launch is cooperative and its
 * blocks wait for each other. The runtime's barrier of a grid is used, because a barrier counter would have to be cleared by
 * another launch. */
#include "cuda_streaming.h"

#include "cuda/kernels/cuda_streaming_kernels.h"
#include "cuda_absent_steps.h"
#include "cuda_arguments.h"
#include "cuda_cost_model.h"

/* A plan's own struct. */
typedef struct streaming_plan {
    int32_t in_place;
} streaming_plan;

/* ---- the plan ---- */

/* Whether a state that is written lies where one is read. */
static int is_in_place(const gru_job *jobs, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        for (int32_t j = 0; j < count; j++)
            if (jobs[i].run->hT && jobs[i].run->hT == jobs[j].run->h0) return 1;
    return 0;
}

static const char *declines_run(const gru_run *run) {
    if (run->T != 1) return "it runs calls of one step";
    if (run->N > GRU_CUDA_STREAMING_ROWS) return "it runs at most 8 sequences";
    if (run->mode != GRU_INFERENCE) return "training keeps a reserve";
    if (run->projected.data) return "the input is projected already";
    if (gru_cuda_has_timeline(run)) return "masks and ragged batches take a launch of their own";
    return NULL;
}

const char *gru_cuda_plan_streaming(const gru_job *jobs, gru_plan *plan) {
    streaming_plan *own = (streaming_plan *)(void *)plan->own;
    const gru_layer *layer = jobs[0].layer;
    const gru_run *run = jobs[0].run;
    const gru_cuda_device *device = gru_cuda_device_of(layer->context);
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    const gru_cuda_size size = {prepared->compute_type, run->N, layer->config.hidden,
                                layer->config.reset_mode, plan->count};
    const char *reason = declines_run(run);
    if (reason) return reason;
    own->in_place = is_in_place(jobs, plan->count);
    if (run->N == 0) return NULL;
    const int32_t room = prepared->streaming_blocks[run->N - 1];
    const int32_t blocks = plan->count * ((layer->config.hidden + GRU_CUDA_OCTET - 1) / GRU_CUDA_OCTET);
    if (room == 0) return "x and h of a step do not fit the shared memory of a block";
    if (own->in_place && blocks > room) return "hT is h0, and the device does not hold all blocks at once";
    if (!layer->context->config.engine &&
        gru_cuda_streaming_seconds(device, &size, layer->config.inputs, own->in_place) >
            gru_cuda_separate_seconds(device, &size, layer->config.inputs))
        return "three launches should be faster at this size";
    return NULL;
}

/* ---- the launch ---- */

static gru_cuda_streaming_side side_of(const gru_job *job) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(config);
    const char *packed = gru_run_packed(job->layer, run);
    const int64_t pitch = gru_cuda_input_pitch(config->inputs, config->weight_type);
    return (gru_cuda_streaming_side){.W = packed + layout.W,
                                     .bW = (const float *)(const void *)(packed + layout.bW),
                                     .x = run->x,
                                     .inputs = config->inputs,
                                     .groups = gru_cuda_groups(config->inputs, config->weight_type),
                                     .line =
                                         (int32_t)(pitch * (int64_t)gru_type_bytes(config->weight_type) / 16),
                                     .h0 = run->h0,
                                     .h0_stride = run->h0_stride,
                                     .h0_slots = run->h0_slots};
}

gru_status gru_cuda_run_streaming(const gru_job *jobs, const gru_plan *plan) {
    const streaming_plan *own = (const streaming_plan *)(const void *)plan->own;
    const gru_layer *layer = jobs[0].layer;
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    gru_cuda_streaming_args args = {.step = {.directions = plan->count, .last = 1},
                                    .in_place = own->in_place,
                                    .device_error = device->device_error};
    int previous;
    if (jobs[0].run->N == 0) return GRU_OK;
    for (int32_t d = 0; d < plan->count; d++) {
        args.step.sequence[d] = gru_cuda_sequence_of(&jobs[d], 0);
        args.side[d] = side_of(&jobs[d]);
    }
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = gru_cuda_launch_streaming(gru_cuda_layer_of(layer)->compute_type, &args,
                                                        gru_cuda_stream(jobs[0].run->stream));
    gru_cuda_leave(device, previous);
    return gru_cuda_status(device, error, "launching a call of one step");
}
