/* cuda_cost_model.h: how a step is divided into blocks, and how long that should take. */
#ifndef GRU_CUDA_COST_MODEL_H
#define GRU_CUDA_COST_MODEL_H

#include "cuda/layer/cuda_layer.h"

/* A way to run a step: by launches of this tile, or of the fused kernel with this cluster (0: a cooperative grid). */
typedef struct gru_cuda_choice {
    gru_cuda_block_tile tile;
    int32_t cluster;
    int32_t directions; /* in one launch: all, or 1 where they run one after the other */
    double
        seconds; /* of a step of all directions in the middle of a sequence; HUGE_VAL: this device cannot */
} gru_cuda_choice;

/* What is multiplied: weights of 3 x H x H numbers of the compute type with N rows, for so many directions at once. */
typedef struct gru_cuda_size {
    gru_cuda_compute_type compute_type;
    int64_t N;
    int32_t H, reset_mode, directions;
} gru_cuda_size;

/* The fastest of an engine's ways to run a step of these directions in one launch. occupancy: of its kernels of the pass. */
typedef gru_cuda_choice gru_cuda_chooser(const gru_cuda_device *device, const gru_cuda_size *size,
                                         const gru_cuda_occupancy *occupancy);

/* Any size. With reset BEFORE two launches of one tile. */
gru_cuda_chooser gru_cuda_choose_step, gru_cuda_choose_backward_step;
/* Reset AFTER and ALL, by large tiles. */
gru_cuda_chooser gru_cuda_choose_step_large, gru_cuda_choose_backward_step_large;
/* Reset BEFORE in one launch. Backward the tile is that of the launch after step 0. */
gru_cuda_chooser gru_cuda_choose_step_fused, gru_cuda_choose_backward_step_fused;

/* The same for directions that may also run one after the other: two that find no room at once, or take longer so. */
gru_cuda_choice gru_cuda_choose_directions(gru_cuda_chooser *choose, const gru_cuda_device *device,
                                           const gru_cuda_size *size, const gru_cuda_occupancy *occupancy);

/* A call of one step, from its beginning to its end: by the streaming kernel, or by prologue, projection and a step of small tiles.
 * in_place: hT lies where h0 does. */
double gru_cuda_streaming_seconds(const gru_cuda_device *device, const gru_cuda_size *size, int32_t inputs,
                                  int in_place);
double gru_cuda_separate_seconds(const gru_cuda_device *device, const gru_cuda_size *size, int32_t inputs);

/* For tests: choices take this tile (unit_octets 0: the model's), and this form of the fused kernel, wherever they exist;
 * chunks have so many rows of input. */
typedef struct gru_cuda_test_override {
    int32_t unit_octets, batch_octets, split;
    int32_t fused;        /* 0: the model's; 1: the cluster; 2: the grid */
    int32_t chunk_rows;   /* 0: as many as gru_cuda_chunk_rows says */
    int32_t general_path; /* 1: no step takes the default path */
} gru_cuda_test_override;
extern gru_cuda_test_override gru_cuda_override;

#endif
