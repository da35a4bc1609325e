/* cuda_current.c: makes the context's device current in a thread during a call.
 *
 * By the driver's stack of contexts, and not by cudaSetDevice: on the way back that would make a context on the previous device
 * too, some 500 MB of a GPU that this process may never use. */
#include "cuda_device.h"

enum { DRIVER_VERSION = 12000 }; /* whose form of the functions is called */

static gru_status find(gru_cuda_device *device, const char *name, void **function) {
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    GRU_CUDA_TRY(device,
                 cudaGetDriverEntryPointByVersion(name, function, DRIVER_VERSION, cudaEnableDefault, &found),
                 "looking for a function of the driver");
    if (found == cudaDriverEntryPointSuccess) return GRU_OK;
    return gru_fail(GRU_NO_DEVICE, "the NVIDIA driver has no function %s", name);
}

/* Keeps the device's primary context to the end of the process, as the runtime does: it may be in use by others. */
gru_status gru_cuda_find_driver(gru_cuda_device *device) {
    gru_cuda_driver *driver = &device->driver;
    __typeof__(cuDevicePrimaryCtxRetain) *retain;
    GRU_TRY(find(device, "cuDevicePrimaryCtxRetain", (void **)(void *)&retain));
    GRU_TRY(find(device, "cuCtxPushCurrent", (void **)(void *)&driver->push));
    GRU_TRY(find(device, "cuCtxPopCurrent", (void **)(void *)&driver->pop));
    return gru_cuda_status(device, (cudaError_t)retain(&driver->primary, device->ordinal),
                           "making a context of the device");
}

gru_status gru_cuda_enter(gru_cuda_device *device, int *previous) {
    if (atomic_load_explicit(&device->lost, memory_order_relaxed))
        return gru_fail(
            GRU_DEVICE_FAILED,
            "CUDA device %d failed in an earlier call: the context is lost, and with it the device "
            "for this process",
            device->ordinal);
    GRU_CUDA_TRY(device, cudaGetDevice(previous), "asking for the current device");
    if (*previous == device->ordinal) return GRU_OK;
    return gru_cuda_status(device, (cudaError_t)device->driver.push(device->driver.primary),
                           "making the device current");
}

int gru_cuda_enter_to_release(const gru_cuda_device *device) {
    int previous = device->ordinal;
    (void)cudaGetDevice(&previous);
    if (previous == device->ordinal) return previous;
    return device->driver.push(device->driver.primary) == CUDA_SUCCESS ? previous : device->ordinal;
}

void gru_cuda_leave(const gru_cuda_device *device, int previous) {
    CUcontext ours;
    if (previous != device->ordinal) (void)device->driver.pop(&ours);
}
