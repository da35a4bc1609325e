/* cuda_backend.c: the CUDA backend: opens a device, waits for it, and turns device errors into sentences. */
#include <string.h>

#include "core/dropout.h"
#include "core/host_memory.h"
#include "core/reserve.h"
#include "cuda/device/cuda_bad_data.h"
#include "cuda/device/cuda_blaslt.h"
#include "cuda/device/cuda_memory.h"
#include "cuda/device/cuda_pointer_check.h"
#include "cuda/layer/cuda_gemm_report.h"
#include "cuda/layer/cuda_layer.h"
#include "cuda/layer/cuda_pack.h"
#include "cuda/run/cuda_absent_steps.h"
#include "cuda/run/cuda_check_run.h"
#include "cuda_engine.h"

enum { OLDEST_CAPABILITY = 80, MOST_CHUNK_BYTES = 16 << 20, L2_SHARES = 3 };

/* ---- devices ---- */

/* The reason why the runtime finds no device. */
static gru_status no_devices(cudaError_t error) {
    int driver = 0;
    const char *words = cudaGetErrorString(error);
    (void)cudaGetLastError();
    (void)cudaDriverGetVersion(&driver);
    if (driver == 0) return gru_fail(GRU_NO_DEVICE, "this device has no NVIDIA driver");
    if (error == cudaErrorInsufficientDriver)
        return gru_fail(
            GRU_NO_DEVICE,
            "the NVIDIA driver is for CUDA %d.%d, expected %d.%d or later: this library was built "
            "for that",
            driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return gru_fail(GRU_NO_DEVICE, "this device has no CUDA device that runs: %s", words);
}

static gru_status find_device(int device) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) return no_devices(error ? error : cudaErrorNoDevice);
    if (device < count) return GRU_OK;
    return gru_fail(GRU_NO_DEVICE, "config.device is %d, expected 0 to %d: there are so many CUDA devices",
                    device, count - 1);
}

static gru_status query(gru_cuda_device *device, enum cudaDeviceAttr which, int *value) {
    return gru_cuda_status(device, cudaDeviceGetAttribute(value, which, device->ordinal),
                           "asking what the device can");
}

static gru_status query_attributes(gru_cuda_device *device) {
    int major = 0, minor = 0, l2 = 0, kilohertz = 0;
    GRU_TRY(query(device, cudaDevAttrComputeCapabilityMajor, &major));
    GRU_TRY(query(device, cudaDevAttrComputeCapabilityMinor, &minor));
    GRU_TRY(query(device, cudaDevAttrMultiProcessorCount, &device->multiprocessors));
    GRU_TRY(query(device, cudaDevAttrMaxSharedMemoryPerBlockOptin, &device->shared_bytes));
    GRU_TRY(query(device, cudaDevAttrPageableMemoryAccess, &device->pageable));
    GRU_TRY(query(device, cudaDevAttrL2CacheSize, &l2));
    device->chunk_bytes = l2 / L2_SHARES < MOST_CHUNK_BYTES ? l2 / L2_SHARES : MOST_CHUNK_BYTES;
    GRU_TRY(query(device, cudaDevAttrClockRate, &kilohertz));
    device->clock = kilohertz > 0 ? 1e3 * kilohertz : 1.5e9; /* a virtual device may not tell */
    device->capability = 10 * major + minor;
    if (device->capability >= OLDEST_CAPABILITY) return GRU_OK;
    return gru_fail(GRU_NO_DEVICE, "CUDA device %d has compute capability %d.%d, expected %d.%d or more",
                    device->ordinal, major, minor, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
}

/* ---- contexts ---- */

static gru_status clear_error(gru_cuda_device *device, cudaStream_t stream) {
    GRU_CUDA_TRY(device, cudaMemsetAsync(device->device_error, 0, sizeof *device->device_error, stream),
                 "clearing the report");
    return gru_cuda_status(device, cudaStreamSynchronize(stream), "waiting for the stream");
}

static gru_status init_device(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    void *error;
    GRU_TRY(gru_cuda_blas_open(context));
    GRU_TRY(gru_cuda_allocate(context, sizeof *device->device_error, &error));
    device->device_error = error;
    return clear_error(device, cudaStreamLegacy);
}

static void free_device(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    gru_cuda_free_blocks(context);
    (void)pthread_mutex_destroy(&device->mutex);
    gru_host_free(context, device, sizeof *device);
    context->device = NULL;
}

static void cuda_close(gru_context *context) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    const int previous = gru_cuda_enter_to_release(device);
    if (device->device_error) gru_cuda_release(context, device->device_error);
    gru_cuda_blas_close(context);
    gru_cuda_leave(device, previous);
    free_device(context);
}

static gru_status cuda_open(gru_context *context) {
    GRU_TRY(find_device(context->config.device));
    gru_cuda_device *device = gru_host_allocate(context, sizeof *device, "what is known of the device");
    if (!device) return GRU_OUT_OF_MEMORY;
    memset(device, 0, sizeof *device);
    device->ordinal = context->config.device;
    device->tf32 = (context->config.flags & GRU_ALLOW_TF32) != 0;
    device->invariant = (context->config.flags & GRU_BATCH_INVARIANT) != 0;
    (void)pthread_mutex_init(&device->mutex, NULL);
    context->device = device;
    int previous;
    gru_status status = query_attributes(device);
    if (status == GRU_OK) status = gru_cuda_find_driver(device);
    if (status != GRU_OK) {
        free_device(context);
        return status;
    }
    status = gru_cuda_enter(device, &previous);
    if (status == GRU_OK) {
        status = init_device(context);
        gru_cuda_leave(device, previous);
    }
    if (status != GRU_OK) cuda_close(context);
    return status;
}

/* ---- streams ---- */

static gru_status cuda_wait(gru_context *context, void *stream) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = cudaStreamSynchronize(gru_cuda_stream(stream));
    gru_cuda_leave(device, previous);
    return gru_cuda_status(device, error, "waiting for the stream");
}

static gru_status read_error(gru_cuda_device *device, cudaStream_t stream, gru_cuda_device_error *error) {
    GRU_CUDA_TRY(device,
                 cudaMemcpyAsync(error, device->device_error, sizeof *error, cudaMemcpyDeviceToHost, stream),
                 "reading the report");
    GRU_CUDA_TRY(device, cudaStreamSynchronize(stream), "waiting for the stream");
    return error->kind ? clear_error(device, stream) : GRU_OK;
}

static gru_status cuda_check(gru_context *context, void *stream) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    gru_cuda_device_error error = {0};
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const gru_status status = read_error(device, gru_cuda_stream(stream), &error);
    gru_cuda_leave(device, previous);
    return status != GRU_OK || error.kind == 0 ? status : gru_cuda_bad_data(&error);
}

static gru_status cuda_combine(gru_context *context, const gru_combination *combination, void *stream) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = gru_cuda_launch_combine(combination, gru_cuda_stream(stream));
    gru_cuda_leave(device, previous);
    return gru_cuda_status(device, error, "launching the merge of both directions");
}

static gru_status cuda_apply_dropout(gru_context *context, const gru_dropout *d, void *stream) {
    gru_cuda_device *device = gru_cuda_device_of(context);
    const gru_cuda_dropout dropout = {.type = d->type,
                                      .layer = d->layer,
                                      .T = d->T,
                                      .N = d->N,
                                      .row = d->row,
                                      .data = d->data,
                                      .seed = d->seed,
                                      .limit = gru_dropout_limit(d->rate),
                                      .scale = (float)gru_dropout_scale(d->rate),
                                      .ragged = gru_cuda_ragged_of(d->ragged)};
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    const cudaError_t error = gru_cuda_launch_dropout(&dropout, gru_cuda_stream(stream));
    gru_cuda_leave(device, previous);
    return gru_cuda_status(device, error, "launching the dropout between two layers");
}

static size_t cuda_packed_bytes(const gru_layer_config *config) {
    return gru_cuda_packed_layout_of(config).bytes;
}

/* Backward always recomputes. */
static size_t cuda_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N, int32_t mode) {
    (void)mode;
    return gru_reserve_bytes(config, T, N);
}

const gru_backend gru_backend_cuda = {
    .id = GRU_BACKEND_CUDA,
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .allocate = gru_cuda_allocate,
    .release = gru_cuda_release,
    .copy = gru_cuda_copy,
    .wait = cuda_wait,
    .check = cuda_check,
    .combine = cuda_combine,
    .apply_dropout = cuda_apply_dropout,
    .packed_bytes = cuda_packed_bytes,
    .reserve_bytes = cuda_reserve_bytes,
    .check_weights = gru_cuda_check_weights,
    .pack = gru_cuda_pack_weights,
    .packed_number = gru_cuda_packed_number,
    .prepare = gru_cuda_prepare,
    .destroy_prepared = gru_cuda_destroy_prepared,
    .check_run = gru_cuda_check_run,
    .check_buffer = gru_cuda_check_buffer,
    .report = gru_cuda_report,
};
