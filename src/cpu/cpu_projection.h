/* cpu_projection.h: stage 1 where there is nothing to multiply: the caller brought W x + bW along. */
#ifndef GRU_CPU_PROJECTION_H
#define GRU_CPU_PROJECTION_H

#include "cpu_slice.h"

/* Row (t, n) of run.projected, [3][H] of the io type, into the panels of a, [P][3][16]: zeros past H. */
static inline void gru_cpu_take_projected(const gru_layer_config *config, const gru_run *run,
                                          gru_cpu_range panels, int64_t t, int64_t n, float *a) {
    const size_t H = (size_t)config->hidden, row = GRU_ROW(run->projected, t, n);
    for (size_t j = panels.begin * PANEL; j < panels.end * PANEL; j++)
        for (int g = 0; g < GATES; g++)
            a[gru_cpu_bias_index(g, j)] =
                j < H ? gru_load_float(run->projected.data, config->io_type, row + (size_t)g * H + j) : 0.0f;
}

#endif
