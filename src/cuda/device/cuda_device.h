/* cuda_device.h: one CUDA device as a context sees it, failures of the CUDA runtime as statuses, and streams. */
#ifndef GRU_CUDA_DEVICE_H
#define GRU_CUDA_DEVICE_H

#include <cuda.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/context.h"
#include "core/error.h"
#include "cuda/kernels/cuda_kernels.h"

/* The driver's context of a device, and what makes it current. */
typedef struct gru_cuda_driver {
    CUcontext primary;
    __typeof__(cuCtxPushCurrent) *push;
    __typeof__(cuCtxPopCurrent) *pop;
} gru_cuda_driver;

/* The device of a context (context->device). Constant after the context's creation, except lost and blocks. */
typedef struct gru_cuda_device {
    int ordinal, multiprocessors, capability; /* ordinal: cudaSetDevice's; capability: 10 major + minor */
    int shared_bytes;                         /* that a block may have */
    double clock;                             /* cycles per second, at most */
    int pageable;                             /* the device reaches ordinary host memory */
    int tf32;                                 /* GRU_ALLOW_TF32 */
    int invariant;                            /* GRU_BATCH_INVARIANT */
    int64_t
        chunk_bytes; /* of projected input: it stays in L2, beside weights and x, until its steps read it */
    gru_cuda_driver driver;
    atomic_int lost;                     /* 1: a kernel failed, and every further call to the device fails */
    gru_cuda_device_error *device_error; /* device memory */
    struct gru_cuda_blas *blas;          /* cuda_blaslt.h */
    pthread_mutex_t mutex;               /* guards blocks */
    struct gru_cuda_block *blocks;       /* cuda_memory.c */
} gru_cuda_device;

static inline gru_cuda_device *gru_cuda_device_of(const gru_context *context) {
    return context->device;
}

/* GRU_OK, or the status of a failed call of the CUDA runtime. The sentence says what failed ("launching a step"), the
 * runtime's own words, and whether the context can still be used. Clears the runtime's error where it can be cleared. */
gru_status gru_cuda_status(gru_cuda_device *device, cudaError_t error, const char *what);
#define GRU_CUDA_TRY(device, expression, what) GRU_TRY(gru_cuda_status((device), (expression), (what)))

/* The error with which the current device was lost, or cudaSuccess. The runtime's last error does not tell: it may be an older
 * one of the application. */
cudaError_t gru_cuda_lost_error(void);

/* Sets device->driver. Before anything else is done with the device: makes its context. */
gru_status gru_cuda_find_driver(gru_cuda_device *device);
/* Makes the device current in this thread; gru_cuda_leave restores the previous one, and makes no context on it. Fails when the
 * device was lost. */
gru_status gru_cuda_enter(gru_cuda_device *device, int *previous);
void gru_cuda_leave(const gru_cuda_device *device, int previous);
/* The same for releasing memory, also after the device was lost: returns the argument of gru_cuda_leave. */
int gru_cuda_enter_to_release(const gru_cuda_device *device);

/* The caller's stream. NULL is the legacy stream, however the caller was compiled. */
static inline cudaStream_t gru_cuda_stream(void *stream) {
    return stream ? (cudaStream_t)stream : cudaStreamLegacy;
}

#endif
