// The checks of a launch, in the order and with the errors of the CUDA runtime, and what is known of each
// kernel.
#include "launch.h"
#include "emu_stream.h"
#include <algorithm>
#include <map>
#include <set>

namespace emu {
namespace {
struct Kernel {
    size_t dynamic_limit = 48 << 10;
    bool large_clusters = false; // more than 8 blocks
    int carveout = -1;           // preferred share of shared memory; -1: the driver's choice
    bool of_cublaslt = false;
};
std::map<const void *, Kernel> &kernels = *new std::map<const void *, Kernel>;

// The first use of a kernel loads its code, which allocates: a recording refuses it.
Kernel *load(const void *function) {
    const auto known = kernels.find(function);
    if (known != kernels.end()) return &known->second;
    return refused_by_capture() ? nullptr : &kernels[function];
}
int blocks_per_processor(int threads, size_t shared_bytes) {
    const int warps = (threads + 31) / 32;
    const int by_shared = int((size_t(228) << 10) / (shared_bytes + 1024));
    return std::max(0, std::min({32, 64 / warps, by_shared}));
}
Launch from_config(const cudaLaunchConfig_t &config) {
    Launch l;
    l.size = config.gridDim;
    l.block = config.blockDim;
    l.dynamic_bytes = config.dynamicSmemBytes;
    for (unsigned i = 0; i < config.numAttrs; i++) {
        const cudaLaunchAttributeValue &value = config.attrs[i].val;
        switch (config.attrs[i].id) {
        case cudaLaunchAttributeCooperative:
            l.cooperative = value.cooperative != 0;
            break;
        case cudaLaunchAttributeClusterDimension:
            l.cluster = dim3(value.clusterDim.x, value.clusterDim.y, value.clusterDim.z);
            break;
        case cudaLaunchAttributeProgrammaticStreamSerialization:
            l.dependent = value.programmaticStreamSerializationAllowed != 0;
            break;
        case cudaLaunchAttributeIgnore:
            break;
        }
    }
    return l;
}
bool divides(const dim3 &part, const dim3 &whole) {
    return part.x && part.y && part.z && whole.x % part.x == 0 && whole.y % part.y == 0 &&
           whole.z % part.z == 0;
}
cudaError_t check(const Launch &l, const Kernel &kernel) {
    const uint64_t threads = uint64_t(l.block.x) * l.block.y * l.block.z;
    const uint64_t blocks = uint64_t(l.size.x) * l.size.y * l.size.z;
    if (!threads || threads > 1024 || l.block.z > 64 || !blocks || l.size.y > 65535 || l.size.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (blocks * threads > 1u << 24) return cudaErrorNotSupported; // by the emulator
    if (l.dynamic_bytes > kernel.dynamic_limit) return cudaErrorInvalidValue;
    const unsigned limit = emu_option.compute_capability < 90 ? 1 : kernel.large_clusters ? 16 : 8;
    if (!divides(l.cluster, l.size) || l.cluster_blocks() > limit) return cudaErrorInvalidClusterSize;
    const int fit = emu_option.processors * blocks_per_processor(int(threads), l.dynamic_bytes);
    if (l.cooperative && blocks > uint64_t(fit)) return cudaErrorCooperativeLaunchTooLarge;
    return cudaSuccess;
}
} // namespace

bool load_kernel(const void *function) {
    Kernel *kernel = load(function);
    if (kernel) kernel->of_cublaslt = true;
    return kernel != nullptr;
}
Call (*translate_call)(const void *, const Call &) = nullptr;

cudaError_t launch(const cudaLaunchConfig_t *config, const void *function, const Call &call) {
    Lock lock;
    if (device_error()) return device_error();
    const CUstream_st *stream = stream_of(config->stream);
    int device = 0;
    if (cudaError_t error = cudaGetDevice(&device)) return error;
    emu_option.contexts |= 1u << device;
    if (!stream || (!is_legacy(stream) && stream->device != device))
        return remember(cudaErrorInvalidResourceHandle);
    const Kernel *kernel = load(function);
    if (!kernel) return remember(cudaErrorStreamCaptureUnsupported);
    auto request = std::make_shared<Launch>(from_config(*config));
    if (cudaError_t error = check(*request, *kernel)) return remember(error);
    request->call = translate_call ? translate_call(function, call) : call;
    if (!request->call) return device_error();
    return enqueue(config->stream, {request, nullptr});
}
bool check_argument(unsigned index, const void *pointer) {
    Lock lock;
    if (!pointer || in_a_region(pointer)) return true;
    report(cudaErrorIllegalAddress,
           format("argument %u of a kernel is %p, a host pointer", index + 1, pointer));
    return false;
}
} // namespace emu

using namespace emu;
uint64_t emu_loaded(void) {
    return kernels.size();
}
int emu_carveouts(void) {
    std::set<int> different;
    for (const auto &[function, kernel] : kernels)
        if (!kernel.of_cublaslt) different.insert(kernel.carveout);
    return int(different.size());
}
extern "C" {
cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value) {
    Lock lock;
    Kernel *kernel = load(function);
    if (!kernel) return remember(cudaErrorStreamCaptureUnsupported);
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 || value > 227 << 10) return remember(cudaErrorInvalidValue);
        kernel->dynamic_limit = size_t(value);
    }
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) kernel->carveout = value;
    if (attribute == cudaFuncAttributeNonPortableClusterSizeAllowed) kernel->large_clusters = value != 0;
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *function) {
    Lock lock;
    const Kernel *kernel = load(function);
    if (!kernel) return remember(cudaErrorStreamCaptureUnsupported);
    *out = {};
    out->maxThreadsPerBlock = 1024;
    out->numRegs = 32; // the emulator knows no registers
    out->ptxVersion = out->binaryVersion = emu_option.compute_capability;
    out->maxDynamicSharedSizeBytes = int(kernel->dynamic_limit);
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int threads,
                                                          size_t shared_bytes) {
    if (threads < 1 || threads > 1024) return remember(cudaErrorInvalidValue);
    *blocks = blocks_per_processor(threads, shared_bytes);
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *function,
                                           const cudaLaunchConfig_t *config) {
    Lock lock;
    const Kernel *kernel = load(function);
    if (!kernel) return remember(cudaErrorStreamCaptureUnsupported);
    const Launch l = from_config(*config);
    if (cudaError_t error = check(l, *kernel)) return remember(error);
    const int blocks = emu_option.processors * blocks_per_processor(int(l.block_threads()), l.dynamic_bytes);
    *clusters = blocks / int(l.cluster_blocks());
    return cudaSuccess;
}
}
