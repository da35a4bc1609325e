/* cpu_pack.c: packs weights: from one row for each unit to panels of 16 units, which the kernels read. */
#include "cpu_pack.h"

#include <math.h>
#include <string.h>

#include "cpu_best_kernels.h"
#include "cpu_layout.h"

/* W or R, and where it is packed. */
typedef struct matrix {
    const void *data;   /* [3H][K] */
    const float *scale; /* [3H] of int8 data */
    int32_t type, packed_type;
    size_t H, K;
    int split; /* R of BEFORE */
    void *packed;
    float *packed_scales; /* of int8 */
} matrix;

/* ---- doubles, as they are ---- */

static double element(const matrix *m, size_t row, size_t k) {
    const size_t i = row * m->K + k;
    if (m->type == GRU_INT8) return (double)((float)((const int8_t *)m->data)[i] * m->scale[row]);
    return gru_load_double(m->data, m->type, i);
}

static void pack_doubles(const matrix *m) {
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < m->H; j++)
            for (size_t k = 0; k < m->K; k++)
                ((double *)m->packed)[gru_cpu_weight_index(m->packed_type, m->split, m->K, g, j, k)] =
                    element(m, (size_t)g * m->H + j, k);
}

/* ---- int8, each row with a scale of its own ---- */

/* The scale of a row: its largest number becomes 127. Given int8 keep their own, which rows of no inputs need not have. */
static float scale_of_row(const matrix *m, size_t row) {
    double largest = 0;
    if (m->K == 0) return 0;
    if (m->type == GRU_INT8) return m->scale[row];
    for (size_t k = 0; k < m->K; k++) largest = fmax(largest, fabs(element(m, row, k)));
    return (float)(largest / 127);
}

/* To nearest, ties to even. A row of zeros has scale 0. */
static int8_t quantised(const matrix *m, size_t row, size_t k, float scale) {
    if (m->type == GRU_INT8) return ((const int8_t *)m->data)[row * m->K + k];
    if (scale == 0) return 0;
    return (int8_t)fmax(-127, fmin(127, nearbyint(element(m, row, k) / (double)scale)));
}

static void pack_int8(const matrix *m) {
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < m->H; j++) {
            const size_t row = (size_t)g * m->H + j;
            const float scale = scale_of_row(m, row);
            m->packed_scales[gru_cpu_bias_index(g, j)] = scale;
            for (size_t k = 0; k < m->K; k++)
                ((int8_t *)m->packed)[gru_cpu_weight_index(GRU_INT8, m->split, m->K, g, j, k)] =
                    quantised(m, row, k, scale);
        }
}

/* ---- all other types through f32, a block at a time ---- */

enum { BLOCK = 64 }; /* values of k in a block */

/* Loads k .. k + count of a row as f32. */
static void load_row(const matrix *m, size_t row, size_t k, size_t count, float *to) {
    const size_t first = row * m->K + k;
    if (m->type == GRU_INT8)
        for (size_t i = 0; i < count; i++)
            to[i] = (float)((const int8_t *)m->data)[first + i] * m->scale[row];
    else
        gru_load_floats(m->data, m->type, first, to, count);
}

/* Packs k .. k + count of gate g for a panel of units that begins at unit j, from rows of f32, into 16 bits. */
static void pack_narrow_block(const gru_cpu_kernels *kernels, const matrix *m, int g, size_t j, size_t k,
                              size_t count, const float *const *rows, size_t units) {
    float transposed[BLOCK][PANEL] = {{0}};
    kernels->transpose(rows, units, 0, count, transposed[0], PANEL);
    for (size_t i = 0; i < count; i++)
        gru_cpu_store_lanes(m->packed, m->packed_type,
                            gru_cpu_weight_index(m->packed_type, m->split, m->K, g, j, k + i), transposed[i]);
}

/* The same into the packed type. */
static void pack_block(const gru_cpu_kernels *kernels, const matrix *m, int g, size_t j, size_t k,
                       size_t count) {
    const size_t units = m->H - j < PANEL ? m->H - j : PANEL, row = (size_t)g * m->H + j;
    float copies[PANEL][BLOCK];
    const float *rows[PANEL];
    for (size_t i = 0; i < units; i++) {
        rows[i] = m->type == GRU_F32 ? (const float *)m->data + (row + i) * m->K + k : copies[i];
        if (m->type != GRU_F32) load_row(m, row + i, k, count, copies[i]);
    }
    if (m->packed_type != GRU_F32) {
        pack_narrow_block(kernels, m, g, j, k, count, rows, units);
        return;
    }
    const size_t at = gru_cpu_weight_index(GRU_F32, m->split, m->K, g, j, k);
    const size_t pitch = gru_cpu_weight_index(GRU_F32, m->split, m->K, g, j, k + 1) - at;
    kernels->transpose(rows, units, 0, count, (float *)m->packed + at, pitch);
}

static void pack_matrix(const gru_cpu_kernels *kernels, const matrix *m) {
    if (m->packed_type == GRU_F64) {
        pack_doubles(m);
        return;
    }
    if (m->packed_type == GRU_INT8) {
        pack_int8(m);
        return;
    }
    for (size_t j = 0; j < m->H; j += PANEL)
        for (size_t k = 0; k < m->K; k += BLOCK)
            for (int g = 0; g < GATES; g++)
                pack_block(kernels, m, g, j, k, m->K - k < BLOCK ? m->K - k : BLOCK);
}

static void pack_bias(const void *bias, int32_t type, int32_t packed_type, size_t H, void *packed) {
    if (!bias) return;
    for (int g = 0; g < GATES; g++)
        for (size_t j = 0; j < H; j++)
            gru_store_double(packed, packed_type, gru_cpu_bias_index(g, j),
                             gru_load_double(bias, type, (size_t)g * H + j));
}

/* Bytes that the numbers do not fill by themselves: all, unless W and R have no units past H and no types with gaps. */
static size_t bytes_to_clear(const gru_layer_config *config, const gru_cpu_packed_layout *layout) {
    return config->weight_type == GRU_F32 && config->hidden % PANEL == 0 ? layout->W : layout->bytes;
}

void gru_cpu_pack(const gru_layer_config *config, const gru_weights *weights, void *packed) {
    const gru_cpu_kernels *kernels = gru_cpu_best_kernels();
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const int32_t bias_type = weights->type == GRU_INT8 ? GRU_F32 : weights->type;
    const int32_t bias_packed = config->weight_type == GRU_F64 ? GRU_F64 : GRU_F32;
    const gru_cpu_packed_layout layout = gru_cpu_packed_layout_of(config);
    char *base = packed;
    const matrix W = {.data = weights->W,
                      .scale = weights->W_scale,
                      .type = weights->type,
                      .packed_type = config->weight_type,
                      .H = H,
                      .K = I,
                      .packed = base + layout.W,
                      .packed_scales = (float *)(void *)(base + layout.sW)};
    const matrix R = {.data = weights->R,
                      .scale = weights->R_scale,
                      .type = weights->type,
                      .packed_type = config->weight_type,
                      .H = H,
                      .K = H,
                      .split = config->reset_mode == GRU_RESET_BEFORE,
                      .packed = base + layout.R,
                      .packed_scales = (float *)(void *)(base + layout.sR)};
    memset(packed, 0, bytes_to_clear(config, &layout));
    pack_bias(weights->bW, bias_type, bias_packed, H, base + layout.bW);
    pack_bias(weights->bR, bias_type, bias_packed, H, base + layout.bR);
    pack_matrix(kernels, &W);
    pack_matrix(kernels, &R);
}
