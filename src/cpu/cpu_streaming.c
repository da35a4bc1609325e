/* cpu_streaming.c: one step of one row, without the row lists, threads and chunks of cpu_forward.c, which would take as
 * long as the arithmetic with 16 units. The same sums in the same order, so the same bits. */
#include "cpu_streaming.h"

#include <string.h>

#include "core/layout.h"
#include "cpu_isa.h"
#include "cpu_operands.h"
#include "cpu_schedule.h"

static int layer_fits(const gru_layer *layer) {
    const gru_layer_config *config = &layer->config;
    return config->io_type == GRU_F32 && config->reset_mode != GRU_RESET_BEFORE &&
           gru_activations_are_common(config) &&
           (layer->context->config.threads == 1 ||
            !gru_cpu_worth_thread(1, 1, config->inputs, config->hidden));
}

int gru_cpu_streaming_fits(const gru_layer *layer, const gru_run *run) {
    return gru_run_is_streaming(run) && layer_fits(layer);
}

static gru_step_run kernel_of(const gru_engine *engine, const gru_layer *layer) {
    const gru_cpu_pair_kernels *pairs = gru_cpu_pairs_of(engine, layer);
    return pairs ? pairs->streaming_step : gru_cpu_kernels_of(engine)->streaming_step;
}

/* Field by field, as gru_cpu_operands_of. */
static void describe_step(const gru_layer *layer, const gru_run *run, gru_cpu_step *step) {
    gru_cpu_operands operands;
    gru_cpu_operands_of(layer, run, &operands);
    step->cell = operands.cell;
    step->W = operands.W;
    step->R = operands.R;
    step->H = (size_t)layer->config.hidden;
}

int gru_cpu_prepare_step(const gru_engine *self, const gru_layer *layer, gru_step *step) {
    const gru_run bare = GRU_INIT;
    if (!layer_fits(layer)) return 0;
    describe_step(layer, &bare, (gru_cpu_step *)(void *)step->own);
    step->run = kernel_of(self, layer);
    return 1;
}

/* The entering state, [padded]: h0 itself if it fills whole panels, else a copy padded with zeros. */
static const float *entering_state(const gru_run *run, size_t H, size_t padded, float *copy) {
    const float *h0 = run->h0;
    if (h0) h0 += gru_h0_row(run, 0) * run->h0_stride;
    if (h0 && H == padded) return h0;
    memset(copy, 0, padded * sizeof *copy);
    if (h0) memcpy(copy, h0, H * sizeof *copy);
    return copy;
}

/* The workspace holds two states, [padded] each, then what the kernel needs. */
void gru_cpu_streaming_step(const gru_engine *engine, const gru_layer *layer, const gru_run *run) {
    const size_t H = (size_t)layer->config.hidden, padded = gru_cpu_panel_count(layer->config.hidden) * PANEL;
    float *copy = run->workspace, *next = copy + padded;
    gru_cpu_step step;
    describe_step(layer, run, &step);
    const float *h = entering_state(run, H, padded, copy);
    kernel_of(engine, layer)(&step, run->x.data, h, next, run->y.data, next + padded);
    if (run->hT) memcpy((float *)run->hT + gru_hT_row(run, 0) * run->hT_stride, next, H * sizeof *next);
}
