/* cpu_streaming.c: one step of one row, without the row lists, threads and chunks of cpu_forward.c, which would take as
 * long as the arithmetic with 16 units. The same sums in the same order, so the same bits. */
#include "cpu_streaming.h"

#include <string.h>

#include "core/layout.h"
#include "cpu_schedule.h"
#include "cpu_operands.h"

int gru_cpu_streaming_fits(const gru_layer *layer, const gru_run *run) {
    const gru_layer_config *config = &layer->config;
    return gru_run_is_streaming(run) && config->io_type == GRU_F32 &&
           config->reset_mode != GRU_RESET_BEFORE && gru_activations_are_common(config) &&
           (layer->context->config.threads == 1 ||
            !gru_cpu_worth_thread(1, 1, config->inputs, config->hidden));
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

void gru_cpu_streaming_step(const gru_cpu_kernels *kernels, const gru_layer *layer, const gru_run *run) {
    const size_t H = (size_t)layer->config.hidden, padded = gru_cpu_panel_count(layer->config.hidden) * PANEL;
    float *copy = run->workspace, *next = copy + padded; /* [padded] each */
    gru_cpu_operands operands;
    gru_cpu_operands_of(layer, run, &operands);
    const float *h = entering_state(run, H, padded, copy);
    kernels->streaming_step(&operands.cell, &operands.W, run->x.data, &operands.R, h, next, padded);
    if (run->y.data) memcpy(run->y.data, next, H * sizeof *next);
    if (run->hT) memcpy((float *)run->hT + gru_hT_row(run, 0) * run->hT_stride, next, H * sizeof *next);
}
