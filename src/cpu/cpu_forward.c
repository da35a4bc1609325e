/* cpu_forward.c: stages 1 to 3 on the CPU: loops over chunks, steps, panels and rows. The arithmetic is in the kernels.
 *
 * Each thread has a slice of the call: some rows of the batch with all units, or all rows with some panels of units. */
#include "cpu_forward.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#include "core/reserve.h"
#include "cpu_absent.h"
#include "cpu_arena.h"
#include "cpu_isa.h"
#include "cpu_operands.h"
#include "cpu_reserve.h"
#include "cpu_slice.h"
#include "cpu_streaming.h"
#include "cpu_threads.h"

/* One call. */
typedef struct forward_call {
    const gru_layer *layer;
    const gru_run *run;
    const gru_cpu_kernels *kernels;
    gru_cpu_operands operands;
    gru_cpu_schedule schedule;
    size_t H;
    size_t pitch, pitch_a; /* of rows of units, and of a */
    gru_timeline timeline;
    int64_t steps; /* of the longest row */
    gru_barrier *barrier;
    float *state[2];   /* [N][pitch] the states that enter even and odd steps */
    float *z, *rh;     /* [N][pitch] BEFORE */
    float *a;          /* [chunk][N][pitch_a] projected input of a chunk, in panels: [P][3][16] */
    float *x;          /* [chunk][N][I] 16-bit input of a chunk, as f32 */
    char *integers[2]; /* int8 weights: [chunk][N] inputs and [N] states, as gru_cpu_quantised */
    char *lists;       /* for each thread: the arrays of gru_cpu_rows */
    size_t list_rows;  /* in each of them */
    void *times;       /* of the timeline */
} forward_call;

/* The work of one thread. */
typedef struct thread_work {
    const forward_call *call;
    gru_cpu_slice slice;
    int64_t chunk_begin; /* first step of the current chunk */
    gru_cpu_rows rows;
    const gru_cpu_quantised **integers; /* [count] rows of a product with int8 weights */
} thread_work;

enum { INPUTS, STATES }; /* of forward_call.integers */

/* ---- set-up ---- */

/* The row lists of one thread. */
static void lay_out_lists(thread_work *work, gru_cpu_arena *arena, size_t rows) {
    gru_cpu_rows *lists = &work->rows;
    lists->in = gru_cpu_take_pointers(arena, rows);
    lists->a = gru_cpu_take_pointers(arena, rows);
    lists->next = gru_cpu_take_pointers(arena, rows);
    lists->z = gru_cpu_take_pointers(arena, rows);
    lists->rh = gru_cpu_take_pointers(arena, rows);
    lists->saved = gru_cpu_take_pointers(arena, rows);
    lists->row = gru_cpu_take(arena, gru_size_times(rows, sizeof *lists->row));
    lists->attention = gru_cpu_take_floats(arena, rows, 1);
    work->integers = gru_cpu_take_pointers(arena, rows);
}

static size_t list_bytes(size_t rows) {
    gru_cpu_arena arena = {NULL, 0};
    thread_work work;
    lay_out_lists(&work, &arena, rows);
    return arena.used;
}

/* Takes the arrays of a call from an arena, in the order in which they are declared above. */
static void lay_out(forward_call *call, gru_cpu_arena *arena, int64_t T, int64_t N) {
    const gru_layer_config *config = &call->layer->config;
    const size_t n = (size_t)N, threads = (size_t)call->layer->context->config.threads;
    const size_t rows = gru_cpu_schedule_rows(T, N, config->hidden);
    const size_t padded = gru_cpu_panel_count(config->hidden) * PANEL;
    call->pitch = gru_cpu_row_pitch(padded);
    call->pitch_a = gru_cpu_row_pitch(padded * GATES);
    call->list_rows = rows;
    call->barrier = gru_cpu_take(arena, sizeof *call->barrier);
    for (int i = 0; i < 2; i++) call->state[i] = gru_cpu_take_floats(arena, n, call->pitch);
    call->z = call->rh = NULL;
    if (config->reset_mode == GRU_RESET_BEFORE) {
        call->z = gru_cpu_take_floats(arena, n, call->pitch);
        call->rh = gru_cpu_take_floats(arena, n, call->pitch);
    }
    call->a = gru_cpu_take_floats(arena, rows, call->pitch_a);
    call->x = gru_cpu_take_floats(arena, config->io_type == GRU_F32 ? 0 : rows, (size_t)config->inputs);
    if (config->weight_type == GRU_INT8) {
        call->integers[INPUTS] =
            gru_cpu_take(arena, gru_size_times(rows, gru_cpu_quantised_bytes((size_t)config->inputs)));
        call->integers[STATES] =
            gru_cpu_take(arena, gru_size_times(n, gru_cpu_quantised_bytes((size_t)config->hidden)));
    }
    call->lists = gru_cpu_take(arena, gru_size_times(threads, list_bytes(rows)));
    call->times = gru_cpu_take(arena, gru_timeline_bytes(T, N));
}

size_t gru_cpu_forward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    gru_cpu_arena arena = {NULL, 0};
    forward_call call;
    call.layer = layer;
    lay_out(&call, &arena, T, N);
    return arena.used;
}

static void set_up(forward_call *call, const gru_job *job, const gru_plan *plan, gru_cpu_schedule schedule) {
    gru_cpu_arena arena = {job->run->workspace, 0};
    call->layer = job->layer;
    call->run = job->run;
    call->kernels = gru_cpu_kernels_of(plan->engine);
    call->schedule = schedule;
    call->H = (size_t)job->layer->config.hidden;
    gru_cpu_operands_of(job->layer, job->run, &call->operands);
    lay_out(call, &arena, job->run->T, job->run->N);
    assert(arena.used <= job->run->workspace_size);
    call->timeline = gru_timeline_of(job->run, job->layer->config.direction, call->times);
    call->steps = gru_timeline_longest(&call->timeline);
    if (schedule.threads > 1) memset(call->barrier, 0, sizeof *call->barrier);
}

static void set_up_work(thread_work *work, const forward_call *call, int32_t index) {
    gru_cpu_arena arena = {call->lists, (size_t)index * list_bytes(call->list_rows)};
    work->call = call;
    work->slice = gru_cpu_slice_of(&call->schedule, &call->timeline, call->layer->config.hidden, index);
    lay_out_lists(work, &arena, call->list_rows);
    if (call->run->mode != GRU_TRAIN) work->rows.saved = NULL;
}

/* Waits for the other threads if each has only some units of a row. */
static void sync_threads(const thread_work *work) {
    if (!work->call->schedule.by_rows) gru_barrier_wait(work->call->barrier, work->call->schedule.threads);
}

/* ---- products ---- */

/* Rounds the listed rows of a product with int8 weights. Threads that share rows round some each. */
static void quantise_rows(const thread_work *work, int which, const float *const *in, size_t K) {
    const forward_call *call = work->call;
    const int64_t steps = which == INPUTS ? call->schedule.chunk : 1;
    char *to = call->integers[which] + (size_t)(work->slice.row_begin * steps) * gru_cpu_quantised_bytes(K);
    if (call->layer->config.weight_type != GRU_INT8) return;
    for (int64_t i = 0; i < work->rows.count; i++, to += gru_cpu_quantised_bytes(K)) {
        if (call->schedule.by_rows || i % call->schedule.threads == work->slice.index)
            call->kernels->quantise(in[i], K, (gru_cpu_quantised *)(void *)to);
        work->integers[i] = (const gru_cpu_quantised *)(const void *)to;
    }
    sync_threads(work);
}

/* out = the panel times the listed rows from `first` on. */
static void multiply_panel(const thread_work *work, const gru_cpu_panel *panel, const float *const *in,
                           int64_t first, int32_t count, float *const *out) {
    if (panel->type == GRU_INT8)
        work->call->kernels->int8_product(panel, work->integers + first, out, count);
    else
        work->call->kernels->product(panel, in + first, out, count);
}

/* ---- states ---- */

static float *state_row(const forward_call *call, int64_t s, int64_t n) {
    return call->state[s & 1] + (size_t)n * call->pitch;
}

/* Sets the slice's units to row n of h_restart, or to zeros. */
static void start_segment(const thread_work *work, int64_t n, float *state) {
    const forward_call *call = work->call;
    const size_t count = work->slice.units.end - work->slice.units.begin;
    if (call->run->h_restart)
        gru_load_floats(call->run->h_restart, call->layer->config.state_type,
                        (size_t)n * call->H + work->slice.units.begin, state + work->slice.units.begin,
                        count);
    else
        memset(state + work->slice.units.begin, 0, count * sizeof *state);
}

static void load_states(const thread_work *work) {
    const forward_call *call = work->call;
    const gru_run *run = call->run;
    const size_t count = work->slice.units.end - work->slice.units.begin;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        float *state = state_row(call, 0, n);
        const size_t at = (size_t)(gru_h0_row(run, n) * run->h0_stride) + work->slice.units.begin;
        memset(state + work->slice.units.end, 0,
               (work->slice.panels.end * PANEL - work->slice.units.end) * sizeof *state);
        if (run->h0)
            gru_load_floats(run->h0, call->layer->config.state_type, at, state + work->slice.units.begin,
                            count);
        else
            memset(state + work->slice.units.begin, 0, count * sizeof *state);
    }
}

static void store_final_state(const thread_work *work, int64_t n, const float *state) {
    const gru_run *run = work->call->run;
    const size_t at = (size_t)(gru_hT_row(run, n) * run->hT_stride) + work->slice.units.begin;
    gru_store_floats(run->hT, work->call->layer->config.state_type, at, state + work->slice.units.begin,
                     work->slice.units.end - work->slice.units.begin);
}

/* Rows without steps end with their first state. */
static void store_empty_rows(const thread_work *work) {
    const forward_call *call = work->call;
    for (int64_t n = work->slice.row_begin; call->run->hT && n < work->slice.row_end; n++)
        if (gru_timeline_steps(&call->timeline, n) == 0) store_final_state(work, n, state_row(call, 0, n));
}

static void fill_absent(const thread_work *work) {
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++)
        gru_cpu_fill_absent(work->call->layer, work->call->run, n, work->slice.units);
}

/* ---- stage 1: projection ---- */

/* Row of the chunk's buffers for step s of row n. */
static size_t chunk_row(const thread_work *work, int64_t s, int64_t n) {
    return (size_t)(s - work->chunk_begin) * (size_t)work->call->run->N + (size_t)n;
}

static float *projected_row(const thread_work *work, int64_t s, int64_t n) {
    return work->call->a + chunk_row(work, s, n) * work->call->pitch_a;
}

static const float *input_row(const thread_work *work, int64_t s, int64_t t, int64_t n) {
    const forward_call *call = work->call;
    const gru_const_view *x = &call->run->x;
    const int32_t type = call->layer->config.io_type;
    if (type == GRU_F32) return (const float *)x->data + GRU_ROW(*x, t, n);
    /* threads that share rows would all write the same numbers: each widens only some of the rows */
    float *row = call->x + chunk_row(work, s, n) * call->operands.W.K;
    if (call->schedule.by_rows || n % call->schedule.threads == work->slice.index)
        gru_load_floats(x->data, type, GRU_ROW(*x, t, n), row, call->operands.W.K);
    return row;
}

/* Lists the rows of steps [begin, end) in the order (s, n) and prepares their inputs. */
static void gather_inputs(thread_work *work, int64_t begin, int64_t end) {
    const forward_call *call = work->call;
    work->rows.count = 0;
    work->chunk_begin = begin;
    for (int64_t s = begin; s < end; s++)
        for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
            if (s >= gru_timeline_steps(&call->timeline, n)) continue;
            const int64_t t = gru_timeline_time(&call->timeline, s, n);
            if (call->run->projected.data) {
                gru_cpu_load_projected(&call->layer->config, call->run, work->slice.panels, t, n,
                                       projected_row(work, s, n));
                continue;
            }
            work->rows.in[work->rows.count] = input_row(work, s, t, n);
            work->rows.a[work->rows.count++] = projected_row(work, s, n);
        }
}

static void project_chunk(thread_work *work, int64_t begin, int64_t end) {
    const forward_call *call = work->call;
    gather_inputs(work, begin, end);
    if (call->run->projected.data) return;
    if (call->layer->config.io_type != GRU_F32)
        sync_threads(work); /* other threads widened some of the rows */
    quantise_rows(work, INPUTS, work->rows.in, call->operands.W.K);
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(&call->operands.W, call->operands.W_pitch, panel);
        for (int64_t first = 0, count; first < work->rows.count; first += count) {
            count = gru_cpu_rows_at(first, work->rows.count);
            float *out[MAX_ROWS];
            for (int64_t m = 0; m < count; m++) out[m] = work->rows.a[first + m] + panel * GATES * PANEL;
            multiply_panel(work, &weights, work->rows.in, first, (int32_t)count, out);
        }
    }
}

/* ---- stages 2 and 3: recurrence and cell ---- */

/* Lists the rows that have a step s. */
static void gather_rows(thread_work *work, int64_t s) {
    const forward_call *call = work->call;
    const gru_run *run = call->run;
    gru_cpu_rows *rows = &work->rows;
    rows->count = 0;
    for (int64_t n = work->slice.row_begin; n < work->slice.row_end; n++) {
        const int64_t i = rows->count;
        if (s >= gru_timeline_steps(&call->timeline, n)) continue;
        rows->in[i] = state_row(call, s, n);
        rows->next[i] = state_row(call, s + 1, n);
        rows->a[i] = projected_row(work, s, n);
        rows->row[i] = n;
        if (rows->saved) rows->saved[i] = gru_cpu_reserve_saved(call->layer, run, s, n);
        if (call->rh) {
            rows->z[i] = call->z + (size_t)n * call->pitch;
            rows->rh[i] = call->rh + (size_t)n * call->pitch;
        }
        if (call->operands.cell.has_attention) {
            const int64_t t = gru_timeline_time(&call->timeline, s, n);
            rows->attention[i] = ((const float *)run->attention.data)[GRU_ROW(run->attention, t, n)];
        }
        rows->count++;
    }
}

/* One product over the listed rows, panel by panel, and its epilogue. */
static void multiply(const thread_work *work, const gru_cpu_panel *first_panel, const float *const *in,
                     gru_cpu_epilogue epilogue) {
    const forward_call *call = work->call;
    alignas(64) float c[MAX_ROWS][GATES * PANEL];
    float *c_rows[MAX_ROWS];
    for (int m = 0; m < MAX_ROWS; m++) c_rows[m] = c[m];
    quantise_rows(work, STATES, in, first_panel->K);
    for (size_t panel = work->slice.panels.begin; panel < work->slice.panels.end; panel++) {
        const gru_cpu_panel weights = gru_cpu_panel_at(first_panel, call->operands.R_pitch, panel);
        for (int64_t first = 0, count; first < work->rows.count; first += count) {
            count = gru_cpu_rows_at(first, work->rows.count);
            multiply_panel(work, &weights, in, first, (int32_t)count, c_rows);
            epilogue(&call->operands.cell, &work->rows, first, (int32_t)count, panel * PANEL, c_rows);
        }
    }
}

static void save_entering_states(const thread_work *work, int64_t s) {
    const forward_call *call = work->call;
    if (call->run->mode == GRU_INFERENCE) return;
    float *states = gru_reserve_states(call->run);
    for (int64_t i = 0; i < work->rows.count; i++) {
        const size_t at =
            gru_reserve_index(call->layer, call->run, s, work->rows.row[i]) + work->slice.units.begin;
        memcpy(states + at, work->rows.in[i] + work->slice.units.begin,
               (work->slice.units.end - work->slice.units.begin) * sizeof *states);
    }
}

/* Stores y and hT after step s. If the next step starts a segment, replaces its entering state. */
static void store_outputs(const thread_work *work, int64_t s) {
    const forward_call *call = work->call;
    const gru_run *run = call->run;
    for (int64_t i = 0; i < work->rows.count; i++) {
        const int64_t n = work->rows.row[i], t = gru_timeline_time(&call->timeline, s, n);
        float *next = work->rows.next[i];
        if (run->y.data)
            gru_store_floats(run->y.data, call->layer->config.io_type,
                             GRU_ROW(run->y, t, n) + work->slice.units.begin, next + work->slice.units.begin,
                             work->slice.units.end - work->slice.units.begin);
        if (s + 1 == gru_timeline_steps(&call->timeline, n)) {
            if (run->hT) store_final_state(work, n, next);
        } else if (gru_timeline_restarts(&call->timeline, s + 1, n)) {
            start_segment(work, n, next);
        }
    }
}

static void run_step(thread_work *work, int64_t s) {
    const forward_call *call = work->call;
    const gru_cpu_cell_kernels *cells = gru_cpu_cell_kernels_of(call->kernels, &call->operands.cell);
    gather_rows(work, s);
    save_entering_states(work, s);
    if (call->operands.cell.reset_mode == GRU_RESET_BEFORE) {
        multiply(work, &call->operands.R, work->rows.in, cells->gates);
        sync_threads(work); /* the candidate's product reads all of r h */
        multiply(work, &call->operands.R_n, (const float *const *)work->rows.rh, cells->candidate);
    } else {
        multiply(work, &call->operands.R, work->rows.in, cells->cell);
    }
    store_outputs(work, s);
    sync_threads(work); /* the next step's product reads the whole new state */
}

/* ---- the call ---- */

static void run_work(void *argument, int32_t index) {
    const forward_call *call = argument;
    thread_work work;
    set_up_work(&work, call, index);
    load_states(&work);
    if (call->schedule.threads > 1)
        gru_barrier_wait(
            call->barrier,
            call->schedule
                .threads); /* all threads have read h0 before one writes hT: they may be the same memory */
    store_empty_rows(&work);
    for (int64_t n = work.slice.row_begin; n < work.slice.row_end; n++)
        if (gru_timeline_steps(&call->timeline, n) > 0 && gru_timeline_restarts(&call->timeline, 0, n))
            start_segment(&work, n, state_row(call, 0, n));
    sync_threads(&work);
    for (int64_t begin = 0; begin < call->steps; begin += call->schedule.chunk) {
        const int64_t end =
            begin + call->schedule.chunk < call->steps ? begin + call->schedule.chunk : call->steps;
        project_chunk(&work, begin, end);
        for (int64_t s = begin; s < end; s++) run_step(&work, s);
    }
    fill_absent(&work);
}

/* Runs on the threads of the schedule, or on this one alone if the pool is not free. */
static void forward_job(const gru_job *job, const gru_plan *plan, gru_cpu_schedule schedule) {
    forward_call call;
    set_up(&call, job, plan, schedule);
    gru_cpu_reserve_write_header(job->layer, job->run, job->run->mode == GRU_TRAIN);
    if (schedule.threads > 1 && gru_pool_run(job->layer->context, schedule.threads, run_work, &call)) return;
    call.schedule = gru_cpu_one_thread(schedule);
    run_work(&call, 0);
}

typedef struct job_list {
    const gru_job *jobs;
    const gru_plan *plan;
} job_list;

static void forward_apart(void *argument, int32_t index) {
    const job_list *list = argument;
    forward_job(&list->jobs[index], list->plan, gru_cpu_one_thread(gru_cpu_plan_of(list->plan)->schedule));
}

/* Not inlined: a streaming step would have to save registers and reserve stack for all this. */
static __attribute__((noinline)) void forward_jobs(const gru_job *jobs, const gru_plan *plan) {
    const gru_cpu_call_plan *own = gru_cpu_plan_of(plan);
    job_list list = {jobs, plan};
    if (own->apart && gru_pool_run(jobs[0].layer->context, plan->count, forward_apart, &list)) return;
    for (int32_t i = 0; i < plan->count; i++) forward_job(&jobs[i], plan, own->schedule);
}

gru_status gru_cpu_forward(const gru_job *jobs, const gru_plan *plan) {
    if (!gru_cpu_plan_of(plan)->streaming) {
        forward_jobs(jobs, plan);
        return GRU_OK;
    }
    for (int32_t i = 0; i < plan->count; i++)
        gru_cpu_streaming_step(gru_cpu_kernels_of(plan->engine), jobs[i].layer, jobs[i].run);
    return GRU_OK;
}
