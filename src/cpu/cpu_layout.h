/* cpu_layout.h: how the CPU engines lay out packed weights. */
#ifndef GRU_CPU_LAYOUT_H
#define GRU_CPU_LAYOUT_H

#include "core/layout.h"
#include "cpu_real.h"

/* Packed weights: units in panels of 16, r, z, n of a panel's units together, so that one pass over a panel gives all
 * that the cell needs. Units past H are zeros. With P = gru_cpu_panel_count(H):
 *
 *   bW  [P][3][16]          f32, or f64 with f64 weights
 *   bR  [P][3][16]
 *   sW  [P][3][16]          f32: the scale of each row of W; only int8
 *   sR  [P][3][16]
 *   W   [P][I][3][16]       weight_type
 *   R   [P][H][3][16]       AFTER, ALL
 *   R   [P]{[H][2][16] r, z; [H][16] n}     BEFORE, whose candidate multiplies r h instead of h
 *
 * With int8 and bf16 two values of k go together, as the processors' products of pairs take them: [I / 2][3][16][2] in the
 * place of [I][3][16], I and H rounded up to pairs, the last filled with zeros. One bf16 of a pair is widened by a shift, the
 * other by a mask. Each array starts on a cache line. */
enum { PANEL = 16 };

static inline size_t gru_cpu_panel_count(int32_t hidden) {
    return ((size_t)hidden + PANEL - 1) / PANEL;
}

/* Values of k that lie side by side: 2 with int8 and bf16, and K rounded up to whole groups of them. */
static inline size_t gru_cpu_group(int32_t type) {
    return type == GRU_INT8 || type == GRU_BF16 ? 2 : 1;
}
static inline size_t gru_cpu_whole_groups(int32_t type, size_t K) {
    return gru_cpu_group(type) == 2 ? K + K % 2 : K;
}

typedef struct gru_cpu_packed_layout {
    size_t bW, bR, sW, sR, W, R, bytes; /* byte offsets, and the whole */
} gru_cpu_packed_layout;

static inline gru_cpu_packed_layout gru_cpu_packed_layout_of(const gru_layer_config *config) {
    const int32_t type = config->weight_type;
    const size_t element = gru_type_bytes(type);
    const size_t row = gru_cpu_panel_count(config->hidden) * GATES * PANEL;
    const size_t bias = gru_size_lines(row * (type == GRU_F64 ? sizeof(double) : sizeof(float)));
    gru_cpu_packed_layout layout = {0};
    layout.bR = bias;
    layout.sW = 2 * bias;
    layout.sR = layout.sW + (type == GRU_INT8 ? bias : 0);
    layout.W = layout.sR + (type == GRU_INT8 ? bias : 0);
    layout.R = layout.W + gru_size_lines(row * gru_cpu_whole_groups(type, (size_t)config->inputs) * element);
    layout.bytes =
        layout.R + gru_size_lines(row * gru_cpu_whole_groups(type, (size_t)config->hidden) * element);
    return layout;
}

/* Element index within W or R of type `type` of gate g, unit j, summed index k of K. split: R of BEFORE. */
static inline size_t gru_cpu_weight_index(int32_t type, int split, size_t K, int g, size_t j, size_t k) {
    const size_t group = gru_cpu_group(type), line = PANEL * group,
                 groups = gru_cpu_whole_groups(type, K) / group;
    const size_t panel = j / PANEL * groups * GATES * line, i = k / group;
    const size_t at = panel + j % PANEL * group + k % group;
    if (!split) return at + (i * GATES + (size_t)g) * line;
    if (g == GATE_N) return at + (groups * 2 + i) * line;
    return at + (i * 2 + (size_t)g) * line;
}

/* The 16 weights of a gate and a k, the first of them at index `at`. type: f32, f16, bf16; f64. */
static inline void gru_cpu_load_lanes(const void *weights, int32_t type, size_t at, real *lanes) {
    const size_t group = gru_cpu_group(type), k = at % group;
    real line[2 * PANEL];
    gru_load_reals(weights, type, at - k, line, PANEL * group);
    for (size_t i = 0; i < PANEL; i++) lanes[i] = line[i * group + k];
}

static inline void gru_cpu_store_lanes(void *weights, int32_t type, size_t at, const real *lanes) {
    const size_t group = gru_cpu_group(type);
    if (group == 1) gru_store_reals(weights, type, at, lanes, PANEL);
    for (size_t i = 0; group > 1 && i < PANEL; i++)
        gru_store_reals(weights, type, at + i * group, lanes + i, 1);
}

/* Element index within bW, bR, sW or sR. */
static inline size_t gru_cpu_bias_index(int g, size_t j) {
    return (j / PANEL * GATES + (size_t)g) * PANEL + j % PANEL;
}

#endif
