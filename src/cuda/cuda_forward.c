/* cuda_forward.c: the order of launches of a forward pass: prologue, then chunk by chunk the projection and the steps.
 *
 * Steps are launched so that one may start before the one before it has ended: it fetches its weights and projected
 * input meanwhile. The first step behind a projection waits for it in full, and the last step of a chunk lets nothing
 * start early, because what comes next may be a launch that knows nothing of this. */
#include "cuda_forward.h"

#include <math.h>
#include <string.h>

#include "../error.h"
#include "../reserve.h"
#include "cuda_gemm.h"
#include "cuda_workspace.h"

/* One call of one or two directions. */
typedef struct forward {
    const gru_cuda_stepper *stepper;
    const gru_job *jobs;
    int32_t count;
    gru_cuda_machine *machine;
    const gru_cuda_gemm *projection;
    gru_cuda_steps steps;
    gru_cuda_workspace places[GRU_CUDA_DIRECTIONS];
    int gathers; /* x is copied row by row before it is multiplied */
    gru_cuda_prologue prologue;
    gru_cuda_step step;
} forward;

static void *place(const gru_run *run, size_t offset) {
    return (char *)run->workspace + offset;
}

/* ---- x as the projection can read it ---- */

/* Numbers from one row (t, n) to the next where all rows lie evenly in time order; 0: they do not. */
static int64_t even_stride(const gru_run *run) {
    if (run->N == 1) return run->x.time_stride;
    return run->T == 1 || run->x.time_stride == run->N * run->x.batch_stride ? run->x.batch_stride : 0;
}

/* Whether x must be copied into rows first: strides or sizes that cuBLASLt does not read, another type, rows that a
 * reverse layer visits at different times, or a projection that insists on one alignment. */
static int must_gather(const forward *f, const gru_job *job) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const int64_t element = (int64_t)gru_type_bytes(config->io_type), stride = even_stride(run);
    if (f->machine->invariant || config->io_type != config->weight_type) return 1;
    if (config->direction == GRU_REVERSE && run->lengths) return 1;
    return stride < config->inputs || stride * element % 16 != 0 || config->inputs * element % 16 != 0 ||
           (uintptr_t)run->x.data % 16 != 0;
}

/* ---- arguments of launches ---- */

static gru_cuda_sequence sequence_of(const gru_job *job, const gru_cuda_workspace *w) {
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    const gru_cuda_parts parts = gru_cuda_packed_parts(config);
    const char *packed = gru_run_packed(job->layer, run);
    gru_cuda_sequence q = {.T = run->T, .N = (int32_t)run->N, .H = config->hidden};
    q.octets = gru_cuda_unit_octets(config->hidden);
    q.groups = gru_cuda_groups(config->hidden, config->weight_type);
    q.reset = config->reset, q.update = config->update, q.gate = config->gate;
    q.candidate = config->candidate, q.direction = config->direction;
    q.clip = config->clip, q.hard_slope = config->hard_slope;
    q.R = packed + parts.R;
    q.bR = (const float *)(const void *)(packed + parts.bR);
    q.io_type = config->io_type, q.state_type = config->state_type;
    q.lengths = run->lengths;
    q.restart = run->reset, q.attention = run->attention, q.h_reset = run->h_reset;
    q.y = run->y;
    q.hT = run->hT, q.hT_stride = run->hT_stride, q.hT_slots = run->hT_slots, q.slot_count = run->slot_count;
    q.reserve = run->mode == GRU_INFERENCE ? NULL : gru_reserve_states(run);
    for (int i = 0; i < 2; i++) q.exchange[i] = place(run, w->exchange[i]);
    q.state = place(run, w->state);
    if (config->reset != GRU_RESET_BEFORE) return q;
    q.exchange_reset = place(run, w->exchange_reset);
    q.update_gate = place(run, w->update_gate);
    q.arrived = place(run, w->arrived);
    return q;
}

static void prepare_prologue(forward *f, int32_t d) {
    const gru_job *job = &f->jobs[d];
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    gru_cuda_prologue *p = &f->prologue;
    p->sequence[d] = f->step.sequence[d];
    p->h0[d] = run->h0, p->h0_stride[d] = run->h0_stride, p->h0_slots[d] = run->h0_slots;
    if (run->mode != GRU_INFERENCE) {
        const gru_reserve_head head = gru_reserve_head_of(config, run);
        p->reserve[d] = run->reserve;
        memcpy(p->reserve_head[d], &head, sizeof head);
    }
    if (!f->gathers) return;
    p->x[d] = run->x;
    p->inputs[d] = config->inputs;
    p->pitch[d] = gru_cuda_input_pitch(config->inputs, config->weight_type);
    p->rows[d] = place(run, f->places[d].rows);
}

static void prepare(forward *f, const gru_cuda_stepper *stepper, const gru_job *jobs, int32_t count) {
    const gru_layer *layer = jobs[0].layer;
    const gru_run *run = jobs[0].run;
    memset(f, 0, sizeof *f);
    f->stepper = stepper, f->jobs = jobs, f->count = count;
    f->machine = gru_cuda_machine_of(layer->context);
    f->projection = gru_cuda_layer_of(layer)->projection;
    const gru_cuda_size size = gru_cuda_size_of(layer, run, count);
    f->steps =
        (gru_cuda_steps){size.math, stepper->plan(layer, &size), gru_cuda_layer_of(layer)->room.hop_blocks,
                         f->machine->capability >= 90, gru_cuda_stream(run->stream)};
    f->step.directions = f->prologue.directions = count;
    f->prologue.report = f->machine->report;
    for (int32_t d = 0; d < count; d++)
        f->gathers |= jobs[d].run->x.data && jobs[d].layer->config.inputs > 0 && must_gather(f, &jobs[d]);
    for (int32_t d = 0; d < count; d++) {
        f->places[d] = gru_cuda_workspace_of(jobs[d].layer, run->T, run->N);
        f->step.sequence[d] = sequence_of(&jobs[d], &f->places[d]);
        prepare_prologue(f, d);
    }
}

/* ---- launches ---- */

static gru_status begin_chunk(forward *f, int64_t s, int64_t steps) {
    gru_cuda_prologue *p = &f->prologue;
    if (s > 0 && !f->gathers) return GRU_OK;
    p->begins = s == 0;
    p->s = s;
    p->steps = steps;
    if (f->gathers) {
        const int64_t rows = steps * f->jobs[0].run->N;
        p->padding = gru_cuda_gemm_rows(f->projection, rows) - rows;
    }
    GRU_CUDA_TRY(f->machine, gru_cuda_launch_prologue(f->steps.math, p, f->steps.stream),
                 "launching the prologue");
    return GRU_OK;
}

static const float *input_bias(const gru_job *job) {
    const char *packed = gru_run_packed(job->layer, job->run);
    return (const float *)(const void *)(packed + gru_cuda_packed_parts(&job->layer->config).bW);
}

/* What the projection makes. */
static gru_cuda_input projected_input(const forward *f, const gru_job *job, const float *projected) {
    const gru_layer_config *config = &job->layer->config;
    gru_cuda_input input = {.data = projected, .type = GRU_F32};
    input.batch_stride = gru_cuda_projected_row(config->hidden);
    if (!gru_cuda_gemm_adds_bias(f->projection)) input.bias = input_bias(job);
    return input;
}

/* What the caller has projected. */
static gru_cuda_input given_input(const gru_job *job) {
    const gru_const_view *projected = &job->run->projected;
    const gru_cuda_input input = {.data = projected->data,
                                  .time_stride = projected->time_stride,
                                  .batch_stride = projected->batch_stride,
                                  .type = job->layer->config.io_type,
                                  .gate_stride = job->layer->config.hidden};
    return input;
}

/* Projects the steps s .. s + steps - 1 of direction d, or points to what the caller projected. Where x is read as it
 * is, a reverse layer's chunk is a window of times. */
static gru_status project(forward *f, int32_t d, int64_t s, int64_t steps) {
    const gru_job *job = &f->jobs[d];
    const gru_layer_config *config = &job->layer->config;
    const gru_run *run = job->run;
    gru_cuda_input *input = &f->step.input[d];
    if (!run->x.data) {
        *input = given_input(job);
        return GRU_OK;
    }
    const int64_t first = config->direction == GRU_REVERSE ? run->T - s - steps : s;
    const char *x = run->x.data;
    int64_t stride = even_stride(run);
    if (f->gathers) {
        x = place(run, f->places[d].rows);
        stride = f->prologue.pitch[d];
    } else {
        x += (size_t)(first * run->x.time_stride) * gru_type_bytes(config->io_type);
    }
    float *out = place(run, f->places[d].projected);
    *input = projected_input(f, job, out);
    const gru_cuda_factors factors = {.in = x,
                                      .in_stride = stride,
                                      .weights = (const char *)gru_run_packed(job->layer, run) +
                                                 gru_cuda_packed_parts(config).W,
                                      .bias = input_bias(job),
                                      .rows = steps * run->N,
                                      .out = out,
                                      .workspace = place(run, f->places[d].products)};
    return gru_cuda_multiply(f->machine, f->projection, &factors, f->steps.stream);
}

/* Step i of the chunk's: where the rows of its projected input begin. */
static void find_input(forward *f, int32_t d, int64_t i, int64_t steps) {
    const gru_run *run = f->jobs[d].run;
    const int backwards = !f->gathers && f->jobs[d].layer->config.direction == GRU_REVERSE;
    if (!run->x.data) return;
    const float *projected = place(run, f->places[d].projected);
    f->step.input[d].data =
        projected + (backwards ? steps - 1 - i : i) * run->N * f->step.input[d].batch_stride;
}

static gru_status run_chunk(forward *f, int64_t s, int64_t steps) {
    const int64_t T = f->jobs[0].run->T;
    for (int64_t i = 0; i < steps; i++) {
        gru_cuda_step *step = &f->step;
        step->s = s + i;
        step->last = s + i + 1 >= T;
        step->depends = f->steps.overlap && i > 0;
        step->trigger = f->steps.overlap && i + 1 < steps;
        for (int32_t d = 0; d < f->count; d++) find_input(f, d, i, steps);
        GRU_CUDA_TRY(f->machine, f->stepper->launch(&f->steps, step), "launching a step");
    }
    return GRU_OK;
}

/* T = 0 is one step in which no row is active: it passes h0 to hT. */
static gru_status run_all(forward *f) {
    const int64_t T = f->jobs[0].run->T, chunk = f->places[0].steps;
    for (int64_t s = 0; s < T || s == 0; s += chunk) {
        const int64_t steps = T == 0 ? 1 : T - s < chunk ? T - s : chunk;
        GRU_TRY(begin_chunk(f, s, T == 0 ? 0 : steps));
        for (int32_t d = 0; d < f->count && s == 0; d++)
            GRU_TRY(gru_cuda_sum_weights(f->jobs[d].layer, f->jobs[d].run, 0));
        for (int32_t d = 0; d < f->count && T > 0; d++) GRU_TRY(project(f, d, s, steps));
        GRU_TRY(run_chunk(f, s, steps));
    }
    return GRU_OK;
}

static gru_status run_together(const gru_cuda_stepper *stepper, const gru_job *jobs, int32_t count) {
    gru_cuda_machine *machine = gru_cuda_machine_of(jobs[0].layer->context);
    forward f;
    int previous;
    if (jobs[0].run->N == 0) return GRU_OK;
    prepare(&f, stepper, jobs, count);
    GRU_TRY(gru_cuda_enter(machine, &previous));
    const gru_status status = run_all(&f);
    gru_cuda_leave(machine, previous);
    return status;
}

/* Whether two jobs can share their launches: the same sizes, types and kinds of input. */
static int alike(const gru_job *a, const gru_job *b) {
    const gru_layer_config *p = &a->layer->config, *q = &b->layer->config;
    return p->hidden == q->hidden && p->weight_type == q->weight_type && p->io_type == q->io_type &&
           p->reset == q->reset && !p->inputs == !q->inputs && a->run->T == b->run->T &&
           a->run->N == b->run->N && !a->run->x.data == !b->run->x.data && a->run->stream == b->run->stream;
}

/* Whether this engine has room for both at once. */
static int fits_together(const gru_cuda_stepper *stepper, const gru_job *job) {
    const gru_cuda_size size = gru_cuda_size_of(job->layer, job->run, GRU_CUDA_DIRECTIONS);
    return stepper->plan(job->layer, &size).seconds < HUGE_VAL;
}

gru_status gru_cuda_forward(const gru_cuda_stepper *stepper, const gru_job *jobs, int32_t count) {
    if (count == GRU_CUDA_DIRECTIONS && alike(&jobs[0], &jobs[1]) && fits_together(stepper, jobs))
        return run_together(stepper, jobs, count);
    for (int32_t i = 0; i < count; i++) GRU_TRY(run_together(stepper, &jobs[i], 1));
    return GRU_OK;
}

size_t gru_cuda_forward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    return gru_cuda_workspace_of(layer, T, N).bytes;
}

gru_cuda_size gru_cuda_size_of(const gru_layer *layer, const gru_run *run, int32_t directions) {
    const gru_cuda_size size = {gru_cuda_layer_of(layer)->math, run->N, layer->config.hidden,
                                layer->config.reset, directions};
    return size;
}
