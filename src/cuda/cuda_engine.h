/* cuda_engine.h: the CUDA backend on the host: its machine, what a layer has prepared, and the engines. */
#ifndef GRU_CUDA_ENGINE_H
#define GRU_CUDA_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/engine.h"
#include "cuda/kernels/cuda_kernels.h"

extern const gru_backend gru_backend_cuda;
extern const gru_engine gru_engine_cuda_stepwise;     /* any layer, any size */
extern const gru_engine gru_engine_cuda_large_batch;  /* large batches, reset AFTER and ALL */
extern const gru_engine gru_engine_cuda_fused_before; /* reset BEFORE in one launch a step */

/* One device, as a context sees it (context->machine). Read only after the context's creation, but for lost and
 * blocks. */
typedef struct gru_cuda_machine {
    int device, processors, capability; /* capability: 10 major + minor */
    int shared_bytes;                   /* that a block may have */
    int pageable;                       /* the device reaches ordinary host memory */
    int tf32;                           /* GRU_ALLOW_TF32 */
    int invariant;                      /* GRU_BATCH_INVARIANT */
    atomic_int lost;                    /* a kernel failed so that the device answers nothing any more */
    gru_cuda_report *report;            /* device memory */
    struct gru_cuda_blas *blas;
    pthread_mutex_t mutex; /* of blocks */
    struct gru_cuda_block *blocks;
} gru_cuda_machine;

static inline gru_cuda_machine *gru_cuda_machine_of(const gru_context *context) {
    return context->machine;
}

/* How a layer of this configuration multiplies on this machine. */
gru_cuda_math gru_cuda_math_of(const gru_cuda_machine *machine, const gru_layer_config *config);

/* ---- failures (cuda_device.c) ---- */

/* GRU_OK, or the status for a failed call of the CUDA runtime with a sentence: what failed ("launching a step"), the
 * runtime's own words, and whether the context can still be used. Clears the runtime's error where it can be cleared. */
gru_status gru_cuda_status(gru_cuda_machine *machine, cudaError_t error, const char *what);
#define GRU_CUDA_TRY(machine, expression, what) GRU_TRY(gru_cuda_status((machine), (expression), (what)))

/* Makes the machine's device current for this thread; the one that was current is put back by gru_cuda_leave. Fails
 * when the device was lost. */
gru_status gru_cuda_enter(gru_cuda_machine *machine, int *previous);
void gru_cuda_leave(const gru_cuda_machine *machine, int previous);
/* The same for giving back, also after the device was lost: returns what gru_cuda_leave wants. */
int gru_cuda_enter_to_release(const gru_cuda_machine *machine);

/* The stream of a caller: NULL is the legacy stream, whatever the caller was compiled with. */
static inline cudaStream_t gru_cuda_stream(void *stream) {
    return stream ? (cudaStream_t)stream : cudaStreamLegacy;
}

/* ---- memory (cuda_memory.c) ---- */

/* gru_backend.allocate, .release and .copy. Memory is aligned to GRU_CUDA_ALIGN bytes. */
gru_status gru_cuda_allocate(gru_context *context, size_t bytes, void **memory);
void gru_cuda_release(gru_context *context, void *memory);
gru_status gru_cuda_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream);
/* At the context's end: forgets blocks that the caller never gave back. */
void gru_cuda_forget_blocks(gru_context *context);

/* ---- weights (cuda_weight_checksum.c) ---- */

/* With GRU_CHECK_WEIGHTS, else nothing: forward keeps a sum over the run's weights in the reserve, once its head is
 * written; backward (compare 1) reports a reserve made with other weights, or by another layer. Between gru_cuda_enter
 * and gru_cuda_leave. */
gru_status gru_cuda_sum_weights(const gru_layer *layer, const gru_run *run, int compare);

/* ---- layers (cuda_layer.c) ---- */

/* The matrix products of a layer (cuda_gemm.h), over chunks of rows. */
enum {
    GRU_CUDA_PRODUCT_A,            /* a = W x + bW; this and all others of W only with inputs */
    GRU_CUDA_PRODUCT_C,            /* backward: c = R h; with reset BEFORE of r and z only */
    GRU_CUDA_PRODUCT_RESET_C,      /* and of n: R_n (r h) */
    GRU_CUDA_PRODUCT_DX,           /* dx = da W */
    GRU_CUDA_PRODUCT_DW,           /* dW = da' x */
    GRU_CUDA_PRODUCT_DR,           /* dR = dc' h; with reset AFTER and BEFORE of r and z only */
    GRU_CUDA_PRODUCT_CANDIDATE_DR, /* and of n: dc_n is its own, or what it is multiplied with, r h */
    GRU_CUDA_PRODUCTS
};

/* What a layer has prepared (layer->prepared). */
typedef struct gru_cuda_layer {
    gru_cuda_math math;
    struct gru_cuda_gemm *products[GRU_CUDA_PRODUCTS]; /* NULL: the layer has none such */
    gru_cuda_room room, sweep_room; /* of the engines that the layer has, forward and backward */
} gru_cuda_layer;

static inline const gru_cuda_layer *gru_cuda_layer_of(const gru_layer *layer) {
    return layer->prepared;
}

/* gru_backend.pack and .packed_bytes (cuda_pack.c) */
size_t gru_cuda_packed_bytes(const gru_layer_config *config);
gru_status gru_cuda_pack_weights(const gru_layer *layer, const gru_weights *weights, void *packed,
                                 void *stream);

/* gru_backend.prepare and .forget (cuda_layer.c) */
gru_status gru_cuda_prepare(gru_layer *layer);
void gru_cuda_forget(gru_layer *layer);

/* gru_backend.check_run (cuda_pointer_check.c): every buffer of a run lies where the device can reach it, and the stream is the
 * device's. */
gru_status gru_cuda_check_run(const gru_layer *layer, const gru_run *run);
/* gru_backend.check_buffer */
gru_status gru_cuda_check_buffer(gru_context *context, const char *name, const void *data);
/* The same whether the context trusts its callers or not. */
gru_status gru_cuda_check_memory(gru_cuda_machine *machine, const char *name, const void *data);

#endif
