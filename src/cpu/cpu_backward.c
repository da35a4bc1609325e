/* cpu_backward.c: the backward pass on the CPU: its memory, its threads, and its stages chunk by chunk. */
#include "cpu_backward.h"

#include <assert.h>
#include <string.h>

#include "core/error.h"
#include "cpu_arena.h"
#include "cpu_backward_state.h"
#include "cpu_backward_step.h"
#include "cpu_backward_tag.h"
#include "cpu_isa.h"
#include "cpu_jobs.h"
#include "cpu_recompute.h"
#include "cpu_threads.h"
#include "cpu_transpose.h"
#include "cpu_weight_gradients.h"

enum { REAL_TAG = REAL_TYPE == GRU_F64 ? GRU_CPU_TAG_F64 : GRU_CPU_TAG_F32 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Rows of a chunk of whole steps: as many as one pass of the weight gradients takes, or one step. */
static size_t chunk_rows(int64_t T, int64_t N) {
    const size_t all = gru_size_times((size_t)T, (size_t)N);
    const size_t most = N > SUMMED_ROWS ? (size_t)N : SUMMED_ROWS;
    return all < most ? all : most;
}

/* What one thread has of its own. */
static void lay_out_work(gru_cpu_backward_work *work, gru_arena *arena, size_t rows) {
    work->columns = gru_cpu_take_reals(arena, SUMMED_ROWS, GATES * PANEL);
    work->discard = gru_cpu_take_reals(arena, 2, PANEL);
    work->rows.saved = gru_cpu_take_pointers(arena, rows);
    work->rows.h = gru_cpu_take_pointers(arena, rows);
    work->rows.dy = gru_cpu_take_pointers(arena, rows);
    work->rows.dh = gru_cpu_take_pointers(arena, rows);
    work->rows.drh = gru_cpu_take_pointers(arena, rows);
    work->rows.d_gates = gru_cpu_take_pointers(arena, rows);
    work->rows.dattention = gru_cpu_take_pointers(arena, rows);
    work->pointers = gru_cpu_take_pointers(arena, rows);
    work->coords = gru_arena_take(arena, gru_size_times(rows, sizeof *work->coords));
    work->rows.row = gru_arena_take(arena, gru_size_times(rows, sizeof *work->rows.row));
    work->rows.attention = gru_cpu_take_reals(arena, rows, 1);
}

static size_t work_bytes(size_t rows) {
    gru_arena arena = {NULL, 0};
    gru_cpu_backward_work work;
    lay_out_work(&work, &arena, rows);
    return arena.used;
}

static void lay_out(gru_cpu_backward_call *call, gru_arena *arena, int64_t T, int64_t N) {
    const gru_layer_config *config = &call->layer->config;
    const size_t rows = chunk_rows(T, N), all = gru_size_times((size_t)T, (size_t)N), n = (size_t)N;
    const size_t outputs = GATES * call->H, panels = call->padded_H / PANEL;
    const size_t threads = (size_t)call->layer->context->config.threads;
    const int before = config->reset_mode == GRU_RESET_BEFORE, widens = config->io_type != REAL_TYPE;
    call->phases = gru_arena_take(arena, sizeof *call->phases);
    call->claims = gru_arena_take(arena, gru_size_times(threads, sizeof *call->claims));
    call->R = gru_cpu_take_reals(arena, outputs, call->padded_H);
    call->W = gru_cpu_take_reals(arena, outputs, call->padded_I);
    call->sum_R = gru_cpu_take_reals(arena, outputs, call->pitch_H);
    call->sum_W = gru_cpu_take_reals(arena, outputs, call->pitch_I);
    call->bias_totals = gru_arena_take(arena, gru_size_times(D_GATES * call->H, sizeof *call->bias_totals));
    call->sum_bias = gru_cpu_take_reals(arena, D_GATES, call->H);
    call->dh = gru_cpu_take_reals(arena, n, call->pitch_H);
    call->dh_restart = gru_cpu_take_reals(arena, n, call->pitch_H);
    call->drh = gru_cpu_take_reals(arena, before ? n : 0, call->pitch_H);
    call->dy = gru_cpu_take_reals(arena, widens ? n : 0, call->pitch_H);
    call->dattention = gru_cpu_take_reals(arena, 2 * n, panels);
    call->d_gates = gru_cpu_take_reals(arena, all, call->pitch_d);
    call->d_gates_t_pitch = rows < SUMMED_ROWS ? (rows + PANEL - 1) / PANEL * PANEL : SUMMED_ROWS;
    call->d_gates_t = gru_cpu_take_reals(arena, D_GATES * call->H, call->d_gates_t_pitch);
    call->x = gru_cpu_take_reals(arena, widens ? rows : 0, call->pitch_I);
    call->a = gru_cpu_take_reals(arena, rows, call->pitch_a);
    call->recomputed = gru_cpu_take_reals(arena, rows, call->padded_H * SAVED);
    call->rh = gru_cpu_take_reals(arena, before ? rows : 0, call->pitch_H);
    call->list_rows = rows;
    call->scratch = gru_arena_take(arena, gru_size_times(threads, work_bytes(rows)));
    call->times = gru_arena_take(arena, gru_timeline_bytes(T, N));
}

static gru_cpu_backward_call call_of(const gru_layer *layer) {
    gru_cpu_backward_call call = {.layer = layer};
    call.I = (size_t)layer->config.inputs;
    call.H = (size_t)layer->config.hidden;
    call.padded_I = (call.I + PANEL - 1) / PANEL * PANEL;
    call.padded_H = gru_cpu_panel_count(layer->config.hidden) * PANEL;
    call.pitch_I = gru_cpu_row_pitch(call.I);
    call.pitch_H = gru_cpu_row_pitch(call.H);
    call.pitch_a = gru_cpu_row_pitch(call.padded_H * GATES);
    call.pitch_d = gru_cpu_row_pitch(call.H * D_GATES);
    return call;
}

size_t gru_cpu_backward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    gru_cpu_backward_call call = call_of(layer);
    gru_arena arena = {NULL, GRU_CPU_TAG_BYTES};
    lay_out(&call, &arena, T, N);
    return arena.used;
}

static void set_up_work(gru_cpu_backward_work *work, const gru_cpu_backward_call *call, int32_t index) {
    gru_arena arena = {call->scratch, (size_t)index * work_bytes(call->list_rows)};
    work->call = call;
    work->member = gru_phase_member_of(call->schedule.threads > 1 ? call->phases : NULL, index);
    lay_out_work(work, &arena, call->list_rows);
    if (call->layer->config.reset_mode != GRU_RESET_BEFORE) work->rows.drh = NULL;
    if (!call->gradients->dattention.data) work->rows.dattention = NULL;
    if (!call->saved) memset(work->discard, 0, (size_t)2 * PANEL * sizeof *work->discard);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* Lists the steps of all rows in backward order, which is also the order of the sums over steps. */
static void list_coords(gru_cpu_backward_work *work) {
    const gru_timeline *line = &work->call->timeline;
    work->coord_count = 0;
    for (int64_t s = work->end - 1; s >= work->begin; s--)
        for (int64_t n = 0; n < line->N; n++)
            if (s < gru_timeline_steps(line, n))
                work->coords[work->coord_count++] = (gru_cpu_row_coord){s, gru_timeline_time(line, s, n), n};
}

/* 16-bit x of the chunk as f32. */
static void widen_part(void *argument, int32_t part) {
    const gru_cpu_backward_work *work = argument;
    const gru_cpu_backward_call *call = work->call;
    for (int64_t i = part; i < work->coord_count; i += call->schedule.threads) {
        const gru_cpu_row_coord *coord = &work->coords[i];
        gru_load_reals(call->run->x.data, call->layer->config.io_type,
                       GRU_ROW(call->run->x, coord->t, coord->n),
                       call->x + gru_cpu_chunk_row(work, coord->s, coord->n) * call->pitch_I, call->I);
    }
}

static void recompute_part(void *argument, int32_t part) {
    gru_cpu_choose_part(argument, part);
    gru_cpu_recompute(argument);
}

static void recompute_candidate_part(void *argument, int32_t part) {
    gru_cpu_choose_part(argument, part);
    gru_cpu_recompute_candidate(argument);
}

static void input_gradients_part(void *argument, int32_t part) {
    gru_cpu_choose_part(argument, part);
    gru_cpu_input_gradients(argument);
}

/* All of the data's gradients for some rows. */
static void rows_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    if (!work->call->saved) {
        gru_cpu_recompute(work);
        gru_cpu_recompute_candidate(work);
    }
    gru_cpu_backward_steps_of_rows(work);
    gru_cpu_input_gradients(work);
}

/* The same for all rows, where each part has some units. */
static void run_by_units(gru_cpu_backward_work *work) {
    const gru_cpu_backward_call *call = work->call;
    if (!call->saved) {
        gru_phase_run(&work->member, recompute_part, work);
        if (call->operands.cell.reset_mode == GRU_RESET_BEFORE)
            gru_phase_run(&work->member, recompute_candidate_part, work);
    }
    gru_cpu_backward_steps_by_units(work);
    gru_phase_run(&work->member, input_gradients_part, work);
}

static void run_chunk(gru_cpu_backward_work *work, int last) {
    const gru_cpu_backward_call *call = work->call;
    list_coords(work);
    if (call->layer->config.io_type != REAL_TYPE && call->run->x.data)
        gru_phase_run(&work->member, widen_part, work);
    if (call->data && call->schedule.by_rows)
        gru_phase_run(&work->member, rows_part, work);
    else if (call->data)
        run_by_units(work);
    if (call->weights) gru_cpu_weight_gradients(work, last);
}

static void start_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    gru_cpu_zero_absent(work);
    gru_cpu_load_dh(work);
    gru_cpu_transpose_weights(work);
}

static void store_part(void *argument, int32_t part) {
    gru_cpu_backward_work *work = argument;
    gru_cpu_choose_part(work, part);
    if (work->call->data) gru_cpu_store_dh(work);
    if (work->call->weights) gru_cpu_add_weight_gradients(work);
}

static void run_work(void *argument, int32_t index) {
    const gru_cpu_backward_call *call = argument;
    gru_cpu_backward_work work;
    set_up_work(&work, call, index);
    if (call->data) gru_phase_run(&work.member, start_part, &work);
    const int64_t chunks = (call->steps + call->schedule.chunk - 1) / call->schedule.chunk;
    for (int64_t i = chunks - 1; i >= 0; i--) {
        work.begin = i * call->schedule.chunk;
        work.end =
            work.begin + call->schedule.chunk < call->steps ? work.begin + call->schedule.chunk : call->steps;
        run_chunk(&work, i == chunks - 1);
    }
    gru_phase_run(&work.member, store_part, &work);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* Whole steps of a chunk: as many as the sums of weights take at once. */
static int64_t chunk_steps(int64_t N) {
    return N > 0 && N < SUMMED_ROWS ? SUMMED_ROWS / N : 1;
}

static void set_up(gru_cpu_backward_call *call, const gru_job *job, gru_cpu_schedule schedule) {
    const gru_run *run = job->run;
    const uint32_t parts = gru_cpu_wanted_parts(job->gradients);
    gru_arena arena = {run->workspace, GRU_CPU_TAG_BYTES};
    call->run = run;
    call->gradients = job->gradients;
    call->data = (parts & GRU_GRAD_DATA) != 0;
    call->weights = (parts & GRU_GRAD_WEIGHTS) != 0;
    gru_cpu_operands_of(job->layer, run, &call->operands);
    call->schedule = schedule;
    call->schedule.chunk = chunk_steps(run->N);
    call->saved = gru_cpu_reserve_has_saved(run);
    lay_out(call, &arena, run->T, run->N);
    assert(arena.used <= run->workspace_size);
    gru_cpu_place_weight_sums(call);
    call->timeline = gru_timeline_of(run, job->layer->config.direction, call->times);
    call->steps = gru_timeline_longest(&call->timeline);
    if (schedule.threads > 1) gru_phases_start(call->phases, call->claims, schedule.threads);
}

/* Runs on the threads of the schedule, or on this one alone if the pool is not free. */
static void backward_job(const gru_job *job, const gru_plan *plan, gru_cpu_schedule schedule) {
    gru_cpu_backward_call call = call_of(job->layer);
    call.kernels = gru_cpu_kernels_of(plan->engine);
    set_up(&call, job, schedule);
    if (call.data) gru_cpu_backward_tag_write(job->run, call.weights ? 0 : REAL_TAG);
    if (schedule.threads > 1 && gru_pool_try(job->layer->context, call.phases, run_work, &call)) return;
    call.schedule = gru_cpu_one_thread(call.schedule);
    run_work(&call, 0);
}

gru_status gru_cpu_backward(const gru_job *jobs, const gru_plan *plan) {
    for (int32_t i = 0; i < plan->count; i++)
        if (!(gru_cpu_wanted_parts(jobs[i].gradients) & GRU_GRAD_DATA))
            GRU_TRY(gru_cpu_backward_tag_check(jobs[i].run, REAL_TAG));
    gru_cpu_run_jobs(jobs, plan, backward_job);
    return GRU_OK;
}
