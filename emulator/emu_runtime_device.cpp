// The devices: how many, of which kind, which one a host thread has chosen.
#include "emu_device.h"
#include "emu_memory.h"
#include "include/cuda.h"
#include <cstring>
#include <map>
#include <string>

using namespace emu;
static thread_local int current = 0;
static thread_local std::vector<int> pushed; // the driver's stack: its top is current

static constexpr int THREADS_PER_BLOCK = 1024, THREADS = 2048, REGISTERS = 65536,
                     L2 = 50 << 20; // as of an H100
static constexpr int SHARED = 48 << 10, SHARED_OPT_IN = 227 << 10, SHARED_PER_PROCESSOR = 228 << 10;

static cudaError_t no_device() {
    if (emu_option.driver_version < CUDART_VERSION) return remember(cudaErrorInsufficientDriver);
    return emu_option.devices > 0 ? cudaSuccess : remember(cudaErrorNoDevice);
}
static cudaError_t check(int device) {
    if (cudaError_t error = no_device()) return error;
    return device >= 0 && device < emu_option.devices ? cudaSuccess : remember(cudaErrorInvalidDevice);
}
static int attribute(cudaDeviceAttr which) {
    const int major = emu_option.compute_capability / 10;
    switch (which) {
    case cudaDevAttrMaxThreadsPerBlock:
        return THREADS_PER_BLOCK;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        return SHARED;
    case cudaDevAttrWarpSize:
        return 32;
    case cudaDevAttrMultiProcessorCount:
        return emu_option.processors;
    case cudaDevAttrL2CacheSize:
        return L2;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        return THREADS;
    case cudaDevAttrComputeCapabilityMajor:
        return major;
    case cudaDevAttrComputeCapabilityMinor:
        return emu_option.compute_capability % 10;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return SHARED_PER_PROCESSOR;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
        return REGISTERS;
    case cudaDevAttrPageableMemoryAccess:
        return emu_option.pageable;
    case cudaDevAttrClockRate:
        return 1755000; // kilohertz, as of an H100
    case cudaDevAttrCooperativeLaunch:
        return 1;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return SHARED_OPT_IN;
    }
    return -1;
}

extern "C" {
cudaError_t cudaGetDeviceCount(int *count) {
    if (cudaError_t error = no_device()) return error; // and writes nothing, as the runtime without a driver
    *count = emu_option.devices;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    if (cudaError_t error = no_device()) return error;
    *device = pushed.empty() ? current : pushed.back();
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { // which makes a context, since CUDA 12
    if (cudaError_t error = check(device)) return error;
    (pushed.empty() ? current : pushed.back()) = device;
    emu_option.contexts |= 1u << device;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device) {
    if (cudaError_t error = check(device)) return error;
    const int known = attribute(which);
    if (known < 0) return remember(cudaErrorInvalidValue);
    *value = known;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device) {
    if (cudaError_t error = check(device)) return error;
    *out = {};
    strcpy(out->name, "emulator");
    size_t available;
    cudaMemGetInfo(&available, &out->totalGlobalMem);
    out->sharedMemPerBlock = SHARED;
    out->sharedMemPerBlockOptin = SHARED_OPT_IN;
    out->sharedMemPerMultiprocessor = SHARED_PER_PROCESSOR;
    out->major = emu_option.compute_capability / 10;
    out->minor = emu_option.compute_capability % 10;
    out->multiProcessorCount = emu_option.processors;
    out->warpSize = 32;
    out->maxThreadsPerBlock = THREADS_PER_BLOCK;
    out->maxThreadsPerMultiProcessor = THREADS;
    out->cooperativeLaunch = 1;
    out->clusterLaunch = out->major >= 9;
    out->l2CacheSize = L2;
    out->regsPerMultiprocessor = REGISTERS;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = emu_option.driver_version;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    if (device < 0 || device >= emu_option.devices) return CUDA_ERROR_INVALID_DEVICE;
    emu_option.contexts |= 1u << device;
    *context = reinterpret_cast<CUcontext>(uintptr_t(device) + 1);
    return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent(CUcontext context) {
    const int device = int(reinterpret_cast<uintptr_t>(context)) - 1;
    if (device < 0 || !(emu_option.contexts >> device & 1)) return CUDA_ERROR_INVALID_CONTEXT;
    pushed.push_back(device);
    return CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent(CUcontext *context) {
    if (pushed.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = reinterpret_cast<CUcontext>(uintptr_t(pushed.back()) + 1);
    pushed.pop_back();
    return CUDA_SUCCESS;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult *result) {
    static const std::map<std::string, void *> known = {
        {"cuDevicePrimaryCtxRetain", reinterpret_cast<void *>(cuDevicePrimaryCtxRetain)},
        {"cuCtxPushCurrent", reinterpret_cast<void *>(cuCtxPushCurrent)},
        {"cuCtxPopCurrent", reinterpret_cast<void *>(cuCtxPopCurrent)}};
    const auto found = known.find(name);
    *function = found == known.end() ? nullptr : found->second;
    *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
}
