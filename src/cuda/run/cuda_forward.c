/* cuda_forward.c: the order of launches of a forward pass: prologue, then chunk by chunk the projection and the steps.
 *
 * Steps are launched so that one may start before the one before it has ended: it fetches its weights and projected
 * input meanwhile. The first step after a projection waits for it in full, and the last step of a chunk lets nothing
 * start early, because what comes next may be a launch that knows nothing of this. */
#include "cuda_forward.h"

#include <string.h>

#include "core/error.h"
#include "core/reserve.h"
#include "cuda/layer/cuda_gemm.h"
#include "cuda_absent_steps.h"
#include "cuda_arguments.h"
#include "cuda_plan.h"
#include "cuda_weight_checksum.h"

/* The jobs that share launches: one or two directions. */
typedef struct forward {
    const gru_cuda_step_launcher *launcher;
    const gru_job *jobs;
    int32_t count;
    gru_cuda_device *device;
    const gru_cuda_gemm *projection;
    gru_cuda_launch_context context;
    const gru_cuda_workspace *workspace[GRU_CUDA_DIRECTIONS]; /* of the plan */
    int gathers; /* x is copied row by row before it is multiplied */
    int ragged;  /* it is multiplied as it lies, in one chunk: a row for each step that exists */
    gru_cuda_prologue prologue;
    gru_cuda_step_args step;
} forward;

/* ---- arguments of launches ---- */

static gru_cuda_sequence sequence_of(const gru_job *job, const gru_cuda_workspace *ws) {
    const gru_run *run = job->run;
    gru_cuda_sequence seq = gru_cuda_sequence_of(job, ws->timeline);
    for (int i = 0; i < 2; i++) seq.exchange[i] = gru_cuda_workspace_ptr(run, ws->exchange[i]);
    seq.state = gru_cuda_workspace_ptr(run, ws->state);
    if (seq.reset_mode != GRU_RESET_BEFORE) return seq;
    seq.exchange_reset = gru_cuda_workspace_ptr(run, ws->exchange_reset);
    seq.update_gate = gru_cuda_workspace_ptr(run, ws->update_gate);
    seq.barrier_counter = gru_cuda_workspace_ptr(run, ws->barrier_counter);
    return seq;
}

static void prepare_prologue(forward *call, int32_t d) {
    const gru_job *job = &call->jobs[d];
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    gru_cuda_prologue *p = &call->prologue;
    p->sequence[d] = call->step.sequence[d];
    p->h0[d] = run->h0, p->h0_stride[d] = run->h0_stride, p->h0_slots[d] = run->h0_slots;
    if (run->mode != GRU_INFERENCE) {
        const gru_reserve_header header = gru_reserve_header_of(config, run);
        p->reserve[d] = run->reserve;
        memcpy(p->reserve_header[d], &header, sizeof header);
    }
    if (call->gathers) gru_cuda_gather(p, d, job, gru_cuda_workspace_ptr(run, call->workspace[d]->rows));
}

/* Of the jobs first, first + 1 .. that the plan runs together. */
static void prepare(forward *call, const gru_job *jobs, const gru_plan *plan, int32_t first) {
    const gru_cuda_plan *own = gru_cuda_plan_of(plan);
    const gru_layer *layer = jobs[first].layer;
    memset(call, 0, sizeof *call);
    call->launcher = own->launcher, call->jobs = jobs + first, call->count = own->choice.directions;
    call->device = gru_cuda_device_of(layer->context);
    call->projection = gru_cuda_layer_of(layer)->gemms[GRU_CUDA_GEMM_A];
    call->context = gru_cuda_launch_context_of(jobs, plan);
    call->step.directions = call->prologue.directions = call->count;
    call->prologue.device_error = call->device->device_error;
    call->ragged = 1;
    for (int32_t d = 0; d < call->count; d++)
        call->ragged &= gru_cuda_projects_ragged(&call->jobs[d], own->layout[first + d].forward.steps);
    for (int32_t d = 0; d < call->count; d++)
        call->gathers |= gru_cuda_must_gather(&call->jobs[d], call->ragged);
    for (int32_t d = 0; d < call->count; d++) {
        call->workspace[d] = &own->layout[first + d].forward;
        call->step.sequence[d] = sequence_of(&call->jobs[d], call->workspace[d]);
        prepare_prologue(call, d);
    }
}

/* ---- launches ---- */

/* Rows of x in so many steps. */
static int64_t rows_of(const forward *call, int64_t steps) {
    const gru_run *run = call->jobs[0].run;
    return call->ragged ? run->ragged_rows : steps * run->N;
}

/* Rows of a padded batch's chunk, whose algorithm a ragged one takes. 0: it is not ragged. */
static int64_t padded_rows(const forward *call, int32_t d) {
    const int64_t T = call->jobs[d].run->T, most = call->workspace[d]->steps;
    return call->ragged ? (T < most ? T : most) * call->jobs[d].run->N : 0;
}

static gru_status begin_chunk(forward *call, int64_t s, int64_t steps) {
    gru_cuda_prologue *p = &call->prologue;
    if (s > 0 && !call->gathers) return GRU_OK;
    p->begins = s == 0;
    p->s = s;
    p->steps = call->ragged ? call->jobs[0].run->ragged_rows : steps;
    p->as_it_lies = call->ragged;
    if (call->gathers) {
        const int64_t rows = rows_of(call, steps);
        p->padding = gru_cuda_gemm_rows(call->projection, rows) - rows;
    }
    GRU_CUDA_TRY(call->device, gru_cuda_launch_prologue(call->context.compute_type, p, call->context.stream),
                 "launching the prologue");
    return GRU_OK;
}

/* Projects the steps s .. s + steps - 1 of direction d, or points to what the caller projected. */
static gru_status project(forward *call, int32_t d, int64_t s, int64_t steps) {
    const gru_job *job = &call->jobs[d];
    const gru_run *run = job->run;
    gru_cuda_input *input = &call->step.input[d];
    if (!run->x.data) {
        *input = gru_cuda_given_input(job);
        return GRU_OK;
    }
    float *out = gru_cuda_workspace_ptr(run, call->workspace[d]->projected);
    *input = gru_cuda_projected_input(job, out);
    if (call->ragged) input->time_stride = input->batch_stride, input->batch_stride = 0;
    return gru_cuda_project(job, gru_cuda_x_of(job, call->prologue.rows[d], s, steps), rows_of(call, steps),
                            padded_rows(call, d), out,
                            gru_cuda_workspace_ptr(run, call->workspace[d]->gemms));
}

/* Step i of the chunk's: where the rows of its projected input begin. */
static void find_input(forward *call, int32_t d, int64_t i, int64_t steps) {
    const gru_run *run = call->jobs[d].run;
    const int backwards = !call->gathers && call->jobs[d].layer->config.direction == GRU_REVERSE;
    if (!run->x.data || call->ragged) return;
    const float *projected = gru_cuda_workspace_ptr(run, call->workspace[d]->projected);
    call->step.input[d].data =
        projected + (backwards ? steps - 1 - i : i) * run->N * call->step.input[d].batch_stride;
}

static gru_status run_chunk(forward *call, int64_t s, int64_t steps) {
    const int64_t T = call->jobs[0].run->T;
    gru_cuda_step_args *step = &call->step;
    step->default_path = 1;
    for (int32_t d = 0; d < call->count; d++)
        step->default_path &= gru_cuda_takes_default_path(&step->sequence[d], &step->input[d]);
    for (int64_t i = 0; i < steps; i++) {
        step->s = s + i;
        step->last = s + i + 1 >= T;
        step->depends = call->context.overlap && i > 0;
        step->trigger = call->context.overlap && i + 1 < steps;
        for (int32_t d = 0; d < call->count; d++) find_input(call, d, i, steps);
        GRU_CUDA_TRY(call->device, call->launcher->forward(&call->context, step), "launching a step");
    }
    return GRU_OK;
}

/* T = 0 is one step in which no row is active: it passes h0 to hT. */
static gru_status run_all(forward *call) {
    const int64_t T = call->jobs[0].run->T, chunk = call->ragged ? T : call->workspace[0]->steps;
    for (int32_t d = 0; d < call->count; d++)
        GRU_TRY(gru_cuda_make_timeline(&call->jobs[d], &call->step.sequence[d]));
    for (int64_t s = 0; s < T || s == 0; s += chunk) {
        const int64_t steps = T == 0 ? 1 : T - s < chunk ? T - s : chunk;
        GRU_TRY(begin_chunk(call, s, T == 0 ? 0 : steps));
        for (int32_t d = 0; d < call->count && s == 0; d++)
            GRU_TRY(gru_cuda_checksum_weights(call->jobs[d].layer, call->jobs[d].run, 0));
        for (int32_t d = 0; d < call->count && T > 0; d++) GRU_TRY(project(call, d, s, steps));
        GRU_TRY(run_chunk(call, s, steps));
    }
    for (int32_t d = 0; d < call->count; d++)
        GRU_TRY(gru_cuda_repeat_outputs(&call->jobs[d], &call->step.sequence[d]));
    return GRU_OK;
}

gru_status gru_cuda_forward(const gru_job *jobs, const gru_plan *plan) {
    gru_cuda_device *device = gru_cuda_device_of(jobs[0].layer->context);
    gru_status status = GRU_OK;
    forward call;
    int previous;
    if (jobs[0].run->N == 0) return GRU_OK;
    GRU_TRY(gru_cuda_enter(device, &previous));
    for (int32_t i = 0; status == GRU_OK && i < plan->count; i += call.count) {
        prepare(&call, jobs, plan, i);
        status = run_all(&call);
    }
    gru_cuda_leave(device, previous);
    return status;
}

size_t gru_cuda_forward_bytes(const gru_layer *layer, int64_t T, int64_t N) {
    return gru_cuda_workspace_of(layer, T, N).bytes;
}
