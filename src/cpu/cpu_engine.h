/* cpu_engine.h: the CPU backend: its engines, and how it stores weights and training states. */
#ifndef GRU_CPU_ENGINE_H
#define GRU_CPU_ENGINE_H

#include "core/engine.h"
#include "core/layout.h"
#include "core/reserve.h"

extern const gru_backend gru_backend_cpu;
extern const gru_engine gru_engine_cpu_reference;
extern const gru_engine gru_engine_cpu_scalar;
extern const gru_engine gru_engine_cpu_avx2;
extern const gru_engine gru_engine_cpu_avx512;
extern const gru_engine gru_engine_cpu_neon;

/* Packed weights: units in panels of 16, r, z, n of a panel's units together, so that one pass over a panel gives all
 * that the cell needs. Units past H are zeros. With P = gru_cpu_panels(H):
 *
 *   bW  [P][3][16]          f32, or f64 with f64 weights
 *   bR  [P][3][16]
 *   W   [P][I][3][16]       weight_type
 *   R   [P][H][3][16]       AFTER, ALL
 *   R   [P]{[H][2][16] r, z; [H][16] n}     BEFORE, whose candidate multiplies r h instead of h
 *
 * Every part starts on a cache line. */
enum { PANEL = 16 };

static inline size_t gru_cpu_panels(int32_t hidden) {
    return ((size_t)hidden + PANEL - 1) / PANEL;
}

typedef struct gru_cpu_parts {
    size_t bW, bR, W, R, bytes; /* byte offsets, and the whole */
} gru_cpu_parts;

static inline gru_cpu_parts gru_cpu_packed_parts(const gru_layer_config *config) {
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t row = gru_cpu_panels(config->hidden) * GATES * PANEL;
    const size_t bias = row * (config->weight_type == GRU_F64 ? sizeof(double) : sizeof(float));
    gru_cpu_parts parts = {0};
    parts.bR = gru_size_lines(bias);
    parts.W = 2 * parts.bR;
    parts.R = parts.W + gru_size_lines(row * (size_t)config->inputs * element);
    parts.bytes = parts.R + gru_size_lines(row * (size_t)config->hidden * element);
    return parts;
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

/* Fills parts.bytes at `packed`. */
void gru_cpu_pack(const gru_layer_config *config, const gru_weights *weights, void *packed);

/* What the cells of a training run kept stands in the reserve behind the states: [T][N][P][4][16] f32 (cpu_kernels.h); not
 * with io f64. */
size_t gru_cpu_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N);
float *gru_cpu_reserve_kept(const gru_layer *layer, const gru_run *run, int64_t s, int64_t n);

/* Signs the reserve of a training run; kept: also what the cells kept will stand there. Other runs: nothing. */
void gru_cpu_reserve_sign(const gru_layer *layer, const gru_run *run, int kept);
int gru_cpu_reserve_has_kept(const gru_run *run);
/* GRU_BAD_ARGUMENT if the reserve was not written by a training run of such a layer and these sizes. */
gru_status gru_cpu_reserve_check(const gru_layer *layer, const gru_run *run);

/* The backend's add and drop. */
gru_status gru_cpu_add(gru_context *context, const gru_addition *addition, void *stream);
gru_status gru_cpu_drop(gru_context *context, const gru_dropout *dropout, void *stream);

#endif
