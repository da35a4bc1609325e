/** @file stack.h
 * Runs and trains several GRU layers, each in one or two directions, as one stack.
 *
 *     layer k    reads the merged output of layer k - 1
 *     sublayer   one direction of one layer: a gru_layer. Order: layer 0 forward, layer 0 reverse, layer 1 forward, ...
 *
 * The rules of gru.h hold. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_STACK_H
#define GRU_STACK_H
#include "gru.h"
#ifdef __cplusplus
extern "C" {
#endif

/** How the outputs of two directions become one: side by side (forward first), added, written to y and y_reverse,
 * averaged, or multiplied. */
enum {
    GRU_MERGE_CONCAT   = 0,
    GRU_MERGE_SUM      = 1,
    GRU_MERGE_SEPARATE = 2,
    GRU_MERGE_AVERAGE  = 3,
    GRU_MERGE_MULTIPLY = 4
};

/** One layer of a stack. */
typedef struct gru_stack_layer {
    gru_layer_config config;             /**< config.direction is ignored if the layer is bidirectional. inputs may be 0
                                              in the first layer: it takes only projected input. */
    int32_t bidirectional;               /**< 0: one direction. 1: both. */
    int32_t merge;                       /**< GRU_MERGE_... of both directions. SEPARATE only in the last layer. */
    gru_weights weights[2];              /**< [0] the only direction, or forward. [1] reverse. */
    gru_layer_config reverse_config;     /**< Of the reverse direction, where it differs from config: another variant or
                                              weight_type, and with CONCAT or SEPARATE another hidden. All zero: as
                                              config. Its direction is ignored. */
    const void *h0[2];                   /**< [H] learned initial state of each direction, in the type of its weights
                                              (f32 with GRU_INT8), in host memory: runs without h0 start from it.
                                              NULL: from zeros. */
} gru_stack_layer;

/** How to create a stack. */
typedef struct gru_stack_config {
    const gru_stack_layer *layers;       /**< [count], first layer first. Read only during the call. */
    int32_t count;                       /**< Number of layers, at least 1. */
    float dropout;                       /**< Rate p, 0 <= p < 1. In training, each number of the merged output between
                                              two layers becomes zero with probability p, or is multiplied by
                                              1 / (1 - p). */
    uint64_t reserved[8];                /**< Zero. */
} gru_stack_config;

typedef struct gru_stack gru_stack;      /**< Several layers. */

/** Creates a stack. The inputs of layer k must be the outputs of layer k - 1. All layers share io_type and state_type.
 * The caller releases it. */
GRU_API gru_status gru_stack_create(gru_context *context, const gru_stack_config *config, gru_stack **stack);
GRU_API void gru_stack_release(gru_stack *stack);                       /**< NULL: nothing. No run may be pending. */
/** Returns the number of sublayers: the directions of all layers. */
GRU_API int32_t gru_stack_sublayers(const gru_stack *stack);
GRU_API int32_t gru_stack_inputs(const gru_stack *stack);               /**< Numbers in a row of x. */
GRU_API int32_t gru_stack_outputs(const gru_stack *stack);              /**< Numbers in a row of y. */
/** Returns what the stack was created from, apart from its arrays. config->layers is NULL. layers: room for as many as
 * there are sublayers; the first config->count are written, with every default filled in and NULL for weights and h0.
 * NULL: not wanted. */
GRU_API gru_status gru_stack_describe(const gru_stack *stack, gru_stack_config *config, gru_stack_layer *layers);
/** Returns sublayer k: its configuration, and the layer for gru_layer_update(). The layer belongs to the stack. Either
 * pointer may be NULL. */
GRU_API gru_status gru_stack_sublayer(const gru_stack *stack, int32_t k, gru_layer_config *config, gru_layer **layer);

/** The data of one call. */
typedef struct gru_stack_run {
    gru_run data;                        /**< As for one layer. projected is [T][N][3H] of the first layer, and with two
                                              directions [T][N][3H + 3H], forward first. h0, hT, their strides,
                                              h_restart and packed must be zero. */
    gru_view y_reverse;                  /**< Output of the reverse direction, with GRU_MERGE_SEPARATE only. */
    const void *const *h0;               /**< [sublayers] host array of initial states, each [N][H_k] or
                                              [slot_count][H_k]. In C, declare it as const void *h0[]. NULL, itself or
                                              an element: the learned initial state, or zeros. */
    void *const *hT;                     /**< [sublayers] host array of last states. NULL: not wanted. */
    const int64_t *h_strides;            /**< [sublayers] elements from row to row of h0 and hT. NULL: H_k. */
    const uint64_t *dropout_seed;        /**< [2] seed and offset, in the memory of x. Read only in training with
                                              dropout. The mask is a pure function of (seed, offset + n, layer, t, i):
                                              rows n0.. of a batch, run alone with offset + n0, get the same mask. Use
                                              offset + N for the next batch. Leave both unchanged until backward. */
    const void *const *packed;           /**< [sublayers] host array of weights from gru_layer_pack() of each sublayer,
                                              each NULL: the sublayer's own. NULL: all their own. */
    uint64_t reserved[8];                /**< Zero. */
} gru_stack_run;

/** Gradients of one backward call. */
typedef struct gru_stack_gradients {
    gru_gradients data;                  /**< dy, dx, dprojected, dattention, parts and loss_scale; all else must be
                                              zero. dattention: the sum over all sublayers. */
    gru_const_view dy_reverse;           /**< Gradient of y_reverse. */
    const void *const *dhT;              /**< [sublayers] gradients of last states. NULL: zeros. */
    void *const *dh0;                    /**< [sublayers] written. NULL: not wanted. */
    void *const *dW;                     /**< [sublayers] added to, or set with GRU_GRAD_OVERWRITE. NULL: not wanted. */
    void *const *dR;                     /**< [sublayers], as dW. */
    void *const *dbW;                    /**< [sublayers], as dW. */
    void *const *dbR;                    /**< [sublayers], as dW. */
    uint64_t reserved[8];                /**< Zero. */
} gru_stack_gradients;

/** Returns the bytes that any run with at most T steps and N sequences needs. The reserve also holds the outputs
 * between layers. sizes->packed is 0: gru_layer_sizes() tells it for each sublayer. */
GRU_API gru_status gru_stack_sizes(const gru_stack *stack, int64_t T, int64_t N, gru_sizes *sizes);
/** Allocates what a run with run->T, N and mode needs: as gru_layer_allocate(), for run = &stack_run.data. */
GRU_API gru_status gru_stack_allocate(const gru_stack *stack, gru_run *run);
/** Replaces the weights of all sublayers: weights [sublayers]. Checks all of them before it writes any. Else as
 * gru_layer_update(). */
GRU_API gru_status gru_stack_update(gru_stack *stack, const gru_weights *weights, void *stream);

/* ---- states ---------------------------------------------------------------------------------------------------- */

typedef struct gru_states gru_states;    /**< The states of N sequences in all sublayers. */

/** Allocates [N][H_k] for each sublayer of a stack, in memory of its context, and sets all to the learned
 * initial states, or to zero. The caller releases it; it keeps the context alive. */
GRU_API gru_status gru_states_create(const gru_stack *stack, int64_t N, gru_states **states);
GRU_API void gru_states_release(gru_states *states);                    /**< NULL: nothing. No run may be pending. */
/** Returns them for gru_stack_run.h0. The array belongs to states. */
GRU_API const void *const *gru_states_initial(const gru_states *states);
/** Returns the same memory for gru_stack_run.hT: a run with both goes on where the last ended. */
GRU_API void *const *gru_states_final(gru_states *states);
/** Sets all states to what they were at first. CUDA: in stream order. */
GRU_API gru_status gru_states_reset(gru_states *states, void *stream);

/* ---- runs ------------------------------------------------------------------------------------------------------ */

/** Runs all layers. Overlap, checks, threads: as gru_layer_forward(). */
GRU_API gru_status gru_stack_forward(const gru_stack *stack, const gru_stack_run *run);
/** Computes the gradients of a run of gru_stack_forward() in a training mode. Rules: as gru_layer_backward(). */
GRU_API gru_status gru_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                      const gru_stack_gradients *gradients);
#ifdef __cplusplus
}
#endif
#endif
