/* cuda_backward.c: the order of launches of a backward pass: chunk by chunk, from the last steps to the first, rows, what
 * forward computed once more, the sweep, and the gradients of inputs and weights.
 *
 * The gate gradients of all steps stay in the workspace, so that the weight part can come later; both parts add up chunks in
 * the same order, so that nobody sees in the bits whether they came together. */
#include "cuda_backward.h"

#include <string.h>

#include "core/error.h"
#include "cuda/layer/cuda_gemm.h"
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

#define TRY(expression, what) GRU_CUDA_TRY(b->device, expression, what)
static const char launching_rows[] = "launching rows of states";

/* ---- arguments of launches ---- */

static gru_cuda_backward_sequence sweep_of(const gru_cuda_direction *d) {
    const gru_run *run = d->job->run;
    const gru_gradients *g = d->job->gradients;
    const gru_cuda_backward_workspace *w = d->workspace;
    gru_cuda_backward_sequence q = {.forward = gru_cuda_sequence_of(d->job)};
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&d->job->layer->config);
    q.R_transposed = gru_cuda_workspace_ptr(run, w->transposed + layout.R_transposed);
    q.dy = g->dy, q.dhT = g->dhT, q.dprojected = g->dprojected;
    q.dh0 = g->dh0, q.dh_restart = g->dh_restart;
    q.rows = gru_cuda_workspace_ptr(run, w->gradients);
    for (int i = 0; i < 2; i++) q.exchange[i] = gru_cuda_workspace_ptr(run, w->exchange[i]);
    q.direct = gru_cuda_workspace_ptr(run, w->direct);
    if (g->dh_restart && run->restart.data) q.restart_sum = gru_cuda_workspace_ptr(run, w->restart_sum);
    if (q.forward.reset_mode == GRU_RESET_BEFORE)
        q.barrier_counter = gru_cuda_workspace_ptr(run, w->barrier_counter);
    return q;
}

static void prepare_direction(backward *b, int32_t i, const gru_job *job,
                              const gru_cuda_backward_workspace *workspace) {
    const gru_layer_config *config = &job->layer->config;
    gru_cuda_direction *d = &b->direction[i];
    *d = (gru_cuda_direction){
        .job = job, .device = b->device, .stream = b->context.stream, .workspace = workspace};
    d->planes = gru_cuda_gradient_planes(config->reset_mode);
    d->units = gru_cuda_unit_pitch(config->hidden);
    d->pitch = gru_cuda_input_pitch(config->inputs, config->weight_type);
    b->step.sequence[i] = b->states.sequence[i] = sweep_of(d);
    b->gather.sequence[i] = b->step.sequence[i].forward;
    if (!b->gathers) return;
    d->gathered = gru_cuda_workspace_ptr(job->run, d->workspace->x_rows);
    gru_cuda_gather(&b->gather, i, job, gru_cuda_workspace_ptr(job->run, d->workspace->x_rows));
}

/* Of the jobs first, first + 1 .. that the plan runs together. */
static void prepare(backward *b, const gru_job *jobs, const gru_plan *plan, int32_t first) {
    const gru_cuda_plan *own = gru_cuda_plan_of(plan);
    const uint32_t both = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS, parts = jobs[0].gradients->parts & both;
    memset(b, 0, sizeof *b);
    b->launcher = own->launcher;
    b->count = own->choice.directions;
    b->data = parts != GRU_GRAD_WEIGHTS;
    b->weights = parts != GRU_GRAD_DATA;
    b->device = gru_cuda_device_of(jobs[0].layer->context);
    b->context = gru_cuda_launch_context_of(jobs, plan);
    b->step.directions = b->gather.directions = b->states.directions = b->count;
    b->gather.device_error = b->device->device_error;
    for (int32_t i = 0; i < b->count; i++) b->gathers |= gru_cuda_must_gather(&jobs[first + i]);
    for (int32_t i = 0; i < b->count; i++)
        prepare_direction(b, i, &jobs[first + i], &own->layout[first + i].backward);
}

/* ---- rows ---- */

static int64_t padding(const backward *b, int which, int64_t rows) {
    const gru_cuda_gemm *gemm = gru_cuda_layer_of(b->direction[0].job->layer)->gemms[which];
    return gru_cuda_gemm_rows(gemm, rows) - rows;
}

/* The states of the reserve, and with the first chunk of the data part the beginning of the sweep. */
static gru_status make_states(backward *b, const gru_cuda_chunk *chunk) {
    gru_cuda_state_rows *states = &b->states;
    states->begins = b->data && chunk->first;
    states->s = chunk->s;
    states->steps = chunk->steps;
    states->padding = padding(b, GRU_CUDA_GEMM_C, chunk->rows);
    for (int32_t i = 0; i < b->count; i++) {
        const gru_cuda_direction *d = &b->direction[i];
        const int wanted = chunk->rows && (b->data || d->job->gradients->dR);
        states->rows[i] = wanted ? gru_cuda_row(d, d->workspace->states, 0, 0) : NULL;
    }
    if (!states->begins && !states->rows[0] && !states->rows[1]) return GRU_OK;
    TRY(gru_cuda_launch_state_rows(b->context.compute_type, states, b->context.stream), launching_rows);
    return GRU_OK;
}

static gru_status gather_inputs(backward *b, const gru_cuda_chunk *chunk) {
    int wanted = b->data;
    for (int32_t i = 0; i < b->count; i++) wanted |= b->direction[i].job->gradients->dW != NULL;
    if (!b->gathers || !wanted || chunk->rows == 0) return GRU_OK;
    b->gather.s = chunk->s;
    b->gather.steps = chunk->steps;
    b->gather.padding = padding(b, GRU_CUDA_GEMM_A, chunk->rows);
    TRY(gru_cuda_launch_prologue(b->context.compute_type, &b->gather, b->context.stream),
        "launching rows of inputs");
    return GRU_OK;
}

/* With GRU_BATCH_INVARIANT products also read rows behind the last ones, which only must have been written. */
static gru_status clear_padding(const backward *b, const gru_cuda_direction *d) {
    const int64_t row = d->planes * d->units, rows = d->job->run->T * d->job->run->N;
    const size_t element = gru_type_bytes(d->job->layer->config.weight_type);
    if (d->workspace->padding == 0 || !d->job->gradients->dx.data) return GRU_OK;
    TRY(cudaMemsetAsync(gru_cuda_row(d, d->workspace->gradients, rows, row), 0,
                        (size_t)(d->workspace->padding * row) * element, d->stream),
        "clearing rows of gradients");
    return GRU_OK;
}

static gru_status transpose_weights(const backward *b, const gru_cuda_direction *d) {
    const gru_layer_config *config = &d->job->layer->config;
    const gru_cuda_packed_layout packed = gru_cuda_packed_layout_of(config);
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(config);
    const char *weights = gru_run_packed(d->job->layer, d->job->run);
    char *transposed = gru_cuda_workspace_ptr(d->job->run, d->workspace->transposed);
    const gru_cuda_transpose args = {.compute_type = b->context.compute_type,
                                     .inputs = config->inputs,
                                     .H = config->hidden,
                                     .W = weights + packed.W,
                                     .R = weights + packed.R,
                                     .W_rows = d->job->gradients->dx.data ? transposed + layout.W : NULL,
                                     .R_rows = transposed + layout.R,
                                     .transposed = transposed + layout.R_transposed};
    TRY(gru_cuda_launch_transpose(&args, d->stream), "launching the transposition of weights");
    return GRU_OK;
}

/* ---- what forward computed ---- */

/* a of the chunk, and where its first step finds it. */
static gru_status project(backward *b, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *d = &b->direction[i];
    const gru_job *job = d->job;
    if (!job->run->x.data) {
        b->step.input[i] = gru_cuda_given_input(job);
        return GRU_OK;
    }
    float *out = gru_cuda_workspace_ptr(job->run, d->workspace->projected);
    b->step.input[i] = gru_cuda_projected_input(job, out);
    return gru_cuda_project(job, gru_cuda_x_of(job, d->gathered, chunk->s, chunk->steps), chunk->rows, out,
                            gru_cuda_workspace_ptr(job->run, d->workspace->gemms));
}

/* c of the chunk, without its bias. */
static gru_status recur(backward *b, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *d = &b->direction[i];
    b->step.recurrent[i] =
        (gru_cuda_input){.data = gru_cuda_workspace_ptr(d->job->run, d->workspace->recurrent),
                         .batch_stride = GATES * d->units,
                         .type = GRU_F32,
                         .gate_stride = d->units,
                         .bias = b->step.sequence[i].forward.bR};
    return gru_cuda_recur(d, chunk);
}

/* Reset BEFORE: r h of the chunk, and R_n (r h). Behind the rows of the last steps lies padding, behind others are rows. */
static gru_status recur_reset(backward *b, const gru_cuda_chunk *chunk) {
    const int64_t N = b->direction[0].job->run->N;
    gru_cuda_reset_rows rows = {.directions = b->count, .s = chunk->s, .steps = chunk->steps};
    if (chunk->first) rows.padding = padding(b, GRU_CUDA_GEMM_RESET_C, chunk->rows);
    for (int32_t i = 0; i < b->count; i++) {
        const gru_cuda_direction *d = &b->direction[i];
        rows.forward[i] = b->step.sequence[i].forward;
        rows.input[i] = b->step.input[i];
        rows.recurrent[i] = b->step.recurrent[i];
        if (!rows.input[i].time_stride) rows.input_step[i] = N * rows.input[i].batch_stride;
        rows.rows[i] = gru_cuda_row(d, d->workspace->reset_states, chunk->s * N, d->units);
    }
    TRY(gru_cuda_launch_reset_rows(b->context.compute_type, &rows, b->context.stream), launching_rows);
    for (int32_t i = 0; i < b->count; i++) GRU_TRY(gru_cuda_recur_reset(&b->direction[i], chunk));
    return GRU_OK;
}

static gru_status recompute(backward *b, const gru_cuda_chunk *chunk) {
    for (int32_t i = 0; i < b->count; i++) {
        GRU_TRY(project(b, i, chunk));
        GRU_TRY(recur(b, i, chunk));
    }
    return b->step.sequence[0].forward.reset_mode == GRU_RESET_BEFORE ? recur_reset(b, chunk) : GRU_OK;
}

/* ---- the sweep ---- */

/* Points step i of the chunk's to its rows. */
static void find_rows(const backward *b, gru_cuda_backward_step_args *step, int32_t d, int64_t i) {
    const gru_cuda_direction *w = &b->direction[d];
    const int64_t N = w->job->run->N, octets = gru_cuda_unit_octets(w->job->layer->config.hidden);
    if (!step->input[d].time_stride)
        step->input[d].data = (const float *)b->step.input[d].data + i * N * step->input[d].batch_stride;
    step->recurrent[d].data =
        (const float *)b->step.recurrent[d].data + i * N * step->recurrent[d].batch_stride;
    if (w->job->gradients->dattention.data)
        step->attention[d] =
            (float *)gru_cuda_workspace_ptr(w->job->run, w->workspace->attention) + i * N * octets;
}

static int wants_states(const backward *b) {
    int wanted = 0;
    for (int32_t i = 0; i < b->count; i++)
        wanted |= b->step.sequence[i].dh0 || b->step.sequence[i].dh_restart;
    return wanted;
}

/* Behind step 0 comes one that hands on dh. */
static gru_status sweep(const backward *b, const gru_cuda_chunk *chunk) {
    const int64_t end = chunk->s == 0 && wants_states(b) ? -1 : chunk->s;
    for (int64_t s = chunk->s + chunk->steps - 1; s >= end; s--) {
        gru_cuda_backward_step_args step = b->step;
        step.s = s;
        step.depends = b->context.overlap && s != chunk->s + chunk->steps - 1;
        step.trigger = b->context.overlap && s != end;
        for (int32_t d = 0; d < b->count && s >= 0; d++) find_rows(b, &step, d, s - chunk->s);
        TRY(b->launcher->backward(&b->context, &step), "launching a backward step");
    }
    return GRU_OK;
}

static gru_status sum_attention(const backward *b, int32_t i, const gru_cuda_chunk *chunk) {
    const gru_cuda_direction *d = &b->direction[i];
    const gru_cuda_attention_sums sums = {.forward = b->step.sequence[i].forward,
                                          .s = chunk->s,
                                          .steps = chunk->steps,
                                          .octets =
                                              gru_cuda_workspace_ptr(d->job->run, d->workspace->attention),
                                          .dattention = d->job->gradients->dattention};
    if (!sums.dattention.data) return GRU_OK;
    TRY(gru_cuda_launch_attention_sums(&sums, d->stream), "launching the gradient of attention");
    return GRU_OK;
}

/* ---- the call ---- */

static gru_status begin(const backward *b, const gru_cuda_direction *d) {
    GRU_TRY(gru_cuda_checksum_weights(d->job->layer, d->job->run, 1));
    if (!b->data) return GRU_OK;
    GRU_TRY(transpose_weights(b, d));
    return clear_padding(b, d);
}

/* T = 0 is one chunk without rows: dhT becomes dh0. */
static gru_status run_chunk(backward *b, const gru_cuda_chunk *chunk) {
    for (int32_t i = 0; i < b->count && chunk->first; i++) GRU_TRY(begin(b, &b->direction[i]));
    GRU_TRY(make_states(b, chunk));
    GRU_TRY(gather_inputs(b, chunk));
    if (b->data) {
        if (chunk->rows) GRU_TRY(recompute(b, chunk));
        GRU_TRY(sweep(b, chunk));
    }
    for (int32_t i = 0; i < b->count && chunk->rows; i++) {
        if (b->data) GRU_TRY(sum_attention(b, i, chunk));
        if (b->data) GRU_TRY(gru_cuda_input_gradient(&b->direction[i], &b->step.sequence[i].forward, chunk));
        if (b->weights) GRU_TRY(gru_cuda_sum_gradients(&b->direction[i], chunk));
    }
    return GRU_OK;
}

static gru_status run_all(backward *b) {
    const gru_run *run = b->direction[0].job->run;
    const int64_t most = b->direction[0].workspace->steps;
    for (int64_t left = run->T, first = 1; run->N > 0 && (left > 0 || first); first = 0) {
        const int64_t steps = left < most ? left : most;
        const gru_cuda_chunk chunk = {left - steps, steps, steps * run->N, first != 0};
        GRU_TRY(run_chunk(b, &chunk));
        left -= steps;
    }
    for (int32_t i = 0; i < b->count && b->weights; i++) GRU_TRY(gru_cuda_store_gradients(&b->direction[i]));
    return GRU_OK;
}

gru_status gru_cuda_backward(const gru_job *jobs, const gru_plan *plan) {
    gru_cuda_device *device = gru_cuda_device_of(jobs[0].layer->context);
    gru_status status = GRU_OK;
    backward b;
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    for (int32_t i = 0; status == GRU_OK && i < plan->count; i += b.count) {
        prepare(&b, jobs, plan, i);
        status = run_all(&b);
    }
    gru_cuda_leave(device, previous);
    return status;
}

size_t gru_cuda_backward_bytes(const gru_layer *layer, int64_t T, int64_t N) {
    return gru_cuda_backward_workspace_of(layer, T, N).bytes;
}
