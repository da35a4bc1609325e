/* cpu_backward.c: the backward pass on the CPU: its memory, its threads, and its stages chunk by chunk. */
#include "cpu_backward.h"

#include <string.h>

#include "core/error.h"
#include "cpu_backward_state.h"
#include "cpu_backward_step.h"
#include "cpu_backward_tag.h"
#include "cpu_recompute.h"
#include "cpu_transpose.h"
#include "cpu_weight_gradients.h"

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Rows of a chunk: enough for the sums of weights, in whole steps. */
static size_t chunk_rows(int64_t T, int64_t N) {
    const size_t all = gru_size_times((size_t)T, (size_t)N);
    const size_t most = N > SUMMED_ROWS ? (size_t)N : SUMMED_ROWS;
    return all < most ? all : most;
}

static size_t scratch_bytes(size_t rows, size_t padded_H) {
    const size_t pointers = 8 * sizeof(float *), numbers = sizeof(int64_t) + sizeof(float);
    const size_t strip = SUMMED_ROWS * GATES * PANEL * sizeof(float);
    const size_t lists = gru_size_times(rows, pointers + numbers + sizeof(gru_cpu_place));
    return gru_size_lines(gru_size_plus(lists, strip + 2 * padded_H * sizeof(float)));
}

/* Memory that is handed out piece by piece; base NULL: only measured. */
typedef struct arena {
    char *base;
    size_t used;
} arena;

static void *take(arena *a, size_t bytes) {
    void *memory = a->base ? a->base + a->used : NULL;
    a->used = gru_size_plus(a->used, gru_size_lines(bytes));
    return memory;
}

static float *take_floats(arena *a, size_t rows, size_t row) {
    return take(a, gru_size_times(rows, row * sizeof(float)));
}

static void lay_out(gru_cpu_backward_call *f, arena *a, int64_t T, int64_t N, int32_t threads) {
    const gru_layer_config *config = &f->layer->config;
    const size_t rows = chunk_rows(T, N), all = gru_size_times((size_t)T, (size_t)N), n = (size_t)N;
    const size_t outputs = GATES * f->H, panels = f->padded_H / PANEL;
    const int before = config->reset_mode == GRU_RESET_BEFORE, widens = config->io_type != GRU_F32;
    f->barrier = take(a, sizeof *f->barrier);
    f->R = take_floats(a, outputs, f->padded_H);
    f->W = take_floats(a, outputs, f->padded_I);
    f->sum_R = take_floats(a, outputs, f->padded_H);
    f->sum_W = take_floats(a, outputs, f->padded_I);
    f->sum_bias = take_floats(a, D, f->H);
    f->dh = take_floats(a, n, f->padded_H);
    f->dh_restart = take_floats(a, n, f->padded_H);
    f->drh = take_floats(a, before ? n : 0, f->padded_H);
    f->dy = take_floats(a, widens ? n : 0, f->padded_H);
    f->dattention = take_floats(a, 2 * n, panels);
    f->d = take_floats(a, all, D * f->H);
    f->d_pitch = rows < SUMMED_ROWS ? (rows + PANEL - 1) / PANEL * PANEL : SUMMED_ROWS;
    f->d_columns = take_floats(a, D * f->H, f->d_pitch);
    f->x = take_floats(a, widens ? rows : 0, f->I);
    f->a = take_floats(a, rows, f->padded_H * GATES);
    f->again = take_floats(a, rows, f->padded_H * KEPT);
    f->rh = take_floats(a, before ? rows : 0, f->padded_H);
    f->list_rows = rows;
    f->scratch = take(a, gru_size_times((size_t)threads, scratch_bytes(rows, f->padded_H)));
}

static gru_cpu_backward_call call_of(const gru_layer *layer) {
    gru_cpu_backward_call f = {.layer = layer};
    f.I = (size_t)layer->config.inputs;
    f.H = (size_t)layer->config.hidden;
    f.padded_I = (f.I + PANEL - 1) / PANEL * PANEL;
    f.padded_H = gru_cpu_panels(layer->config.hidden) * PANEL;
    return f;
}

size_t gru_cpu_backward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    gru_cpu_backward_call f = call_of(layer);
    arena a = {NULL, GRU_CPU_PARTS_BYTES};
    lay_out(&f, &a, T, N, layer->context->config.threads);
    return a.used;
}

static void set_up_part(gru_cpu_backward_part *p, const gru_cpu_backward_call *f, int32_t index) {
    const size_t rows = f->list_rows, pointers = rows * sizeof(float *);
    char *lists = f->scratch + (size_t)index * scratch_bytes(rows, f->padded_H);
    const int before = f->layer->config.reset_mode == GRU_RESET_BEFORE;
    p->f = f;
    p->share = gru_cpu_share_of(&f->plan, f->run->N, f->layer->config.hidden, index);
    p->strip = (float *)(void *)lists;
    p->unused = p->strip + SUMMED_ROWS * GATES * PANEL;
    lists = (char *)(p->unused + 2 * f->padded_H);
    p->rows.kept = (const float **)(void *)lists;
    p->rows.h = (const float **)(void *)(lists + pointers);
    p->rows.dy = (const float **)(void *)(lists + 2 * pointers);
    p->rows.dh = (float **)(void *)(lists + 3 * pointers);
    p->rows.drh = before ? (const float **)(void *)(lists + 4 * pointers) : NULL;
    p->rows.d = (float **)(void *)(lists + 5 * pointers);
    p->rows.dattention = f->gradients->dattention.data ? (float **)(void *)(lists + 6 * pointers) : NULL;
    p->pointers = (const float **)(void *)(lists + 7 * pointers);
    lists += 8 * pointers;
    p->places = (gru_cpu_place *)(void *)lists;
    lists += rows * sizeof *p->places;
    p->rows.row = (int64_t *)(void *)lists;
    p->rows.attention = (float *)(void *)(lists + rows * sizeof(int64_t));
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* Lists the steps of all rows in the order in which the sweep visits them: that of the sums. */
static void list_places(gru_cpu_backward_part *p) {
    const gru_run *run = p->f->run;
    p->place_count = 0;
    for (int64_t s = p->end - 1; s >= p->begin; s--)
        for (int64_t n = 0; n < run->N; n++) {
            const int64_t length = gru_run_length(run, n);
            if (s >= length) continue;
            const int64_t t = gru_step_time(p->f->layer->config.direction, length, s);
            p->places[p->place_count++] = (gru_cpu_place){s, t, n};
        }
}

/* 16-bit x of the chunk as f32. */
static void widen_inputs(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    const int32_t type = f->layer->config.io_type;
    if (type == GRU_F32 || !f->run->x.data) return;
    for (int64_t i = p->share.index; i < p->place_count; i += p->share.threads) {
        const gru_cpu_place *place = &p->places[i];
        gru_load_floats(f->run->x.data, type, GRU_ROW(f->run->x, place->t, place->n),
                        f->x + gru_cpu_chunk_row(p, place->s, place->n) * f->I, f->I);
    }
    gru_cpu_backward_meet(p);
}

static void run_chunk(gru_cpu_backward_part *p, int last) {
    const gru_cpu_backward_call *f = p->f;
    list_places(p);
    widen_inputs(p);
    if (f->data) {
        if (!f->kept) gru_cpu_recompute(p);
        gru_cpu_sweep_chunk(p);
        gru_cpu_input_gradients(p);
    }
    if (f->weights) gru_cpu_weight_gradients(p, last);
    gru_cpu_backward_meet(p); /* the next chunk's numbers take the place of this one's */
}

static void run_part(void *argument, int32_t index) {
    const gru_cpu_backward_call *f = argument;
    gru_cpu_backward_part p;
    set_up_part(&p, f, index);
    if (f->data) {
        gru_cpu_zero_absent(&p);
        gru_cpu_sweep_begin(&p);
        gru_cpu_transpose_weights(&p);
        gru_cpu_backward_meet(&p);
    }
    const int64_t chunks = (f->steps + f->plan.chunk - 1) / f->plan.chunk;
    for (int64_t i = chunks - 1; i >= 0; i--) {
        p.begin = i * f->plan.chunk;
        p.end = p.begin + f->plan.chunk < f->steps ? p.begin + f->plan.chunk : f->steps;
        run_chunk(&p, i == chunks - 1);
    }
    if (f->data) gru_cpu_sweep_end(&p);
    if (f->weights) gru_cpu_add_weight_gradients(&p);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static void set_up(gru_cpu_backward_call *f, const gru_job *job, int32_t threads) {
    const gru_run *run = job->run;
    const gru_layer_config *config = &job->layer->config;
    const uint32_t parts = gru_cpu_parts_wanted(job->gradients);
    arena a = {run->workspace, GRU_CPU_PARTS_BYTES};
    f->run = run;
    f->gradients = job->gradients;
    f->data = (parts & GRU_GRAD_DATA) != 0;
    f->weights = (parts & GRU_GRAD_WEIGHTS) != 0;
    gru_cpu_terms_of(job->layer, run, &f->terms);
    f->plan = gru_cpu_plan_for(run->T, run->N, config->inputs, config->hidden, threads);
    f->plan.chunk = run->N > 0 && run->N < SUMMED_ROWS ? SUMMED_ROWS / run->N : 1;
    f->steps = gru_run_longest(run);
    f->kept = gru_cpu_reserve_has_saved(run);
    lay_out(f, &a, run->T, run->N, threads);
    memset(f->barrier, 0, sizeof *f->barrier);
}

static void backward_one(const gru_cpu_kernels *kernels, const gru_job *job, int32_t threads) {
    gru_cpu_backward_call f = call_of(job->layer);
    f.kernels = kernels;
    set_up(&f, job, threads);
    if (f.data) gru_cpu_parts_sign(job->run, f.weights ? 0 : GRU_CPU_PARTS_FLOATS);
    if (f.plan.threads > 1 && gru_pool_run(job->layer->context, f.plan.threads, run_part, &f)) return;
    f.plan.threads = 1;
    f.plan.by_rows = 1;
    run_part(&f, 0);
}

typedef struct job_list {
    const gru_cpu_kernels *kernels;
    const gru_job *jobs;
} job_list;

static void run_job(void *argument, int32_t index) {
    const job_list *list = argument;
    backward_one(list->kernels, &list->jobs[index], 1);
}

gru_status gru_cpu_backward(const gru_cpu_kernels *kernels, const gru_job *jobs, int32_t count) {
    job_list list = {kernels, jobs};
    const gru_context *context = jobs[0].layer->context;
    for (int32_t i = 0; i < count; i++)
        if (!(gru_cpu_parts_wanted(jobs[i].gradients) & GRU_GRAD_DATA))
            GRU_TRY(gru_cpu_parts_check(jobs[i].run, GRU_CPU_PARTS_FLOATS));
    if (gru_cpu_plan_worth_jobs(jobs, count) && gru_pool_run(context, count, run_job, &list)) return GRU_OK;
    for (int32_t i = 0; i < count; i++) backward_one(kernels, &jobs[i], context->config.threads);
    return GRU_OK;
}
