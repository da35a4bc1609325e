/* cuda_launch.cuh: launches a kernel with attributes, and loads a kernel before its first launch. */
#ifndef GRU_CUDA_LAUNCH_CUH
#define GRU_CUDA_LAUNCH_CUH

#include "cuda_ptx.cuh"
#include "cuda_kernels.h"

namespace {

struct Launch {
    dim3 grid, block;
    int shared_bytes = 0;
    bool depends = false;     /* may start before the previous launch has ended */
    bool cooperative = false; /* all blocks run at once */
    int cluster = 1;          /* blocks along x that form a cluster */
};

inline unsigned blocks_for(int64_t count, int64_t each) {
    return unsigned((count + each - 1) / each);
}

constexpr int MAX_ATTRIBUTES = 3;

inline cudaLaunchConfig_t configure(const Launch &launch, cudaLaunchAttribute (&attributes)[MAX_ATTRIBUTES],
                                    cudaStream_t stream) {
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
    return config;
}

template <class Argument>
cudaError_t start(void (*kernel)(Argument), const Launch &launch, const Argument &argument,
                  cudaStream_t stream) {
    cudaLaunchAttribute attributes[MAX_ATTRIBUTES];
    const cudaLaunchConfig_t config = configure(launch, attributes, stream);
    return cudaLaunchKernelEx(&config, kernel, argument);
}

/* Loads the kernel on the current device and allows it its dynamic shared memory. Does nothing where the device has less
 * shared memory. A multiprocessor runs two kernels at once only if they divide L1 and shared memory alike: all kernels ask for
 * the same division, so that a step can start while the one before it ends. */
template <class Argument> cudaError_t load(void (*kernel)(Argument), int shared_bytes) {
    int device, most;
    cudaFuncAttributes facts;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
        return error;
    if (shared_bytes > most) return cudaSuccess;
    if (const cudaError_t error = cudaFuncGetAttributes(&facts, kernel)) return error;
    if (const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                                       cudaSharedmemCarveoutMaxShared))
        return error;
    if (shared_bytes <= 48 * 1024) return cudaSuccess; /* allowed to every kernel */
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
}

/* How many clusters of the launch the current device holds at once; 0 where it has no clusters of this size. */
template <class Argument>
cudaError_t count_clusters(void (*kernel)(Argument), const Launch &launch, int32_t *clusters) {
    cudaLaunchAttribute attributes[MAX_ATTRIBUTES];
    const cudaLaunchConfig_t config = configure(launch, attributes, nullptr);
    int device, major, count = 0;
    *clusters = 0;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device))
        return error;
    if (major < 9) return cudaSuccess;
    if (cudaOccupancyMaxActiveClusters(&count, kernel, &config) == cudaSuccess)
        *clusters = count;
    else
        (void)cudaGetLastError(); /* this size is not possible */
    return cudaSuccess;
}

/* Loads one kernel, and asks how many of its clusters of each size the device holds. */
template <class Argument>
cudaError_t load_clusters(void (*kernel)(Argument), int threads, int shared_bytes, int32_t *clusters) {
    int device, most;
    if (const cudaError_t error = cudaGetDevice(&device)) return error;
    if (const cudaError_t error =
            cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
        return error;
    if (shared_bytes > most) return cudaSuccess; /* and 0 clusters */
    if (const cudaError_t error = load(kernel, shared_bytes)) return error;
    clusters[0] = INT32_MAX; /* no cluster: limited by the multiprocessors only */
    for (int i = 1; i < GRU_CUDA_SPLITS; i++) {
        Launch launch;
        launch.grid = dim3(1u << i);
        launch.block = dim3(unsigned(threads));
        launch.shared_bytes = shared_bytes;
        launch.cluster = 1 << i;
        if (const cudaError_t error = count_clusters(kernel, launch, &clusters[i])) return error;
    }
    return cudaSuccess;
}

} // namespace
#endif
