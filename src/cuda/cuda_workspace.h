/* cuda_workspace.h: the parts of a CUDA run's workspace, and how many steps go through it at a time. */
#ifndef GRU_CUDA_WORKSPACE_H
#define GRU_CUDA_WORKSPACE_H

#include "cuda_engine.h"

/* Byte offsets, each a multiple of GRU_CUDA_ALIGN. Monotone in T and N, whatever the run's options are.
 *   exchange[2]      [batch octet][group][tile]   h on its way from step to step
 *   exchange_reset   the same of r h              reset BEFORE only, as the next two
 *   update_gate      [N][8 unit octets] f32
 *   arrived          [batch octet] u32
 *   state            [N][8 unit octets] f32
 *   rows             [chunk rows][input pitch]    x as the projection reads it; this and the next two only with inputs
 *   projected        [chunk rows][projected row] f32
 *   products         what the projection asks for */
typedef struct gru_cuda_workspace {
    size_t exchange[2], exchange_reset, update_gate, arrived, state, rows, projected, products, bytes;
    int64_t chunk_rows; /* of projected input, as they are multiplied */
    int64_t steps;      /* of one chunk, at least 1 */
} gru_cuda_workspace;

/* bytes is SIZE_MAX if they are too many. */
gru_cuda_workspace gru_cuda_workspace_of(const gru_layer *layer, int64_t T, int64_t N);

#endif
