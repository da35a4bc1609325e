/** @file stream.h
 * Runs a layer or a stack one step at a time: a stream keeps the states and the scratch memory, and knows all sizes.
 *
 *     gru_stream_create_stack(stack, NULL, &stream);
 *     for each step: gru_stream_step(stream, x, y);
 *
 * The rules of gru.h hold. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_STREAM_H
#define GRU_STREAM_H
#include "stack.h"
#ifdef __cplusplus
extern "C" {
#endif

/** How to create a stream. */
typedef struct gru_stream_config {
    int64_t rows;                        /**< N: sequences that advance in one step. 0: 1. */
    void *queue;                         /**< cudaStream_t of all work. CPU: NULL. */
    uint64_t reserved[4];                /**< Zero. */
} gru_stream_config;

typedef struct gru_stream gru_stream;    /**< A layer or a stack with the states of its sequences. */

/** Creates a stream of a layer, with zero states. config NULL: one row. The layer must outlive the stream. Any number
 * of streams share its weights, and see what gru_layer_update() changes between steps. GRU_UNSUPPORTED for reverse
 * layers, which need the last step first, and for layers without inputs. The caller releases it. */
GRU_API gru_status gru_stream_create(const gru_layer *layer, const gru_stream_config *config,
                                     gru_stream **stream);
/** The same of a stack, all of whose layers must be forward ones. It starts from the stack's learned initial states,
 * where it has them. */
GRU_API gru_status gru_stream_create_stack(const gru_stack *stack, const gru_stream_config *config,
                                           gru_stream **stream);
GRU_API void gru_stream_release(gru_stream *stream);                    /**< NULL: nothing. No step may be pending. */

/** Runs the next step of all rows: x [N][inputs] to y [N][outputs], both dense, of io_type, in memory of the context.
 * y NULL: not wanted. The bits are those of gru_layer_forward() or gru_stack_forward() over the same steps; on CUDA
 * they are so with GRU_BATCH_INVARIANT. Checks only x and y: that x is given, alignment, that they do not overlap;
 * CUDA: that the device can reach them.
 *
 * Suits an audio callback: on a CPU context with one thread a step allocates nothing, takes no lock and makes no system
 * call. Threads: different streams may step at once. One stream may not: GRU_BAD_ARGUMENT says so where two steps are
 * seen to meet. */
GRU_API gru_status gru_stream_step(gru_stream *stream, const void *x, void *y);
/** Sets the states of one row, 0 to N - 1, to those that the stream began with; row -1: of all rows. As real-time safe
 * as a step. */
GRU_API gru_status gru_stream_reset(gru_stream *stream, int64_t row);

/** Returns the bytes of all states: for each sublayer [N][H_k] of state_type, one after the other. */
GRU_API size_t gru_stream_state_bytes(const gru_stream *stream);
/** Copies all states to memory of gru_stream_state_bytes(), of the host or of the context. CUDA: in queue order. */
GRU_API gru_status gru_stream_read_state(gru_stream *stream, void *state);
/** Copies all states from there: the next step goes on from them. */
GRU_API gru_status gru_stream_write_state(gru_stream *stream, const void *state);

#ifdef __cplusplus
}
#endif
#endif
