/* cpu_layout.h: how the CPU engines lay out packed weights. */
#ifndef GRU_CPU_LAYOUT_H
#define GRU_CPU_LAYOUT_H

#include "core/layout.h"

/* Packed weights: units in panels of 16, r, z, n of a panel's units together, so that one pass over a panel gives all
 * that the cell needs. Units past H are zeros. With P = gru_cpu_panel_count(H):
 *
 *   bW  [P][3][16]          f32, or f64 with f64 weights
 *   bR  [P][3][16]
 *   W   [P][I][3][16]       weight_type
 *   R   [P][H][3][16]       AFTER, ALL
 *   R   [P]{[H][2][16] r, z; [H][16] n}     BEFORE, whose candidate multiplies r h instead of h
 *
 * Each array starts on a cache line. */
enum { PANEL = 16 };

static inline size_t gru_cpu_panel_count(int32_t hidden) {
    return ((size_t)hidden + PANEL - 1) / PANEL;
}

typedef struct gru_cpu_packed_layout {
    size_t bW, bR, W, R, bytes; /* byte offsets, and the whole */
} gru_cpu_packed_layout;

static inline gru_cpu_packed_layout gru_cpu_packed_layout_of(const gru_layer_config *config) {
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t row = gru_cpu_panel_count(config->hidden) * GATES * PANEL;
    const size_t bias = row * (config->weight_type == GRU_F64 ? sizeof(double) : sizeof(float));
    gru_cpu_packed_layout layout = {0};
    layout.bR = gru_size_lines(bias);
    layout.W = 2 * layout.bR;
    layout.R = layout.W + gru_size_lines(row * (size_t)config->inputs * element);
    layout.bytes = layout.R + gru_size_lines(row * (size_t)config->hidden * element);
    return layout;
}

/* Element index within W or R of gate g, unit j, summed index k of K. split: R of BEFORE. */
static inline size_t gru_cpu_weight_index(int split, size_t K, int g, size_t j, size_t k) {
    const size_t panel = j / PANEL * K * GATES * PANEL, lane = j % PANEL;
    if (!split) return panel + (k * GATES + (size_t)g) * PANEL + lane;
    if (g == GATE_N) return panel + K * 2 * PANEL + k * PANEL + lane;
    return panel + (k * 2 + (size_t)g) * PANEL + lane;
}

/* Element index within bW or bR. */
static inline size_t gru_cpu_bias_index(int g, size_t j) {
    return (j / PANEL * GATES + (size_t)g) * PANEL + j % PANEL;
}

#endif
