/* cpu_forward.c: the forward pass on the CPU: its memory, its phases, and its threads. cpu_forward_stages.c has the work of a part.
 *
 * A part of a phase has a slice of the call: some rows of the batch with all units, or all rows with some panels of units.
 * With rows, all steps are one phase; with units, each step is. */
#include "cpu_forward.h"

#include <assert.h>

#include "cpu_arena.h"
#include "cpu_forward_work.h"
#include "cpu_isa.h"
#include "cpu_jobs.h"
#include "cpu_reserve.h"
#include "cpu_threads.h"

/* ---- set-up ---- */

/* The row lists of one thread. */
static void lay_out_lists(gru_cpu_forward_work *work, gru_arena *arena, size_t rows) {
    gru_cpu_rows *lists = &work->rows;
    lists->in = gru_cpu_take_pointers(arena, rows);
    lists->a = gru_cpu_take_pointers(arena, rows);
    lists->next = gru_cpu_take_pointers(arena, rows);
    lists->z = gru_cpu_take_pointers(arena, rows);
    lists->rh = gru_cpu_take_pointers(arena, rows);
    lists->saved = gru_cpu_take_pointers(arena, rows);
    lists->row = gru_arena_take(arena, gru_size_times(rows, sizeof *lists->row));
    lists->attention = gru_cpu_take_reals(arena, rows, 1);
    work->narrow = gru_cpu_take_pointers(arena, rows);
}

static size_t list_bytes(size_t rows) {
    gru_arena arena = {NULL, 0};
    gru_cpu_forward_work work;
    lay_out_lists(&work, &arena, rows);
    return arena.used;
}

/* Takes the arrays of a call from an arena, in the order in which they are declared above. */
static void lay_out(gru_cpu_forward_call *call, gru_arena *arena, int64_t T, int64_t N) {
    const gru_layer_config *config = &call->layer->config;
    const size_t n = (size_t)N, threads = (size_t)call->layer->context->config.threads;
    const size_t rows = gru_cpu_schedule_rows(T, N, config->hidden);
    const size_t padded = gru_cpu_panel_count(config->hidden) * PANEL;
    call->pitch = gru_cpu_row_pitch(padded);
    call->pitch_a = gru_cpu_row_pitch(padded * GATES);
    call->list_rows = rows;
    call->phases = gru_arena_take(arena, sizeof *call->phases);
    call->claims = gru_arena_take(arena, gru_size_times(threads, sizeof *call->claims));
    for (int i = 0; i < 2; i++) call->state[i] = gru_cpu_take_reals(arena, n, call->pitch);
    call->z = call->rh = NULL;
    if (config->reset_mode == GRU_RESET_BEFORE) {
        call->z = gru_cpu_take_reals(arena, n, call->pitch);
        call->rh = gru_cpu_take_reals(arena, n, call->pitch);
    }
    call->a = gru_cpu_take_reals(arena, rows, call->pitch_a);
    call->x = gru_cpu_take_reals(arena, config->io_type == REAL_TYPE ? 0 : rows, (size_t)config->inputs);
    if (gru_cpu_may_narrow(call->layer)) {
        call->narrow[INPUTS] =
            gru_arena_take(arena, gru_size_times(rows, gru_cpu_narrow_bytes((size_t)config->inputs)));
        call->narrow[STATES] =
            gru_arena_take(arena, gru_size_times(n, gru_cpu_narrow_bytes((size_t)config->hidden)));
    }
    call->lists = gru_arena_take(arena, gru_size_times(threads, list_bytes(rows)));
    call->times = gru_arena_take(arena, gru_timeline_bytes(T, N));
}

size_t gru_cpu_forward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    gru_arena arena = {NULL, 0};
    gru_cpu_forward_call call;
    call.layer = layer;
    lay_out(&call, &arena, T, N);
    return arena.used;
}

static void set_up(gru_cpu_forward_call *call, const gru_job *job, const gru_plan *plan,
                   gru_cpu_schedule schedule) {
    gru_arena arena = {job->run->workspace, 0};
    call->layer = job->layer;
    call->run = job->run;
    call->kernels = gru_cpu_kernels_of(plan->engine);
    call->pairs = job->run->mode == GRU_INFERENCE ? gru_cpu_pairs_of(plan->engine, job->layer) : NULL;
    call->schedule = schedule;
    call->H = (size_t)job->layer->config.hidden;
    gru_cpu_operands_of(job->layer, job->run, &call->operands);
    lay_out(call, &arena, job->run->T, job->run->N);
    assert(arena.used <= job->run->workspace_size);
    call->timeline = gru_timeline_of(job->run, job->layer->config.direction, call->times);
    call->steps = gru_timeline_longest(&call->timeline);
    if (schedule.threads > 1) gru_phases_start(call->phases, call->claims, schedule.threads);
}

static void set_up_work(gru_cpu_forward_work *work, const gru_cpu_forward_call *call, int32_t index) {
    gru_arena arena = {call->lists, (size_t)index * list_bytes(call->list_rows)};
    work->call = call;
    work->member = gru_phase_member_of(call->schedule.threads > 1 ? call->phases : NULL, index);
    lay_out_lists(work, &arena, call->list_rows);
    if (call->run->mode != GRU_TRAIN) work->rows.saved = NULL;
}

static void choose_part(gru_cpu_forward_work *work, int32_t part) {
    const gru_cpu_forward_call *call = work->call;
    work->slice = gru_cpu_slice_of(&call->schedule, &call->timeline, call->layer->config.hidden, part);
}

/* ---- phases ---- */

/* All h0 is read before hT is written: they may be the same memory. */
static void load_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    choose_part(work, part);
    gru_cpu_load_states(work);
}

/* Some rows, from their first step to their last. */
static void rows_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    const gru_cpu_forward_call *call = work->call;
    choose_part(work, part);
    gru_cpu_start_rows(work);
    for (int64_t s = 0; s < call->steps; s++) {
        if (s % call->schedule.chunk == 0) {
            work->chunk_begin = s;
            gru_cpu_project_chunk(work);
        }
        gru_cpu_begin_step(work, s);
        if (call->operands.cell.reset_mode == GRU_RESET_BEFORE) gru_cpu_end_step(work, s);
    }
    gru_cpu_fill_absent_rows(work);
}

static void start_part(void *argument, int32_t part) {
    choose_part(argument, part);
    gru_cpu_start_rows(argument);
}

static void widen_part(void *argument, int32_t part) {
    gru_cpu_widen_inputs(argument, part);
}

static void narrow_inputs_part(void *argument, int32_t part) {
    choose_part(argument, part);
    gru_cpu_narrow_inputs(argument, part);
}

static void narrow_states_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    choose_part(work, part);
    gru_cpu_narrow_states(work, work->step, part);
}

static void narrow_reset_states_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    choose_part(work, part);
    gru_cpu_narrow_reset_states(work, work->step, part);
}

/* Some units of a step; with the first step of a chunk, of the chunk's projection. */
static void step_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    choose_part(work, part);
    if (work->step == work->chunk_begin) gru_cpu_project_chunk(work);
    gru_cpu_begin_step(work, work->step);
}

static void candidate_part(void *argument, int32_t part) {
    gru_cpu_forward_work *work = argument;
    choose_part(work, part);
    gru_cpu_end_step(work, work->step);
}

static void absent_part(void *argument, int32_t part) {
    choose_part(argument, part);
    gru_cpu_fill_absent_rows(argument);
}

/* What the projection of a chunk reads, where all parts read all of it. */
static void prepare_chunk(gru_cpu_forward_work *work) {
    const gru_layer_config *config = &work->call->layer->config;
    work->chunk_begin = work->step;
    if (work->call->run->projected.data) return;
    if (config->io_type != REAL_TYPE) gru_phase_run(&work->member, widen_part, work);
    if (work->call->pairs) gru_phase_run(&work->member, narrow_inputs_part, work);
}

static void step_by_units(gru_cpu_forward_work *work) {
    const int narrows = work->call->pairs != NULL;
    if (narrows) gru_phase_run(&work->member, narrow_states_part, work);
    gru_phase_run(&work->member, step_part, work);
    if (work->call->operands.cell.reset_mode != GRU_RESET_BEFORE) return;
    if (narrows) gru_phase_run(&work->member, narrow_reset_states_part, work);
    gru_phase_run(&work->member, candidate_part, work);
}

/* A product reads the whole state, so each is a phase. */
static void run_by_units(gru_cpu_forward_work *work) {
    const gru_cpu_forward_call *call = work->call;
    gru_phase_run(&work->member, start_part, work);
    for (work->step = 0; work->step < call->steps; work->step++) {
        if (work->step % call->schedule.chunk == 0) prepare_chunk(work);
        step_by_units(work);
    }
    gru_phase_run(&work->member, absent_part, work);
}

/* ---- the call ---- */

static void run_work(void *argument, int32_t index) {
    const gru_cpu_forward_call *call = argument;
    gru_cpu_forward_work work;
    set_up_work(&work, call, index);
    gru_phase_run(&work.member, load_part, &work);
    if (call->schedule.by_rows)
        gru_phase_run(&work.member, rows_part, &work);
    else
        run_by_units(&work);
}

/* Runs on the threads of the schedule, or on this one alone if the pool is not free. */
static void forward_job(const gru_job *job, const gru_plan *plan, gru_cpu_schedule schedule) {
    gru_cpu_forward_call call;
    set_up(&call, job, plan, schedule);
    gru_cpu_reserve_write_header(job->layer, job->run, job->run->mode == GRU_TRAIN);
    if (schedule.threads > 1 && gru_pool_try(job->layer->context, call.phases, run_work, &call)) return;
    call.schedule = gru_cpu_one_thread(schedule);
    run_work(&call, 0);
}

gru_status gru_cpu_forward(const gru_job *jobs, const gru_plan *plan) {
    gru_cpu_run_jobs(jobs, plan, forward_job);
    return GRU_OK;
}
