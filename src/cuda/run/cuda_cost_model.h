/* cuda_cost_model.h: how a step is divided into blocks, and how long that should take. */
#ifndef GRU_CUDA_COST_MODEL_H
#define GRU_CUDA_COST_MODEL_H

#include "cuda/layer/cuda_layer.h"

/* A way to run a step: by launches of this tile, or of the hop kernel with this cluster (0: a cooperative grid). */
typedef struct gru_cuda_plan {
    gru_cuda_block_tile tile;
    int32_t cluster;
    double seconds; /* of a step in the middle of a sequence, by the model; HUGE_VAL: this device cannot */
} gru_cuda_plan;

/* What is multiplied: weights of 3 x H x H numbers of `bytes` bytes with N rows, for so many directions at once. */
typedef struct gru_cuda_size {
    gru_cuda_compute_type compute_type;
    int64_t N;
    int32_t H, reset_mode, directions;
} gru_cuda_size;

/* The fastest by the model. With reset BEFORE, stepwise takes two launches, of the same tile. */
gru_cuda_plan gru_cuda_plan_step(const gru_cuda_device *device, const gru_cuda_size *size);
gru_cuda_plan gru_cuda_plan_step_large(const gru_cuda_device *device, const gru_cuda_size *size,
                                       const gru_cuda_occupancy *occupancy);
gru_cuda_plan gru_cuda_plan_step_fused(const gru_cuda_device *device, const gru_cuda_size *size,
                                       const gru_cuda_occupancy *occupancy);

/* A step of the sweep, the backward pass. With reset BEFORE two launches of one tile; in one launch it takes gru_cuda_plan_step_fused
 * with the room of the sweep's kernel. */
gru_cuda_plan gru_cuda_plan_backward_step(const gru_cuda_device *device, const gru_cuda_size *size);
/* Reset AFTER and ALL, by large tiles. room: of the sweep's kernel. */
gru_cuda_plan gru_cuda_plan_backward_step_large(const gru_cuda_device *device, const gru_cuda_size *size,
                                                const gru_cuda_occupancy *occupancy);

/* For tests: plans take this tile (unit_octets 0: the model's), and this form of the hop, wherever they exist; chunks have so
 * many rows of input. */
typedef struct gru_cuda_test_override {
    int32_t unit_octets, batch_octets, split;
    int32_t hop;        /* 0: the model's; 1: the cluster; 2: the grid */
    int32_t chunk_rows; /* 0: as many as gru_cuda_chunk_rows says */
} gru_cuda_test_override;
extern gru_cuda_test_override gru_cuda_override;

#endif
