/* cuda_device.c: failures of the CUDA runtime as statuses. */
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
    case cudaErrorUnknown:
        return 1;
    default:
        return 0;
    }
}

gru_status gru_cuda_status(gru_cuda_device *device, cudaError_t error, const char *what) {
    if (error == cudaSuccess) return GRU_OK;
    if (cudaPeekAtLastError() == error) (void)cudaGetLastError(); /* the caller must not find our error */
    const char *words = cudaGetErrorString(error), *name = cudaGetErrorName(error);
    if (loses_device(error)) {
        atomic_store_explicit(&device->lost, 1, memory_order_relaxed);
        return gru_fail(
            GRU_DEVICE_FAILED,
            "%s failed on CUDA device %d: %s (%s); the context is lost, and with it the device for "
            "this process. Any kernel of the process may be the cause, not only this library's",
            what, device->ordinal, words, name);
    }
    return gru_fail(error == cudaErrorMemoryAllocation ? GRU_OUT_OF_MEMORY : GRU_DEVICE_FAILED,
                    "%s failed on CUDA device %d: %s (%s); the context can still be used", what,
                    device->ordinal, words, name);
}

cudaError_t gru_cuda_lost_error(void) {
    size_t available, total;
    const cudaError_t error = cudaMemGetInfo(&available, &total);
    return loses_device(error) ? error : cudaSuccess;
}
