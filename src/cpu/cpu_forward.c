/* cpu_forward.c: stages 1 to 3 on the CPU: loops over chunks, steps, panels and tiles of rows; no arithmetic.
 *
 * Each thread owns a part of the call: some rows of the batch with all units, or all rows with some panels of units. */
#include "cpu_forward.h"

#include <stdalign.h>
#include <string.h>

#include "core/reserve.h"
#include "cpu_reserve.h"
#include "cpu_slice.h"
#include "cpu_streaming.h"
#include "cpu_operands.h"
#include "cpu_threads.h"

/* One call. */
typedef struct forward {
    const gru_layer *layer;
    const gru_run *run;
    const gru_cpu_kernels *kernels;
    gru_cpu_terms terms;
    gru_cpu_plan plan;
    size_t H, padded; /* units, and units in whole panels */
    int64_t steps;    /* of the longest row */
    gru_barrier *barrier;
    float *state[2];  /* [N][padded] the state that enters an even, an odd step */
    float *z, *rh;    /* [N][padded] BEFORE */
    float *a;         /* [chunk][N][P][3][16] projected input of a chunk */
    float *x;         /* [chunk][N][I] a chunk of 16-bit input, widened */
    char *lists;      /* of each thread: the arrays of gru_cpu_rows */
    size_t list_rows; /* in each of them */
} forward;

/* What one thread does of it. */
typedef struct part {
    const forward *f;
    gru_cpu_share share;
    int64_t chunk_begin; /* first step of the chunk at hand */
    gru_cpu_rows rows;
} part;

enum { LIST_BYTES = 6 * sizeof(float *) + sizeof(int64_t) + sizeof(float) + 4 };

/* ---- set-up ---- */

static size_t state_bytes(const gru_layer *layer, int64_t N) {
    return gru_size_times((size_t)N, gru_cpu_panels(layer->config.hidden) * PANEL * sizeof(float));
}

size_t gru_cpu_forward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    const size_t rows = gru_cpu_plan_rows(T, N, config->hidden);
    const size_t states = config->reset_mode == GRU_RESET_BEFORE ? 4 : 2;
    const size_t threads = (size_t)layer->context->config.threads;
    const size_t widened = config->io_type == GRU_F32 ? 0 : (size_t)config->inputs * sizeof(float);
    const size_t a = gru_cpu_panels(config->hidden) * PANEL * GATES * sizeof(float);
    size_t bytes = sizeof(gru_barrier) + 64; /* the rounding of x's part */
    bytes = gru_size_plus(bytes, gru_size_times(states, state_bytes(layer, N)));
    bytes = gru_size_plus(bytes, gru_size_times(rows, a + widened));
    return gru_size_lines(gru_size_plus(bytes, gru_size_times(threads * LIST_BYTES, rows)));
}

/* Lays the workspace out. */
static void set_up(forward *f, const gru_cpu_kernels *kernels, const gru_layer *layer, const gru_run *run,
                   int32_t threads) {
    const gru_layer_config *config = &layer->config;
    const size_t rows = gru_cpu_plan_rows(run->T, run->N, config->hidden),
                 states = state_bytes(layer, run->N);
    char *memory = run->workspace;
    f->layer = layer;
    f->run = run;
    f->kernels = kernels;
    gru_cpu_terms_of(layer, run, &f->terms);
    f->plan = gru_cpu_plan_for(run->T, run->N, config->inputs, config->hidden, threads);
    f->H = (size_t)config->hidden;
    f->padded = gru_cpu_panels(config->hidden) * PANEL;
    f->steps = gru_run_longest(run);
    f->list_rows = rows;
    f->barrier = (gru_barrier *)(void *)memory;
    if (f->plan.threads > 1) memset(f->barrier, 0, sizeof *f->barrier);
    memory += sizeof *f->barrier;
    f->state[0] = (float *)(void *)memory;
    f->state[1] = (float *)(void *)(memory + states);
    memory += 2 * states;
    f->z = f->rh = NULL;
    if (config->reset_mode == GRU_RESET_BEFORE) {
        f->z = (float *)(void *)memory;
        f->rh = (float *)(void *)(memory + states);
        memory += 2 * states;
    }
    f->a = (float *)(void *)memory;
    memory += rows * f->padded * GATES * sizeof(float);
    f->x = (float *)(void *)memory;
    if (config->io_type != GRU_F32) memory += gru_size_lines(rows * (size_t)config->inputs * sizeof(float));
    f->lists = memory;
}

static void set_up_part(part *p, const forward *f, int32_t index) {
    const size_t rows = f->list_rows;
    p->f = f;
    p->share = gru_cpu_share_of(&f->plan, f->run->N, f->layer->config.hidden, index);
    char *list = f->lists + (size_t)index * rows * LIST_BYTES;
    const size_t pointers = rows * sizeof(float *);
    p->rows.in = (const float **)(void *)list;
    p->rows.a = (float **)(void *)(list + pointers);
    p->rows.next = (float **)(void *)(list + 2 * pointers);
    p->rows.z = (float **)(void *)(list + 3 * pointers);
    p->rows.rh = (float **)(void *)(list + 4 * pointers);
    p->rows.kept = f->run->mode == GRU_TRAIN ? (float **)(void *)(list + 5 * pointers) : NULL;
    p->rows.row = (int64_t *)(void *)(list + 6 * pointers);
    p->rows.attention = (float *)(void *)(list + 6 * pointers + rows * sizeof(int64_t));
}

/* Waits for the other threads where they share rows. */
static void meet(const part *p) {
    if (!p->f->plan.by_rows) gru_barrier_wait(p->f->barrier, p->f->plan.threads);
}

/* ---- states ---- */

static float *state_row(const forward *f, int64_t s, int64_t n) {
    return f->state[s & 1] + (size_t)n * f->padded;
}

/* The part's units of h_restart's row n, or zeros. */
static void start_segment(const part *p, int64_t n, float *state) {
    const forward *f = p->f;
    const size_t count = p->share.units.end - p->share.units.begin;
    if (f->run->h_restart)
        gru_load_floats(f->run->h_restart, f->layer->config.state_type,
                        (size_t)n * f->H + p->share.units.begin, state + p->share.units.begin, count);
    else
        memset(state + p->share.units.begin, 0, count * sizeof *state);
}

static void load_states(const part *p) {
    const forward *f = p->f;
    const gru_run *run = f->run;
    const size_t count = p->share.units.end - p->share.units.begin;
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        float *state = state_row(f, 0, n);
        const size_t at = (size_t)(gru_h0_row(run, n) * run->h0_stride) + p->share.units.begin;
        memset(state + p->share.units.end, 0,
               (p->share.panels.end * PANEL - p->share.units.end) * sizeof *state);
        if (run->h0)
            gru_load_floats(run->h0, f->layer->config.state_type, at, state + p->share.units.begin, count);
        else
            memset(state + p->share.units.begin, 0, count * sizeof *state);
    }
}

static void store_final_state(const part *p, int64_t n, const float *state) {
    const gru_run *run = p->f->run;
    const size_t at = (size_t)(gru_hT_row(run, n) * run->hT_stride) + p->share.units.begin;
    gru_store_floats(run->hT, p->f->layer->config.state_type, at, state + p->share.units.begin,
                     p->share.units.end - p->share.units.begin);
}

/* Rows without steps end where they began, and y is zero past each row's length. */
static void finish_short_rows(const part *p) {
    const gru_run *run = p->f->run;
    const size_t element = gru_type_bytes(p->f->layer->config.io_type);
    if (p->f->steps > 0 && !run->lengths) return;
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        const int64_t length = gru_run_length(run, n);
        if (length == 0 && run->hT) store_final_state(p, n, state_row(p->f, 0, n));
        for (int64_t t = length; t < run->T && run->y.data; t++)
            memset((char *)run->y.data + (GRU_ROW(run->y, t, n) + p->share.units.begin) * element, 0,
                   (p->share.units.end - p->share.units.begin) * element);
    }
}

/* ---- stage 1: projection ---- */

/* Row of the chunk's buffers for step s of row n. */
static size_t chunk_row(const part *p, int64_t s, int64_t n) {
    return (size_t)(s - p->chunk_begin) * (size_t)p->f->run->N + (size_t)n;
}

static float *projected_row(const part *p, int64_t s, int64_t n) {
    return p->f->a + chunk_row(p, s, n) * p->f->padded * GATES;
}

static const float *input_row(const part *p, int64_t s, int64_t t, int64_t n) {
    const forward *f = p->f;
    const gru_const_view *x = &f->run->x;
    const int32_t type = f->layer->config.io_type;
    if (type == GRU_F32) return (const float *)x->data + GRU_ROW(*x, t, n);
    /* threads that share rows write the same numbers here, so each widens only those whose turn it is */
    float *row = f->x + chunk_row(p, s, n) * f->terms.W.K;
    if (f->plan.by_rows || n % f->plan.threads == p->share.index)
        gru_load_floats(x->data, type, GRU_ROW(*x, t, n), row, f->terms.W.K);
    return row;
}

/* Lists the rows of steps [begin, end) in the order (s, n), their inputs ready. */
static void gather_inputs(part *p, int64_t begin, int64_t end) {
    const forward *f = p->f;
    const int32_t direction = f->layer->config.direction;
    p->rows.count = 0;
    p->chunk_begin = begin;
    for (int64_t s = begin; s < end; s++)
        for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
            const int64_t length = gru_run_length(f->run, n);
            if (s >= length) continue;
            const int64_t t = gru_step_time(direction, length, s);
            if (f->run->projected.data) {
                gru_cpu_load_projected(&f->layer->config, f->run, p->share.panels, t, n,
                                       projected_row(p, s, n));
                continue;
            }
            p->rows.in[p->rows.count] = input_row(p, s, t, n);
            p->rows.a[p->rows.count++] = projected_row(p, s, n);
        }
}

static void project_chunk(part *p, int64_t begin, int64_t end) {
    const forward *f = p->f;
    gather_inputs(p, begin, end);
    if (f->run->projected.data) return;
    if (f->layer->config.io_type != GRU_F32) meet(p); /* rows that another thread widened */
    for (size_t panel = p->share.panels.begin; panel < p->share.panels.end; panel++) {
        const gru_cpu_strip strip = gru_cpu_strip_at(&f->terms.W, f->terms.W_pitch, panel);
        for (int64_t first = 0; first < p->rows.count; first += MAX_TILE) {
            const int32_t tile = gru_cpu_tile_at(first, p->rows.count);
            float *out[MAX_TILE];
            for (int32_t m = 0; m < tile; m++) out[m] = p->rows.a[first + m] + panel * GATES * PANEL;
            f->kernels->product(&strip, p->rows.in + first, out, tile);
        }
    }
}

/* ---- stages 2 and 3: recurrence and cell ---- */

/* Lists the rows that have a step s. */
static void gather_rows(part *p, int64_t s) {
    const forward *f = p->f;
    const gru_run *run = f->run;
    gru_cpu_rows *rows = &p->rows;
    rows->count = 0;
    for (int64_t n = p->share.row_begin; n < p->share.row_end; n++) {
        const int64_t length = gru_run_length(run, n), i = rows->count;
        if (s >= length) continue;
        rows->in[i] = state_row(f, s, n);
        rows->next[i] = state_row(f, s + 1, n);
        rows->a[i] = projected_row(p, s, n);
        rows->row[i] = n;
        if (rows->kept) rows->kept[i] = gru_cpu_reserve_saved(f->layer, run, s, n);
        if (f->rh) {
            rows->z[i] = f->z + (size_t)n * f->padded;
            rows->rh[i] = f->rh + (size_t)n * f->padded;
        }
        if (f->terms.cell.attends) {
            const int64_t t = gru_step_time(f->layer->config.direction, length, s);
            rows->attention[i] = ((const float *)run->attention.data)[GRU_ROW(run->attention, t, n)];
        }
        rows->count++;
    }
}

typedef void (*finish)(const gru_cpu_cell *cell, const gru_cpu_rows *rows, int64_t first, int32_t count,
                       size_t unit, float *const *c);

/* One product over the listed rows, panel by panel, with what follows it on each tile. */
static void multiply(const part *p, const gru_cpu_strip *first_strip, const float *const *in, finish then) {
    const forward *f = p->f;
    alignas(64) float c[MAX_TILE][GATES * PANEL];
    float *c_rows[MAX_TILE];
    for (int m = 0; m < MAX_TILE; m++) c_rows[m] = c[m];
    for (size_t panel = p->share.panels.begin; panel < p->share.panels.end; panel++) {
        const gru_cpu_strip strip = gru_cpu_strip_at(first_strip, f->terms.R_pitch, panel);
        for (int64_t first = 0; first < p->rows.count; first += MAX_TILE) {
            const int32_t tile = gru_cpu_tile_at(first, p->rows.count);
            f->kernels->product(&strip, in + first, c_rows, tile);
            then(&f->terms.cell, &p->rows, first, tile, panel * PANEL, c_rows);
        }
    }
}

static void keep_entering_states(const part *p, int64_t s) {
    const forward *f = p->f;
    if (f->run->mode == GRU_INFERENCE) return;
    float *states = gru_reserve_states(f->run);
    for (int64_t i = 0; i < p->rows.count; i++) {
        const size_t at = gru_reserve_index(f->layer, f->run, s, p->rows.row[i]) + p->share.units.begin;
        memcpy(states + at, p->rows.in[i] + p->share.units.begin,
               (p->share.units.end - p->share.units.begin) * sizeof *states);
    }
}

/* What leaves the call after step s, and what the next step starts from if it starts a segment. */
static void hand_out(const part *p, int64_t s) {
    const forward *f = p->f;
    const gru_run *run = f->run;
    const int32_t direction = f->layer->config.direction;
    for (int64_t i = 0; i < p->rows.count; i++) {
        const int64_t n = p->rows.row[i], length = gru_run_length(run, n),
                      t = gru_step_time(direction, length, s);
        float *next = p->rows.next[i];
        if (run->y.data)
            gru_store_floats(run->y.data, f->layer->config.io_type,
                             GRU_ROW(run->y, t, n) + p->share.units.begin, next + p->share.units.begin,
                             p->share.units.end - p->share.units.begin);
        if (s + 1 == length) {
            if (run->hT) store_final_state(p, n, next);
        } else if (gru_segment_starts(run, direction, length, s + 1, n)) {
            start_segment(p, n, next);
        }
    }
}

static void run_step(part *p, int64_t s) {
    const forward *f = p->f;
    gather_rows(p, s);
    keep_entering_states(p, s);
    if (f->terms.cell.reset_mode == GRU_RESET_BEFORE) {
        multiply(p, &f->terms.R, p->rows.in, f->kernels->gates);
        meet(p); /* r h is whole before the candidate multiplies it */
        multiply(p, &f->terms.R_n, (const float *const *)p->rows.rh, f->kernels->candidate);
    } else {
        multiply(p, &f->terms.R, p->rows.in, f->kernels->cell);
    }
    hand_out(p, s);
    meet(p); /* the new state is whole before the next step multiplies it */
}

/* ---- the call ---- */

static void run_part(void *argument, int32_t index) {
    const forward *f = argument;
    part p;
    set_up_part(&p, f, index);
    load_states(&p);
    if (f->plan.threads > 1)
        gru_barrier_wait(f->barrier, f->plan.threads); /* h0 is read before hT is written */
    finish_short_rows(&p);
    for (int64_t n = p.share.row_begin; n < p.share.row_end; n++)
        if (gru_run_length(f->run, n) > 0 &&
            gru_segment_starts(f->run, f->layer->config.direction, gru_run_length(f->run, n), 0, n))
            start_segment(&p, n, state_row(f, 0, n));
    meet(&p);
    for (int64_t begin = 0; begin < f->steps; begin += f->plan.chunk) {
        const int64_t end = begin + f->plan.chunk < f->steps ? begin + f->plan.chunk : f->steps;
        project_chunk(&p, begin, end);
        for (int64_t s = begin; s < end; s++) run_step(&p, s);
    }
}

/* Out of line, so that a streaming step does not pay for the registers and the memory of all this. */
static __attribute__((noinline)) void forward_rows(const gru_cpu_kernels *kernels, const gru_layer *layer,
                                                   const gru_run *run, int32_t threads) {
    forward f;
    set_up(&f, kernels, layer, run, threads);
    gru_cpu_reserve_write_header(layer, run, run->mode == GRU_TRAIN);
    if (f.plan.threads > 1 && gru_pool_run(layer->context, f.plan.threads, run_part, &f)) return;
    f.plan.threads = 1;
    f.plan.by_rows = 1;
    run_part(&f, 0);
}

static void forward_one(const gru_cpu_kernels *kernels, const gru_layer *layer, const gru_run *run,
                        int32_t threads) {
    if (gru_cpu_step_fits(layer, run))
        gru_cpu_step(kernels, layer, run);
    else
        forward_rows(kernels, layer, run, threads);
}

typedef struct job_list {
    const gru_cpu_kernels *kernels;
    const gru_job *jobs;
} job_list;

static void run_job(void *argument, int32_t index) {
    const job_list *list = argument;
    forward_one(list->kernels, list->jobs[index].layer, list->jobs[index].run, 1);
}

gru_status gru_cpu_forward(const gru_cpu_kernels *kernels, const gru_job *jobs, int32_t count) {
    job_list list = {kernels, jobs};
    const gru_context *context = jobs[0].layer->context;
    if (gru_cpu_plan_worth_jobs(jobs, count) && gru_pool_run(context, count, run_job, &list)) return GRU_OK;
    for (int32_t i = 0; i < count; i++)
        forward_one(kernels, jobs[i].layer, jobs[i].run, context->config.threads);
    return GRU_OK;
}
