/* stack.h: several layers, one or two directions each, run as one.
 *
 *   sublayer  one layer in one direction: a gru_layer
 *   layer k   reads the merged output of layer k - 1
 *
 * Rules of gru.h hold. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_STACK_H
#define GRU_STACK_H
#include "gru.h"
#ifdef __cplusplus
extern "C" {
#endif

/* How the two directions of a bidirectional layer become one output: side by side (forward first), added, or written to
 * y and y_reverse. */
enum { GRU_MERGE_CONCAT = 0, GRU_MERGE_SUM = 1, GRU_MERGE_SEPARATE = 2 };

typedef struct gru_stack_layer {
    gru_layer_config config;             /* direction: of the only one; ignored when bidirectional */
    int32_t bidirectional;               /* 0, 1 */
    int32_t merge;                       /* of the two; SEPARATE only in the last layer */
    gru_weights weights[2];              /* [0] the only one or forward, [1] reverse */
} gru_stack_layer;

typedef struct gru_stack_config {
    const gru_stack_layer *layers;       /* [count], first layer first; read during the call */
    int32_t count;
    float dropout;                       /* 0 <= p < 1: in training, numbers between two layers (after the merge) become
                                            zero with probability p, the others are multiplied by 1 / (1 - p) */
    uint64_t reserved[8];
} gru_stack_config;

typedef struct gru_stack gru_stack;

/* inputs of layer k must be the outputs of layer k - 1; all layers share io_type and state_type. */
GRU_API gru_status gru_stack_create(gru_context *context, const gru_stack_config *config, gru_stack **stack);
GRU_API void gru_stack_release(gru_stack *stack);
/* Number of sublayers, in PyTorch's order: layer 0 forward, layer 0 reverse, layer 1 forward ... */
GRU_API int32_t gru_stack_sublayers(const gru_stack *stack);
/* Numbers in one row of x and in one row of y: [T][N][inputs] -> [T][N][outputs]. */
GRU_API int32_t gru_stack_inputs(const gru_stack *stack);
GRU_API int32_t gru_stack_outputs(const gru_stack *stack);
/* Sublayer k: its configuration and the layer itself (for update; it belongs to the stack); either may be NULL. */
GRU_API gru_status gru_stack_sublayer(const gru_stack *stack, int32_t k, gru_layer_config *config,
                                      gru_layer **layer);

typedef struct gru_stack_run {
    gru_run data;                        /* as for a layer; h0, hT, their strides, h_restart, projected, packed: 0 */
    gru_view y_reverse;                  /* GRU_MERGE_SEPARATE only */
    const void *const *h0;               /* [sublayers] host array of pointers: [N][H_k] or [slot_count][H_k]; NULL */
    void *const *hT;                     /* [sublayers]; NULL: not wanted */
    const int64_t *h_strides;            /* [sublayers] for both; NULL: H_k */
    const uint64_t *dropout_seed;        /* [2] seed and offset, in the memory of x (a captured graph can change it);
                                            read only in training with dropout. Whether a number is dropped follows from
                                            seed, offset + n, its layer, t and i alone, on every machine: rows n0.. of a
                                            batch, run alone with offset + n0, lose the same numbers. The next batch
                                            goes on with offset + N. Backward finds them again: leave both unchanged */
    uint64_t reserved[8];
} gru_stack_run;

typedef struct gru_stack_gradients {
    gru_gradients data;                  /* dy, dx, parts, loss_scale; the rest zero */
    gru_const_view dy_reverse;
    const void *const *dhT;              /* [sublayers] */
    void *const *dh0;                    /* [sublayers] */
    void *const *dW, *const *dR, *const *dbW, *const *dbR; /* [sublayers] each, ADDED to (GRU_GRAD_OVERWRITE: set) */
    uint64_t reserved[8];
} gru_stack_gradients;

/* As for a layer; the reserve also holds the outputs between layers. packed is 0. */
GRU_API gru_status gru_stack_sizes(const gru_stack *stack, int64_t T, int64_t N, gru_sizes *sizes);
GRU_API gru_status gru_stack_forward(const gru_stack *stack, const gru_stack_run *run);
GRU_API gru_status gru_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                      const gru_stack_gradients *gradients);
#ifdef __cplusplus
}
#endif
#endif
