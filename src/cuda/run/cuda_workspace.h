/* cuda_workspace.h: the parts of the workspaces of CUDA runs, and how many steps go through one at a time. */
#ifndef GRU_CUDA_WORKSPACE_H
#define GRU_CUDA_WORKSPACE_H

#include "cuda/layer/cuda_layer.h"

/* Byte offsets, each a multiple of GRU_CUDA_ALIGN. Monotone in T and N, whatever the run's options are.
 *   exchange[2]      [batch octet][group][tile]   h, from one step to the next
 *   exchange_reset   the same of r h              reset BEFORE only, as the next two
 *   update_gate      [N][8 unit octets] f32
 *   barrier_counter          [batch octet] u32
 *   state            [N][8 unit octets] f32
 *   timeline         [T + 1][N] i32           counts and times of a mask or a ragged batch (core/timeline.h)
 *   rows             [chunk rows][input pitch]    x as the projection reads it; this and the next two only with inputs
 *   projected        [chunk rows][projected row] f32
 *   gemms         what the projection asks for */
typedef struct gru_cuda_workspace {
    size_t exchange[2], exchange_reset, update_gate, barrier_counter, state, timeline, rows, projected, gemms,
        bytes;
    int64_t chunk_rows; /* of projected input, as they are multiplied */
    int64_t steps;      /* of one chunk, at least 1 */
} gru_cuda_workspace;

/* bytes is SIZE_MAX if they are too many. */
gru_cuda_workspace gru_cuda_workspace_of(const gru_layer *layer, int64_t T, int64_t N);

/* The same of a backward pass. U: the unit pitch; of the compute type where nothing else is said.
 *   transposed         weights in the layouts of gru_cuda_transposed_layout
 *   exchange[2]    [batch octet][gate][group][tile]   dc, from one step to the next
 *   direct         [N][U] f32
 *   timeline       [T + 1][N] i32                     as above
 *   restart_sum      [N][U] f32
 *   barrier_counter        [batch octet] u32
 *   x_rows         [chunk rows][input pitch]          of a chunk: this and the next four
 *   states         [chunk rows][U]                    that enter its steps
 *   projected      [chunk rows][projected row] f32    a; when it has been read, dx rows [chunk rows][input pitch] f32
 *   recurrent      [chunk rows][3U] f32               c
 *   attention      [chunk rows][unit octets] f32
 *   gradients      [T N][planes][U]                   of all gates of all steps, and with reset BEFORE
 *   reset_states   [T N][U]                           r h: both are kept for the weight part
 *   W_sums         [3U][input pitch] f32
 *   R_sums         [3U][U] f32
 *   bias_partial_sums     [GRU_CUDA_SUM_SPLITS][planes][U] f32
 *   gemms       what matrix gemms ask for */
typedef struct gru_cuda_backward_workspace {
    size_t transposed, exchange[2], direct, timeline, restart_sum, barrier_counter, x_rows, states, projected,
        recurrent, attention, gradients, reset_states, W_sums, R_sums, bias_partial_sums, gemms, bytes;
    int64_t padding; /* rows behind the last step's in gradients and reset_states */
    int64_t steps;   /* of one chunk, at least 1 */
} gru_cuda_backward_workspace;

gru_cuda_backward_workspace gru_cuda_backward_workspace_of(const gru_layer *layer, int64_t T, int64_t N);

#endif
