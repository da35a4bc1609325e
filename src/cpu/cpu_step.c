/* cpu_step.c: one step of one row without the lists, parts and chunks that many rows need.
 *
 * The same sums in the same order as cpu_forward.c, so the same bits. At H = 16 the machinery would take as long as the
 * sums. */
#include "cpu_step.h"

#include <stdalign.h>
#include <string.h>

#include "cpu_plan.h"
#include "cpu_terms.h"

int gru_cpu_step_fits(const gru_layer *layer, const gru_run *run) {
    const gru_layer_config *config = &layer->config;
    return run->T == 1 && run->N == 1 && run->mode == GRU_INFERENCE && run->x.data && !run->lengths &&
           !run->reset.data && !run->attention.data && config->io_type == GRU_F32 &&
           config->reset != GRU_RESET_BEFORE &&
           (layer->context->config.threads == 1 ||
            !gru_cpu_plan_worth_thread(1, 1, config->inputs, config->hidden));
}

void gru_cpu_step(const gru_cpu_kernels *kernels, const gru_layer *layer, const gru_run *run) {
    const size_t H = (size_t)layer->config.hidden, panels = gru_cpu_panels(layer->config.hidden);
    float *h = run->workspace, *new_state = h + panels * PANEL; /* [P][16] each, then a [P][3][16] */
    float *a = new_state + panels * PANEL;
    const float *in = h, *x = run->x.data;
    float *next = new_state;
    alignas(64) float c[GATES * PANEL];
    float *c_row = c;
    const gru_cpu_rows rows = {.in = &in, .a = &a, .next = &next, .count = 1};
    gru_cpu_terms terms;
    gru_cpu_terms_of(layer, run, &terms);
    if (run->h0)
        memcpy(h, (const float *)run->h0 + gru_h0_row(run, 0) * run->h0_stride, H * sizeof *h);
    else
        memset(h, 0, H * sizeof *h);
    memset(h + H, 0, (panels * PANEL - H) * sizeof *h);
    for (size_t panel = 0; panel < panels; panel++) {
        const gru_cpu_strip W = gru_cpu_strip_at(&terms.W, terms.W_pitch, panel);
        const gru_cpu_strip R = gru_cpu_strip_at(&terms.R, terms.R_pitch, panel);
        kernels->pair(&W, x, a + panel * GATES * PANEL, &R, h, c);
        kernels->cell(&terms.cell, &rows, 0, 1, panel * PANEL, &c_row);
    }
    if (run->y.data) memcpy(run->y.data, new_state, H * sizeof *h);
    if (run->hT) memcpy((float *)run->hT + gru_hT_row(run, 0) * run->hT_stride, new_state, H * sizeof *h);
}
