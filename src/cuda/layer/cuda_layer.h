/* cuda_layer.h: what a layer prepares on a CUDA device: loaded kernels, their occupancy, and its GEMMs. */
#ifndef GRU_CUDA_LAYER_H
#define GRU_CUDA_LAYER_H

#include "core/layer.h"
#include "cuda/device/cuda_device.h"
#include "cuda/kernels/cuda_streaming_kernels.h"
#include "cuda_packed_layout.h"

/* The GEMMs of a layer (cuda_gemm.h), over chunks of rows. */
enum {
    GRU_CUDA_GEMM_A,            /* a = W x + bW; this and all others of W only with inputs */
    GRU_CUDA_GEMM_C,            /* backward: c = R h; with reset BEFORE of r and z only */
    GRU_CUDA_GEMM_RESET_C,      /* and of n: R_n (r h) */
    GRU_CUDA_GEMM_DX,           /* dx = da W */
    GRU_CUDA_GEMM_DW,           /* dW = da' x */
    GRU_CUDA_GEMM_DR,           /* dR = dc' h; with reset AFTER and BEFORE of r and z only */
    GRU_CUDA_GEMM_CANDIDATE_DR, /* and of n: dc_n is its own, or what it is multiplied with, r h */
    GRU_CUDA_GEMMS
};

/* layer->prepared */
typedef struct gru_cuda_layer {
    gru_cuda_compute_type compute_type;
    struct gru_cuda_gemm *gemms[GRU_CUDA_GEMMS]; /* NULL: the layer has no such product */
    int32_t fixed_rows;                          /* of every product over rows; 0: any number */
    int32_t has_backward;                        /* 0: cuBLASLt has no algorithm for one of its products */
    gru_cuda_occupancy occupancy,
        backward_occupancy; /* of the kernels that the layer has loaded, forward and backward */
    int32_t streaming_blocks[GRU_CUDA_STREAMING_ROWS]; /* gru_cuda_load_streaming; zeros: not loaded */
} gru_cuda_layer;

static inline const gru_cuda_layer *gru_cuda_layer_of(const gru_layer *layer) {
    return layer->prepared;
}

/* How a layer of this configuration multiplies on this device. */
gru_cuda_compute_type gru_cuda_compute_type_of(const gru_cuda_device *device, const gru_layer_config *config);

/* Why a layer has no calls of one step in one launch; NULL: it has. */
const char *gru_cuda_declines_streaming(const gru_cuda_device *device, const gru_layer_config *config);

/* gru_backend.prepare and .forget */
gru_status gru_cuda_prepare(gru_layer *layer);
void gru_cuda_destroy_prepared(gru_layer *layer);

#endif
