/* cuda_packed_layout.h: byte offsets of packed weights, as forward and backward read them, and the rows of chunks. */
#ifndef GRU_CUDA_PACKED_LAYOUT_H
#define GRU_CUDA_PACKED_LAYOUT_H

#include "core/engine.h"
#include "cuda/kernels/cuda_layout.h"

/* Rows of projected input in one chunk of so many bytes (gru_cuda_device.chunk_bytes): those of several steps, or of one step
 * that has more. */
static inline int64_t gru_cuda_chunk_rows(const gru_layer_config *config, int64_t chunk_bytes) {
    const int64_t row = gru_cuda_projected_row(config->hidden) * (int64_t)sizeof(float);
    return row > chunk_bytes ? 1 : chunk_bytes / row;
}

/* Packed weights. Byte offsets of
 *   bW, bR   [unit octet][gate][8]                       f32
 *   W        [unit octet][gate][8][input pitch]          weight_type: the rows of one GEMM
 *   R        [unit octet][group][gate][fragment tile]    weight_type
 *   staging  buffer through which weights in host memory are copied, some rows at a time */
typedef struct gru_cuda_packed_layout {
    size_t bW, bR, W, R, staging, staging_bytes, bytes;
} gru_cuda_packed_layout;

gru_cuda_packed_layout gru_cuda_packed_layout_of(const gru_layer_config *config);
/* gru_backend.packed_number: what packed_index in cuda_pack_weights.cu does on the device. */
gru_packed_number gru_cuda_packed_number(const gru_layer_config *config, gru_packed_part part, int32_t gate,
                                         int32_t unit, int32_t k);

/* Weights as the backward pass reads them, copied from packed ones by gru_cuda_launch_transpose. Byte offsets of
 *   R_transposed  [unit octet][gate][group][fragment tile]   of the backward steps: k is the unit that R_g's rows belong to
 *   R             [gate][unit pitch][unit pitch]             the rows of one GEMM: c = R h
 *   W             [gate][unit pitch][input pitch]            the rows of another: dx = da W; none without inputs
 * all of weight_type, padding zero. */
typedef struct gru_cuda_transposed_layout {
    size_t R_transposed, R, W, bytes;
} gru_cuda_transposed_layout;

gru_cuda_transposed_layout gru_cuda_transposed_layout_of(const gru_layer_config *config);

#endif
