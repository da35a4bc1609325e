/* cpu_operands.c: makes the operands of the kernels from the configuration and the packed weights of a run. */
#include "cpu_operands.h"

static void describe_cell(const gru_layer_config *config, const gru_run *run, gru_cpu_cell *cell) {
    cell->reset_mode = config->reset_mode;
    cell->update = config->update;
    cell->gate = config->gate;
    cell->candidate = config->candidate;
    cell->clip = config->clip;
    cell->slope = config->hard_slope;
    cell->has_attention = run->attention.data != NULL;
    cell->functions = NULL;
    cell->is_default = cell->reset_mode == GRU_RESET_AFTER && cell->update == GRU_UPDATE_KEEP &&
                       cell->gate == GRU_GATE_SIGMOID && cell->candidate == GRU_CANDIDATE_TANH &&
                       cell->clip == 0 && !cell->has_attention;
}

static void describe_panel(gru_cpu_panel *panel, const char *weights, const char *bias, const char *scales,
                           size_t K, int32_t type, int32_t gates) {
    panel->weights = weights;
    panel->bias = (const real *)(const void *)bias;
    panel->scales = (const float *)(const void *)scales;
    panel->ahead = 0;
    panel->K = K;
    panel->type = type;
    panel->gates = gates;
    panel->sums = SUMS_CHAIN;
}

void gru_cpu_operands_of(const gru_layer *layer, const gru_run *run, gru_cpu_operands *operands) {
    const gru_layer_config *config = &layer->config;
    const gru_cpu_packed_layout layout = gru_cpu_packed_layout_of(config);
    const char *packed = gru_run_packed(layer, run);
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const size_t line = PANEL * gru_type_bytes(config->weight_type); /* one gate of one k */
    const size_t whole_I = gru_cpu_whole_groups(config->weight_type, I),
                 whole_H = gru_cpu_whole_groups(config->weight_type, H);
    const size_t n = (size_t)GATE_N * PANEL; /* where the candidate begins in a panel of biases or scales */
    const int split = config->reset_mode == GRU_RESET_BEFORE;
    describe_cell(config, run, &operands->cell);
    if (!gru_activations_are_common(config)) {
        operands->functions[0] = gru_gate_of(config), operands->functions[1] = gru_candidate_of(config);
        operands->cell.functions = operands->functions;
    }
    operands->W_pitch = whole_I * GATES * line;
    operands->R_pitch = whole_H * GATES * line;
    describe_panel(&operands->W, packed + layout.W, packed + layout.bW, packed + layout.sW, I,
                   config->weight_type, GATES);
    describe_panel(&operands->R, packed + layout.R, packed + layout.bR, packed + layout.sR, H,
                   config->weight_type, split ? 2 : GATES);
    describe_panel(&operands->R_n, packed + layout.R + whole_H * 2 * line,
                   packed + layout.bR + n * sizeof(real), packed + layout.sR + n * sizeof(float), H,
                   config->weight_type, 1);
    operands->W.lanes = operands->R.lanes = operands->R_n.lanes = H;
}

void gru_cpu_load_projected(const gru_layer_config *config, const gru_run *run, gru_cpu_range panels,
                            int64_t t, int64_t n, real *a) {
    const size_t H = (size_t)config->hidden, row = GRU_ROW(run->projected, t, n);
    for (size_t j = panels.begin * PANEL; j < panels.end * PANEL; j += PANEL)
        for (int g = 0; g < GATES; g++) {
            real *to = a + gru_cpu_bias_index(g, j);
            const size_t count = H - j < PANEL ? H - j : PANEL;
            gru_load_reals(run->projected.data, config->io_type, row + (size_t)g * H + j, to, count);
            for (size_t i = count; i < PANEL; i++) to[i] = 0;
        }
}
