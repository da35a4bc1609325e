/* cuda_backward.c: the order of launches of a backward pass: chunk by chunk, from the last steps to the first, rows, what
 * forward computed once more, the backward steps, and the gradients of inputs and weights.
 *
 * The gate gradients of all steps stay in the workspace, so that the weight part can come later; both parts add up chunks in
 * the same order, so that the bits are the same in one call and in two. */
#include "cuda_backward.h"

#include <string.h>

#include "core/error.h"
#include "cuda/layer/cuda_gemm.h"
#include "cuda_absent_steps.h"
#include "cuda_plan.h"
#include "cuda_weight_checksum.h"

/* The jobs that share launches: one or two directions. */
typedef struct backward {
    const gru_cuda_step_launcher *launcher;
    int32_t count;
    int data, weights; /* the parts */
    int gathers;       /* x is copied row by row before it is multiplied */
    gru_cuda_device *device;
    gru_cuda_launch_context context;
    gru_cuda_direction direction[GRU_CUDA_DIRECTIONS];
    gru_cuda_prologue gather;
    gru_cuda_state_rows states;
    gru_cuda_backward_step_args step;
} backward;

#define TRY(expression, what) GRU_CUDA_TRY(call->device, expression, what)
static const char launching_rows[] = "launching rows of states";

/* ---- arguments of launches ---- */

static gru_cuda_backward_sequence sequence_of(const gru_cuda_direction *dir) {
    const gru_run *run = dir->job->run;
    const gru_gradients *g = dir->job->gradients;
    const gru_cuda_backward_workspace *ws = dir->workspace;
    gru_cuda_backward_sequence seq = {.forward = gru_cuda_sequence_of(dir->job, ws->timeline)};
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&dir->job->layer->config);
    seq.R_transposed = gru_cuda_workspace_ptr(run, ws->transposed + layout.R_transposed);
    seq.dy = g->dy, seq.dhT = g->dhT, seq.dprojected = g->dprojected;
    seq.dh0 = g->dh0, seq.dh_restart = g->dh_restart;
    seq.rows = gru_cuda_workspace_ptr(run, ws->gradients);
    for (int i = 0; i < 2; i++) seq.exchange[i] = gru_cuda_workspace_ptr(run, ws->exchange[i]);
    seq.direct = gru_cuda_workspace_ptr(run, ws->direct);
    if (g->dh_restart && run->restart.data) seq.restart_sum = gru_cuda_workspace_ptr(run, ws->restart_sum);
    if (seq.forward.reset_mode == GRU_RESET_BEFORE)
        seq.barrier_counter = gru_cuda_workspace_ptr(run, ws->barrier_counter);
    return seq;
}

static void prepare_direction(backward *call, int32_t i, const gru_job *job,
                              const gru_cuda_backward_workspace *workspace) {
    const gru_layer_config *config = &job->layer->config;
    gru_cuda_direction *dir = &call->direction[i];
    *dir = (gru_cuda_direction){
        .job = job, .device = call->device, .stream = call->context.stream, .workspace = workspace};
    dir->planes = gru_cuda_gradient_planes(config->reset_mode);
    dir->units = gru_cuda_unit_pitch(config->hidden);
    dir->pitch = gru_cuda_input_pitch(config->inputs, config->weight_type);
    call->step.sequence[i] = call->states.sequence[i] = sequence_of(dir);
    call->gather.sequence[i] = call->step.sequence[i].forward;
    if (!call->gathers) return;
    dir->gathered = gru_cuda_workspace_ptr(job->run, dir->workspace->x_rows);
    gru_cuda_gather(&call->gather, i, job, gru_cuda_workspace_ptr(job->run, dir->workspace->x_rows));
}

/* Of the jobs first, first + 1 .. that the plan runs together. */
static void prepare(backward *call, const gru_job *jobs, const gru_plan *plan, int32_t first) {
    const gru_cuda_plan *own = gru_cuda_plan_of(plan);
    const uint32_t both = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS, parts = jobs[0].gradients->parts & both;
    memset(call, 0, sizeof *call);
    call->launcher = own->launcher;
    call->count = own->choice.directions;
    call->data = parts != GRU_GRAD_WEIGHTS;
    call->weights = parts != GRU_GRAD_DATA;
    call->device = gru_cuda_device_of(jobs[0].layer->context);
    call->context = gru_cuda_launch_context_of(jobs, plan);
    call->step.directions = call->gather.directions = call->states.directions = call->count;
    call->gather.device_error = call->device->device_error;
    for (int32_t i = 0; i < call->count; i++) call->gathers |= gru_cuda_must_gather(&jobs[first + i], 0);
    for (int32_t i = 0; i < call->count; i++)
        prepare_direction(call, i, &jobs[first + i], &own->layout[first + i].backward);
}

/* ---- rows ---- */

static int64_t padding(const backward *call, int which, int64_t rows) {
    const gru_cuda_gemm *gemm = gru_cuda_layer_of(call->direction[0].job->layer)->gemms[which];
    return gru_cuda_gemm_rows(gemm, rows) - rows;
}

/* The states of the reserve, and with the first chunk of the data part what the first backward step reads. */
static gru_status make_states(backward *call, const gru_cuda_chunk *chunk) {
    gru_cuda_state_rows *states = &call->states;
    states->begins = call->data && chunk->first;
    states->s = chunk->s;
    states->steps = chunk->steps;
    states->padding = padding(call, GRU_CUDA_GEMM_C, chunk->rows);
    for (int32_t i = 0; i < call->count; i++) {
        const gru_cuda_direction *dir = &call->direction[i];
        const int wanted = chunk->rows && (call->data || dir->job->gradients->dR);
        states->rows[i] = wanted ? gru_cuda_row(dir, dir->workspace->states, 0, 0) : NULL;
    }
    if (!states->begins && !states->rows[0] && !states->rows[1]) return GRU_OK;
    TRY(gru_cuda_launch_state_rows(call->context.compute_type, states, call->context.stream), launching_rows);
    return GRU_OK;
}

static gru_status gather_inputs(backward *call, const gru_cuda_chunk *chunk) {
    int wanted = call->data;
    for (int32_t i = 0; i < call->count; i++) wanted |= call->direction[i].job->gradients->dW != NULL;
    if (!call->gathers || !wanted || chunk->rows == 0) return GRU_OK;
    call->gather.s = chunk->s;
    call->gather.steps = chunk->steps;
    call->gather.padding = padding(call, GRU_CUDA_GEMM_A, chunk->rows);
    TRY(gru_cuda_launch_prologue(call->context.compute_type, &call->gather, call->context.stream),
        "launching rows of inputs");
    return GRU_OK;
}

/* With GRU_BATCH_INVARIANT products also read rows behind the last ones, which only must have been written. */
static gru_status clear_padding(const backward *call, const gru_cuda_direction *dir) {
    const int64_t row = dir->planes * dir->units, rows = dir->job->run->T * dir->job->run->N;
    const size_t element = gru_type_bytes(dir->job->layer->config.weight_type);
    if (dir->workspace->padding == 0 || !dir->job->gradients->dx.data) return GRU_OK;
    TRY(cudaMemsetAsync(gru_cuda_row(dir, dir->workspace->gradients, rows, row), 0,
                        (size_t)(dir->workspace->padding * row) * element, dir->stream),
        "clearing rows of gradients");
    return GRU_OK;
}

static gru_status transpose_weights(const backward *call, const gru_cuda_direction *dir) {
    const gru_layer_config *config = &dir->job->layer->config;
    const gru_cuda_packed_layout packed = gru_cuda_packed_layout_of(config);
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(config);
    const char *weights = gru_run_packed(dir->job->layer, dir->job->run);
    char *transposed = gru_cuda_workspace_ptr(dir->job->run, dir->workspace->transposed);
    const gru_cuda_transpose args = {.compute_type = call->context.compute_type,
                                     .inputs = config->inputs,
                                     .H = config->hidden,
                                     .W = weights + packed.W,
                                     .R = weights + packed.R,
                                     .W_rows = dir->job->gradients->dx.data ? transposed + layout.W : NULL,
                                     .R_rows = transposed + layout.R,
                                     .transposed = transposed + layout.R_transposed};
    TRY(gru_cuda_launch_transpose(&args, dir->stream), "launching the transposition of weights");
    return GRU_OK;
}

/* ---- what forward computed ---- */

/* a of the chunk, and where its first step finds it. */
static gru_status project(backward *call, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *dir = &call->direction[i];
    const gru_job *job = dir->job;
    if (!job->run->x.data) {
        call->step.input[i] = gru_cuda_given_input(job);
        return GRU_OK;
    }
    float *out = gru_cuda_workspace_ptr(job->run, dir->workspace->projected);
    call->step.input[i] = gru_cuda_projected_input(job, out);
    return gru_cuda_project(job, gru_cuda_x_of(job, dir->gathered, chunk->s, chunk->steps), chunk->rows, 0,
                            out, gru_cuda_workspace_ptr(job->run, dir->workspace->gemms));
}

/* c of the chunk, without its bias. */
static gru_status recur(backward *call, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *dir = &call->direction[i];
    call->step.recurrent[i] =
        (gru_cuda_input){.data = gru_cuda_workspace_ptr(dir->job->run, dir->workspace->recurrent),
                         .batch_stride = GATES * dir->units,
                         .type = GRU_F32,
                         .gate_stride = dir->units,
                         .bias = call->step.sequence[i].forward.bR};
    return gru_cuda_recur(dir, chunk);
}

/* Reset BEFORE: r h of the chunk, and R_n (r h). Behind the rows of the last steps lies padding, behind others are rows. */
static gru_status recur_reset(backward *call, const gru_cuda_chunk *chunk) {
    const int64_t N = call->direction[0].job->run->N;
    gru_cuda_reset_rows rows = {.directions = call->count, .s = chunk->s, .steps = chunk->steps};
    if (chunk->first) rows.padding = padding(call, GRU_CUDA_GEMM_RESET_C, chunk->rows);
    for (int32_t i = 0; i < call->count; i++) {
        const gru_cuda_direction *dir = &call->direction[i];
        rows.forward[i] = call->step.sequence[i].forward;
        rows.input[i] = call->step.input[i];
        rows.recurrent[i] = call->step.recurrent[i];
        if (!rows.input[i].time_stride) rows.input_step[i] = N * rows.input[i].batch_stride;
        rows.rows[i] = gru_cuda_row(dir, dir->workspace->reset_states, chunk->s * N, dir->units);
    }
    TRY(gru_cuda_launch_reset_rows(call->context.compute_type, &rows, call->context.stream), launching_rows);
    for (int32_t i = 0; i < call->count; i++) GRU_TRY(gru_cuda_recur_reset(&call->direction[i], chunk));
    return GRU_OK;
}

static gru_status recompute(backward *call, const gru_cuda_chunk *chunk) {
    for (int32_t i = 0; i < call->count; i++) {
        GRU_TRY(project(call, i, chunk));
        GRU_TRY(recur(call, i, chunk));
    }
    return call->step.sequence[0].forward.reset_mode == GRU_RESET_BEFORE ? recur_reset(call, chunk) : GRU_OK;
}

/* ---- steps ---- */

/* Points step i of the chunk's to its rows. */
static void find_rows(const backward *call, gru_cuda_backward_step_args *step, int32_t d, int64_t i) {
    const gru_cuda_direction *dir = &call->direction[d];
    const int64_t N = dir->job->run->N, octets = gru_cuda_unit_octets(dir->job->layer->config.hidden);
    if (!step->input[d].time_stride)
        step->input[d].data = (const float *)call->step.input[d].data + i * N * step->input[d].batch_stride;
    step->recurrent[d].data =
        (const float *)call->step.recurrent[d].data + i * N * step->recurrent[d].batch_stride;
    if (dir->job->gradients->dattention.data)
        step->attention[d] =
            (float *)gru_cuda_workspace_ptr(dir->job->run, dir->workspace->attention) + i * N * octets;
}

static int wants_states(const backward *call) {
    int wanted = 0;
    for (int32_t i = 0; i < call->count; i++)
        wanted |= call->step.sequence[i].dh0 || call->step.sequence[i].dh_restart;
    return wanted;
}

/* One more step follows step 0: it stores dh. */
static gru_status run_steps(const backward *call, const gru_cuda_chunk *chunk) {
    const int64_t end = chunk->s == 0 && wants_states(call) ? -1 : chunk->s;
    int default_path = 1;
    for (int32_t d = 0; d < call->count; d++)
        default_path &= gru_cuda_takes_default_path(&call->step.sequence[d].forward, &call->step.input[d]) &&
                        !call->step.sequence[d].dprojected.data &&
                        !call->direction[d].job->gradients->dattention.data;
    for (int64_t s = chunk->s + chunk->steps - 1; s >= end; s--) {
        gru_cuda_backward_step_args step = call->step;
        step.s = s;
        step.default_path = default_path;
        step.depends = call->context.overlap && s != chunk->s + chunk->steps - 1;
        step.trigger = call->context.overlap && s != end;
        for (int32_t d = 0; d < call->count && s >= 0; d++) find_rows(call, &step, d, s - chunk->s);
        TRY(call->launcher->backward(&call->context, &step), "launching a backward step");
    }
    return GRU_OK;
}

static gru_status sum_attention(const backward *call, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *dir = &call->direction[i];
    const gru_cuda_attention_sums sums = {
        .forward = call->step.sequence[i].forward,
        .s = chunk->s,
        .steps = chunk->steps,
        .octets = gru_cuda_workspace_ptr(dir->job->run, dir->workspace->attention),
        .dattention = dir->job->gradients->dattention};
    if (!sums.dattention.data) return GRU_OK;
    TRY(gru_cuda_launch_attention_sums(&sums, dir->stream), "launching the gradient of attention");
    return GRU_OK;
}

/* ---- the call ---- */

static gru_status begin(const backward *call, const gru_cuda_direction *dir) {
    GRU_TRY(gru_cuda_checksum_weights(dir->job->layer, dir->job->run, 1));
    if (!call->data) return GRU_OK;
    GRU_TRY(transpose_weights(call, dir));
    return clear_padding(call, dir);
}

/* T = 0 is one chunk without rows: dhT becomes dh0. */
static gru_status run_chunk(backward *call, const gru_cuda_chunk *chunk) {
    for (int32_t i = 0; i < call->count && chunk->first; i++) GRU_TRY(begin(call, &call->direction[i]));
    GRU_TRY(make_states(call, chunk));
    GRU_TRY(gather_inputs(call, chunk));
    if (call->data) {
        if (chunk->rows) GRU_TRY(recompute(call, chunk));
        GRU_TRY(run_steps(call, chunk));
    }
    for (int32_t i = 0; i < call->count && chunk->rows; i++) {
        if (call->data) GRU_TRY(sum_attention(call, i, chunk));
        if (call->data)
            GRU_TRY(gru_cuda_input_gradient(&call->direction[i], &call->step.sequence[i].forward, chunk));
        if (call->weights) GRU_TRY(gru_cuda_sum_gradients(&call->direction[i], chunk));
    }
    return GRU_OK;
}

static gru_status run_all(backward *call) {
    const gru_run *run = call->direction[0].job->run;
    const int64_t most = call->direction[0].workspace->steps;
    for (int32_t i = 0; i < call->count && run->N > 0; i++)
        GRU_TRY(gru_cuda_make_timeline(call->direction[i].job, &call->step.sequence[i].forward));
    for (int64_t left = run->T, first = 1; run->N > 0 && (left > 0 || first); first = 0) {
        const int64_t steps = left < most ? left : most;
        const gru_cuda_chunk chunk = {left - steps, steps, steps * run->N, first != 0};
        GRU_TRY(run_chunk(call, &chunk));
        left -= steps;
    }
    for (int32_t i = 0; i < call->count && call->weights; i++)
        GRU_TRY(gru_cuda_store_gradients(&call->direction[i]));
    return GRU_OK;
}

gru_status gru_cuda_backward(const gru_job *jobs, const gru_plan *plan) {
    gru_cuda_device *device = gru_cuda_device_of(jobs[0].layer->context);
    gru_status status = GRU_OK;
    backward call;
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    for (int32_t i = 0; status == GRU_OK && i < plan->count; i += call.count) {
        prepare(&call, jobs, plan, i);
        status = run_all(&call);
    }
    gru_cuda_leave(device, previous);
    return status;
}

size_t gru_cuda_backward_bytes(const gru_layer *layer, int64_t T, int64_t N) {
    return gru_cuda_backward_workspace_of(layer, T, N).bytes;
}
