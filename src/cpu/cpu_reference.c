/* cpu_reference.c: the reference engine: double precision, every variant, no tricks.
 *
 * One row of the batch at a time, one step at a time. A state rounds to f32 after each step unless io_type is f64: that
 * is what training stores and what a call hands to the next, so the bits do not depend on how T was cut. */
#include "core/layout.h"
#include "core/reserve.h"
#include "cpu_absent.h"
#include "cpu_backend.h"
#include "cpu_engine.h"
#include "cpu_reference_backward.h"
#include "cpu_reference_step.h"
#include "cpu_reserve.h"

static size_t reference_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    const size_t row = (size_t)layer->config.hidden * sizeof(double);
    const size_t states = gru_size_lines(gru_size_times((size_t)N, row));
    return gru_size_plus(gru_reference_scratch(&layer->config),
                         gru_size_plus(states, gru_timeline_bytes(T, N)));
}

/* h_restart's row n, or zeros. */
static void load_segment_start(const reference *ref, int64_t n, double *h) {
    for (size_t j = 0; j < ref->H; j++)
        h[j] = ref->run->h_restart
                   ? gru_load_double(ref->run->h_restart, ref->config->state_type, (size_t)n * ref->H + j)
                   : 0;
}

static void load_initial_state(const reference *ref, int64_t n, double *h) {
    const size_t row = (size_t)(gru_h0_row(ref->run, n) * ref->run->h0_stride);
    for (size_t j = 0; j < ref->H; j++)
        h[j] = ref->run->h0 ? gru_load_double(ref->run->h0, ref->config->state_type, row + j) : 0;
}

static void store_output(const reference *ref, int64_t t, int64_t n, const double *h) {
    const gru_view *y = &ref->run->y;
    const size_t at = GRU_ROW(*y, t, n);
    for (size_t j = 0; j < ref->H; j++) gru_store_double(y->data, ref->config->io_type, at + j, h[j]);
}

/* Runs row n from h to its final state, which it leaves in h. */
static void forward_row(reference *ref, const gru_layer *layer, int64_t n, double *h) {
    const gru_run *run = ref->run;
    const int64_t steps = gru_timeline_steps(&ref->timeline, n);
    void *states = run->mode == GRU_INFERENCE ? NULL : gru_reserve_states(run);
    ref->h = h;
    for (int64_t s = 0; s < steps; s++) {
        const int64_t t = gru_timeline_time(&ref->timeline, s, n);
        if (gru_timeline_restarts(&ref->timeline, s, n)) load_segment_start(ref, n, h);
        if (states)
            for (size_t j = 0; j < ref->H; j++)
                gru_store_double(states, ref->state_type, gru_reserve_index(layer, run, s, n) + j, h[j]);
        gru_reference_step(ref, t, n);
        for (size_t j = 0; j < ref->H; j++)
            h[j] = ref->state_type == GRU_F32 ? (double)(float)ref->next[j] : ref->next[j];
        if (run->y.data) store_output(ref, t, n, h);
    }
    gru_cpu_fill_absent(layer, run, n, (gru_cpu_range){0, ref->H});
}

static void reference_forward_one(const gru_layer *layer, const gru_run *run) {
    double *memory = run->workspace;
    double *states = memory + gru_reference_scratch(&layer->config) / sizeof(double); /* [N][H] */
    reference ref = gru_reference_over(layer, run, memory);
    const size_t H = ref.H;
    ref.timeline = gru_timeline_of(run, layer->config.direction,
                                   (char *)states + gru_size_lines((size_t)run->N * H * sizeof *states));
    gru_cpu_reserve_write_header(layer, run, 0);
    /* all of h0 is read before any of hT is written: they may be one array, with slots in any order */
    for (int64_t n = 0; n < run->N; n++) load_initial_state(&ref, n, states + (size_t)n * H);
    for (int64_t n = 0; n < run->N; n++) forward_row(&ref, layer, n, states + (size_t)n * H);
    if (!run->hT) return;
    for (int64_t n = 0; n < run->N; n++)
        for (size_t j = 0; j < H; j++)
            gru_store_double(run->hT, layer->config.state_type,
                             (size_t)(gru_hT_row(run, n) * run->hT_stride) + j, states[(size_t)n * H + j]);
}

static gru_status reference_forward(const gru_job *jobs, const gru_plan *plan) {
    for (int32_t i = 0; i < plan->count; i++) reference_forward_one(jobs[i].layer, jobs[i].run);
    return GRU_OK;
}

static const char *reference_plan(const gru_job *jobs, gru_plan *plan) {
    (void)jobs, (void)plan; /* nothing to decide */
    return NULL;
}

static const gru_engine_pass passes[GRU_PASSES] = {
    [GRU_PASS_FORWARD] = {reference_workspace, reference_plan, reference_forward},
    [GRU_PASS_BACKWARD] = {gru_reference_backward_workspace, reference_plan, gru_reference_backward},
};

const gru_engine gru_engine_cpu_reference = {
    .name = "cpu_reference",
    .backend = &gru_backend_cpu,
    .passes = passes,
    .any_size = 1,
    .has_f64 = 1,
    .has_int8 = 1,
};
