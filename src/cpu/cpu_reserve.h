/* cpu_reserve.h: the reserve of a training run on the CPU: core/reserve.h, then the activations that the cells saved,
 * [T][N][P][4][16] f32, or f64 with io f64 (cpu_kernels.h). With GRU_TRAIN_RECOMPUTE there are none. */
#ifndef GRU_CPU_RESERVE_H
#define GRU_CPU_RESERVE_H

#include "core/layer.h"

size_t gru_cpu_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N, int32_t mode);
/* The saved activations of step s of row n. */
void *gru_cpu_reserve_saved(const gru_layer *layer, const gru_run *run, int64_t s, int64_t n);

/* Writes the header, in a training mode. has_saved: this run saves activations. */
void gru_cpu_reserve_write_header(const gru_layer *layer, const gru_run *run, int saved);
/* Whether the run's reserve has room for saved activations, and holds them. */
int gru_cpu_reserve_has_saved(const gru_run *run);
/* GRU_BAD_ARGUMENT unless a training run of such a layer, with these sizes, wrote the reserve. */
gru_status gru_cpu_reserve_check(const gru_layer *layer, const gru_run *run);

#endif
