/* kernel_config.c: the list of forms, and the plans that they force. */
#include "kernel_config.h"

#include <math.h>
#include <string.h>

#include "control.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "support/tester.h"

#define STEPWISE(tile)                                    \
    {                                                     \
        "stepwise, tile " #tile, "cuda_stepwise", tile, { \
            0, 0, 0, 0, 0                                 \
        }                                                 \
    }
#define TILE(octets, split)                                                       \
    {                                                                             \
        "tile of 8 x " #octets " octets, split " #split, "cuda_large_batch", 0, { \
            8, octets, split, 0, 0                                                \
        }                                                                         \
    }

const form forms[FORMS] = {
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
    {"hop in a cluster", "cuda_fused_before", 0, {0, 0, 0, 1, 0}},
    {"hop in a grid", "cuda_fused_before", 0, {0, 0, 0, 2, 0}},
};

#define SWEEP(engine, tile)                                 \
    {                                                       \
        "sweep of " engine ", tile " #tile, engine, tile, { \
            0, 0, 0, 0, 0                                   \
        }                                                   \
    }

const form sweep_forms[SWEEP_FORMS] = {
    SWEEP("cuda_stepwise", 0),
    SWEEP("cuda_stepwise", 1),
    SWEEP("cuda_stepwise", 2),
    SWEEP("cuda_stepwise", 3),
    SWEEP("cuda_stepwise", 4),
    TILE(8, 1),
    TILE(8, 4),
    TILE(16, 2), /* of 64 rows where there are none of 128 */
    {"sweep in a cluster", "cuda_fused_before", 0, {0, 0, 0, 1, 0}},
    {"sweep in a grid", "cuda_fused_before", 0, {0, 0, 0, 2, 0}},
};

static int is_engine(const form *f, const char *engine) {
    return strcmp(f->engine, engine) == 0;
}

void form_name(const form *f, char *text, size_t size) {
    const size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "; %s", f->name);
}

int form_has_turn(int i) {
    return (uint64_t)i % 3 == emu_option.seed % 3;
}

int form_has_reset(const form *f, int32_t reset) {
    if (is_engine(f, "cuda_fused_before")) return reset == GRU_RESET_BEFORE;
    return is_engine(f, "cuda_stepwise") || reset != GRU_RESET_BEFORE;
}

gru_context *form_context(const form *f, uint32_t flags) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.engine = f->engine;
    config.flags = flags;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

void form_force(const form *f, gru_cuda_math math, int32_t reset) {
    gru_cuda_tile tiles[GRU_CUDA_STEPWISE_TILES];
    gru_cuda_forced = f->force;
    if (!is_engine(f, "cuda_stepwise")) return;
    const int32_t count =
        gru_cuda_stepwise_tiles(math, reset == GRU_RESET_BEFORE ? GRU_CUDA_GATES : GRU_CUDA_WHOLE, tiles);
    gru_cuda_forced.unit_octets = tiles[f->tile % count].unit_octets;
    gru_cuda_forced.batch_octets = tiles[f->tile % count].batch_octets;
}

void form_force_sweep(const form *f, gru_cuda_math math) {
    gru_cuda_tile tiles[GRU_CUDA_SWEEP_TILES];
    const int32_t count = gru_cuda_sweep_tiles(math, tiles);
    gru_cuda_tile tile = tiles[f->tile % count];
    if (is_engine(f, "cuda_large_batch")) {
        const int32_t larger = gru_cuda_sweep_tile_tiles(math, tiles);
        tile = tiles[f->force.batch_octets == tiles[larger - 1].batch_octets ? larger - 1 : 0];
    }
    gru_cuda_forced.hop = f->force.hop;
    gru_cuda_forced.split = f->force.split;
    gru_cuda_forced.unit_octets = tile.unit_octets;
    gru_cuda_forced.batch_octets = tile.batch_octets;
}

void form_free_choice(void) {
    gru_cuda_forced = (gru_cuda_force){0, 0, 0, 0, 0};
}

int form_was_taken(const form *f, const gru_layer *layer, int64_t N) {
    const gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    const gru_cuda_size size = {prepared->math, N, layer->config.hidden, layer->config.reset_mode, 1};
    if (is_engine(f, "cuda_fused_before")) {
        const gru_cuda_plan plan = gru_cuda_plan_hop(machine, &size, &prepared->room);
        return (plan.cluster > 0) == (f->force.hop == 1);
    }
    const gru_cuda_plan plan = is_engine(f, "cuda_large_batch")
                                   ? gru_cuda_plan_tile(machine, &size, &prepared->room)
                                   : gru_cuda_plan_stepwise(machine, &size);
    return plan.tile.unit_octets == gru_cuda_forced.unit_octets &&
           plan.tile.batch_octets == gru_cuda_forced.batch_octets &&
           plan.tile.split == (gru_cuda_forced.split ? gru_cuda_forced.split : 1);
}

int form_sweep_was_taken(const form *f, const gru_layer *layer, int64_t N) {
    const gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    const gru_cuda_size size = {prepared->math, N, layer->config.hidden, layer->config.reset_mode, 1};
    if (is_engine(f, "cuda_fused_before")) {
        const gru_cuda_plan hop = gru_cuda_plan_hop(machine, &size, &prepared->sweep_room);
        return hop.seconds < HUGE_VAL && (hop.cluster > 0) == (f->force.hop == 1);
    }
    const gru_cuda_plan plan = is_engine(f, "cuda_large_batch")
                                   ? gru_cuda_plan_sweep_tile(machine, &size, &prepared->sweep_room)
                                   : gru_cuda_plan_sweep(machine, &size);
    return plan.tile.unit_octets == gru_cuda_forced.unit_octets &&
           plan.tile.batch_octets == gru_cuda_forced.batch_octets &&
           plan.tile.split == (gru_cuda_forced.split ? gru_cuda_forced.split : 1);
}
