/* cuda_device.c: failures of the CUDA runtime as statuses, and the current device of a thread during a call. */
#include "cuda_device.h"

/* After one of these errors every call to the device from this process fails. */
static int loses_device(cudaError_t error) {
    switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorExternalDevice:
        return 1;
    default:
        return 0;
    }
}

gru_status gru_cuda_status(gru_cuda_device *device, cudaError_t error, const char *what) {
    if (error == cudaSuccess) return GRU_OK;
    (void)cudaGetLastError(); /* the caller must not find our error */
    const char *words = cudaGetErrorString(error), *name = cudaGetErrorName(error);
    if (loses_device(error)) {
        atomic_store_explicit(&device->lost, 1, memory_order_relaxed);
        return gru_fail(
            GRU_DEVICE_FAILED,
            "%s failed on CUDA device %d: %s (%s); the context is lost, and with it the device for "
            "this process",
            what, device->ordinal, words, name);
    }
    return gru_fail(error == cudaErrorMemoryAllocation ? GRU_OUT_OF_MEMORY : GRU_DEVICE_FAILED,
                    "%s failed on CUDA device %d: %s (%s); the context can still be used", what,
                    device->ordinal, words, name);
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
    return gru_cuda_status(device, cudaSetDevice(device->ordinal), "making the device current");
}

int gru_cuda_enter_to_release(const gru_cuda_device *device) {
    int previous = device->ordinal;
    (void)cudaGetDevice(&previous);
    if (previous != device->ordinal) (void)cudaSetDevice(device->ordinal);
    return previous;
}

void gru_cuda_leave(const gru_cuda_device *device, int previous) {
    if (previous != device->ordinal) (void)cudaSetDevice(previous);
}
