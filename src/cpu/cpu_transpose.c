/* cpu_transpose.c: transposes W and R, so that backward uses forward's product kernel. */
#include "cpu_transpose.h"

#include <string.h>

/* Order of the gates in k: as in d_gates, from D_R on for W and from D_RECURRENT on for R. */
static const int gate_order[2][GATES] = {{GATE_R, GATE_Z, GATE_N}, {GATE_N, GATE_R, GATE_Z}};

gru_cpu_range gru_cpu_output_blocks(const gru_cpu_backward_work *work, int recurrent) {
    const gru_cpu_backward_call *call = work->call;
    const size_t blocks = (recurrent ? call->padded_H : call->padded_I) / PANEL;
    if (work->slice.by_rows) return (gru_cpu_range){0, blocks};
    return gru_cpu_split(blocks, work->slice.index, work->slice.threads);
}

gru_cpu_panel gru_cpu_transposed_panel(const gru_cpu_backward_call *call, int recurrent, size_t block,
                                       int32_t blocks, size_t first, size_t K) {
    const real *panels = recurrent ? call->R : call->W;
    gru_cpu_panel panel = {.lanes = PANEL, .K = K, .type = REAL_TYPE, .gates = blocks};
    panel.weights = panels + block * PANEL * GATES * call->H + first * (size_t)blocks * PANEL;
    return panel;
}

/* A block of a packed matrix: the weights of some inputs for 16 units of a gate. */
typedef struct columns {
    const real *rows[GATES * PANEL]; /* [inputs] [16] units */
    real widened[GATES * PANEL][PANEL];
} columns;

static void find_columns(const gru_cpu_backward_call *call, int recurrent, int gate, size_t unit, size_t k,
                         size_t count, columns *c) {
    const gru_layer_config *config = &call->layer->config;
    const size_t K = recurrent ? call->H : call->I;
    const int split = recurrent && config->reset_mode == GRU_RESET_BEFORE;
    const void *weights = recurrent ? call->operands.R.weights : call->operands.W.weights;
    if (config->weight_type ==
        REAL_TYPE) { /* at equal distances: to ask for each place takes as long as to transpose */
        const size_t first = gru_cpu_weight_index(REAL_TYPE, split, K, gate, unit, k);
        const size_t pitch = gru_cpu_weight_index(REAL_TYPE, split, K, gate, unit, k + 1) - first;
        for (size_t i = 0; i < count; i++) c->rows[i] = (const real *)weights + first + i * pitch;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const size_t at = gru_cpu_weight_index(config->weight_type, split, K, gate, unit, k + i);
        gru_cpu_load_lanes(weights, config->weight_type, at, c->widened[i]);
        c->rows[i] = c->widened[i];
    }
}

static void transpose_panel(const gru_cpu_backward_call *call, int recurrent, size_t block, int32_t blocks) {
    const gru_cpu_panel panel = gru_cpu_transposed_panel(call, recurrent, block, blocks, 0, GATES * call->H);
    real *to = (real *)(uintptr_t)panel.weights;
    const size_t pitch = (size_t)blocks * PANEL, k = block * PANEL, K = recurrent ? call->H : call->I;
    const size_t count = K - k < pitch ? K - k : pitch;
    columns c;
    for (size_t q = 0; q < GATES; q++)
        for (size_t unit = 0; unit < call->H; unit += PANEL) {
            const size_t width = call->H - unit < PANEL ? call->H - unit : PANEL;
            find_columns(call, recurrent, gate_order[recurrent][q], unit, k, count, &c);
            call->kernels->transpose(c.rows, count, 0, width, to + (q * call->H + unit) * pitch, pitch);
        }
    if (count == pitch) return;
    for (size_t k_row = 0; k_row < GATES * call->H; k_row++)
        memset(to + k_row * pitch + count, 0, (pitch - count) * sizeof *to);
}

static void transpose_matrix(const gru_cpu_backward_work *work, int recurrent) {
    const gru_cpu_range range = gru_cpu_output_blocks(work, recurrent);
    int32_t index = 0;
    for (size_t block = range.begin; block < range.end; block += GATES, index++) {
        const int32_t blocks = gru_cpu_blocks_at(block, range.end);
        if (work->slice.by_rows && index % work->slice.threads != work->slice.index)
            continue; /* threads that split the batch share all panels: each transposes some */
        transpose_panel(work->call, recurrent, block, blocks);
    }
}

void gru_cpu_transpose_weights(const gru_cpu_backward_work *work) {
    transpose_matrix(work, 1);
    if (work->call->gradients->dx.data) transpose_matrix(work, 0);
}
