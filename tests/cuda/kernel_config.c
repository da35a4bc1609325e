/* kernel_config.c: the list of kernel configurations, and the plans that they enforce. */
#include "kernel_config.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <string.h>

#include "control.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "support/tester.h"

#define STEPWISE(tile)                                    \
    {                                                     \
        "stepwise, tile " #tile, "cuda_stepwise", tile, { \
            0                                             \
        }                                                 \
    }
#define TILE(octets, blocks)                                                       \
    {                                                                              \
        "tile of 8 x " #octets " octets, split " #blocks, "cuda_large_batch", 0, { \
            .unit_octets = 8, .batch_octets = octets, .split = blocks              \
        }                                                                          \
    }

const kernel_config kernel_configs[KERNEL_CONFIGS] = {
    STEPWISE(0),
    STEPWISE(1),
    STEPWISE(2),
    STEPWISE(3),
    STEPWISE(4),
    TILE(8, 1),
    TILE(8, 2),
    TILE(8, 4),
    TILE(8, 8),
    TILE(16, 1),
    TILE(16, 2),
    TILE(16, 4),
    TILE(16, 8),
    {"fused in a cluster", "cuda_fused_before", 0, {.fused = 1}},
    {"fused in a grid", "cuda_fused_before", 0, {.fused = 2}},
};

#define BACKWARD(engine, tile)                                      \
    {                                                               \
        "backward step of " engine ", tile " #tile, engine, tile, { \
            0                                                       \
        }                                                           \
    }

const kernel_config backward_kernel_configs[BACKWARD_KERNEL_CONFIGS] = {
    BACKWARD("cuda_stepwise", 0),
    BACKWARD("cuda_stepwise", 1),
    BACKWARD("cuda_stepwise", 2),
    BACKWARD("cuda_stepwise", 3),
    BACKWARD("cuda_stepwise", 4),
    TILE(8, 1),
    TILE(8, 4),
    TILE(16, 2), /* of 64 rows where there are none of 128 */
    {"backward step fused in a cluster", "cuda_fused_before", 0, {.fused = 1}},
    {"backward step fused in a grid", "cuda_fused_before", 0, {.fused = 2}},
};

static int is_engine(const kernel_config *f, const char *engine) {
    return strcmp(f->engine, engine) == 0;
}

void kernel_config_name(const kernel_config *f, char *text, size_t size) {
    const size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "; %s", f->name);
}

int kernel_config_is_selected(int i) {
    return (uint64_t)i % 3 == emu_option.seed % 3;
}

int kernel_config_has_reset(const kernel_config *f, int32_t reset) {
    if (is_engine(f, "cuda_fused_before")) return reset == GRU_RESET_BEFORE;
    return is_engine(f, "cuda_stepwise") || reset != GRU_RESET_BEFORE;
}

gru_context *kernel_config_context(const kernel_config *f, uint32_t flags) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.engine = f->engine;
    config.flags = flags;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* On a device without clusters, before 9.0, what a single block or a grid runs takes the place of what a cluster runs. */
static gru_cuda_test_override possible(gru_cuda_test_override wanted) {
    int device = 0, major = 0;
    (void)cudaGetDevice(&device);
    (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (major < 9 && wanted.split) wanted.split = 1;
    if (major < 9 && wanted.fused) wanted.fused = 2;
    return wanted;
}

void kernel_config_override(const kernel_config *f, gru_cuda_compute_type compute_type, int32_t reset) {
    gru_cuda_block_tile tiles[GRU_CUDA_STEP_TILES];
    gru_cuda_override = possible(f->override);
    if (!is_engine(f, "cuda_stepwise")) return;
    const int32_t count = gru_cuda_step_tiles(
        compute_type, reset == GRU_RESET_BEFORE ? GRU_CUDA_RESET_UPDATE : GRU_CUDA_ALL_GATES, tiles);
    gru_cuda_override.unit_octets = tiles[f->tile % count].unit_octets;
    gru_cuda_override.batch_octets = tiles[f->tile % count].batch_octets;
}

void kernel_config_override_backward(const kernel_config *f, gru_cuda_compute_type compute_type) {
    gru_cuda_block_tile tiles[GRU_CUDA_BACKWARD_STEP_TILES];
    const int32_t count = gru_cuda_backward_step_tiles(compute_type, tiles);
    gru_cuda_block_tile tile = tiles[f->tile % count];
    if (is_engine(f, "cuda_large_batch")) {
        const int32_t larger = gru_cuda_backward_step_large_tiles(compute_type, tiles);
        tile = tiles[f->override.batch_octets == tiles[larger - 1].batch_octets ? larger - 1 : 0];
    }
    gru_cuda_override.fused = possible(f->override).fused;
    gru_cuda_override.split = possible(f->override).split;
    gru_cuda_override.unit_octets = tile.unit_octets;
    gru_cuda_override.batch_octets = tile.batch_octets;
}

void kernel_config_clear_override(void) {
    gru_cuda_override = (gru_cuda_test_override){0};
}

int kernel_config_was_used(const kernel_config *f, const gru_layer *layer, int64_t N) {
    const gru_cuda_device *device = gru_cuda_device_of(layer->context);
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    const gru_cuda_size size = {prepared->compute_type, N, layer->config.hidden, layer->config.reset_mode, 1};
    if (is_engine(f, "cuda_fused_before")) {
        const gru_cuda_choice plan = gru_cuda_choose_step_fused(device, &size, &prepared->occupancy);
        return (plan.cluster > 0) == (gru_cuda_override.fused == 1);
    }
    const gru_cuda_choice plan = is_engine(f, "cuda_large_batch")
                                     ? gru_cuda_choose_step_large(device, &size, &prepared->occupancy)
                                     : gru_cuda_choose_step(device, &size, &prepared->occupancy);
    return plan.tile.unit_octets == gru_cuda_override.unit_octets &&
           plan.tile.batch_octets == gru_cuda_override.batch_octets &&
           plan.tile.split == (gru_cuda_override.split ? gru_cuda_override.split : 1);
}

int kernel_config_backward_was_used(const kernel_config *f, const gru_layer *layer, int64_t N) {
    const gru_cuda_device *device = gru_cuda_device_of(layer->context);
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    const gru_cuda_size size = {prepared->compute_type, N, layer->config.hidden, layer->config.reset_mode, 1};
    if (is_engine(f, "cuda_fused_before")) {
        const gru_cuda_choice fused =
            gru_cuda_choose_step_fused(device, &size, &prepared->backward_occupancy);
        return fused.seconds < HUGE_VAL && (fused.cluster > 0) == (gru_cuda_override.fused == 1);
    }
    const gru_cuda_choice plan =
        is_engine(f, "cuda_large_batch")
            ? gru_cuda_choose_backward_step_large(device, &size, &prepared->backward_occupancy)
            : gru_cuda_choose_backward_step(device, &size, &prepared->backward_occupancy);
    return plan.tile.unit_octets == gru_cuda_override.unit_octets &&
           plan.tile.batch_octets == gru_cuda_override.batch_octets &&
           plan.tile.split == (gru_cuda_override.split ? gru_cuda_override.split : 1);
}
