/* cuda_launch.cuh: launches a kernel with the attributes that steps need, and loads one before its first launch. */
#ifndef GRU_CUDA_LAUNCH_CUH
#define GRU_CUDA_LAUNCH_CUH

#include "cuda_device.cuh"

namespace {

struct Launch {
    dim3 grid, block;
    int shared_bytes = 0;
    bool depends = false;     /* may start before the launch before it has ended */
    bool cooperative = false; /* all blocks run at once */
    int cluster = 1;          /* blocks along x that share their memory */
};

inline unsigned blocks_for(int64_t count, int64_t each) {
    return unsigned((count + each - 1) / each);
}

template <class Argument>
cudaError_t start(void (*kernel)(Argument), const Launch &launch, const Argument &argument,
                  cudaStream_t stream) {
    cudaLaunchAttribute attributes[3];
    cudaLaunchConfig_t config = {};
    config.gridDim = launch.grid;
    config.blockDim = launch.block;
    config.dynamicSmemBytes = size_t(launch.shared_bytes);
    config.stream = stream;
    config.attrs = attributes;
    if (launch.depends) {
        attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (launch.cooperative) {
        attributes[config.numAttrs].id = cudaLaunchAttributeCooperative;
        attributes[config.numAttrs++].val.cooperative = 1;
    }
    if (launch.cluster > 1) {
        attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
        attributes[config.numAttrs].val.clusterDim.x = unsigned(launch.cluster);
        attributes[config.numAttrs].val.clusterDim.y = 1;
        attributes[config.numAttrs++].val.clusterDim.z = 1;
    }
    return cudaLaunchKernelEx(&config, kernel, argument);
}

/* Brings the kernel to the current device and allows it its dynamic shared memory; leaves it out where the device does
 * not have so much. */
template <class Argument> cudaError_t load(void (*kernel)(Argument), int shared_bytes) {
    int device, most;
    cudaFuncAttributes facts;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
        return error;
    if (shared_bytes > most) return cudaSuccess;
    if (const cudaError_t error = cudaFuncGetAttributes(&facts, kernel)) return error;
    if (shared_bytes <= 48 * 1024) return cudaSuccess; /* allowed to every kernel */
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
}

} // namespace
#endif
