// The emulator's own tests: a list of tests and of planted faults, and what both need to launch tiny kernels.
// nvcc compiles the kernels too, so nothing here may need the emulator beyond control.h.
#ifndef EMU_SELF_H
#define EMU_SELF_H
#include <cstdio>
#include <vector>
#include "control.h"
#include "cuda/kernels/cuda_ptx.cuh"

namespace self_test {
enum { PLAIN = 1, CHECKER = 2, BOTH = 3, TRANSLATED = 4 }; // TRANSLATED: kernels are nvcc's PTX
struct Case {
    const char *name;
    int builds;        // that must catch it; 0: a test, not a fault
    const char *words; // of the finding, "" for any; NULL: a wrong result is expected
    bool (*run)();     // a test: whether it passed; a fault: whether the result was wrong
};
std::vector<Case> &cases();
struct Register {
    Register(const Case &c) { cases().push_back(c); }
};
extern int failures;
bool check(bool good, const char *file, int line, const char *what);

// A test; CHECK what must hold. A FAULT returns whether its result came out wrong; it is caught where the
// emulator reports a finding with these words, or, without words, where the result is wrong. In the plain
// build one seed must catch it.
#define TEST(name)                                                                                   \
    static void name();                                                                              \
    static const self_test::Register name##_entry({#name, 0, nullptr, [] { return name(), true; }}); \
    static void name()
#define FAULT(name, builds, words)                                                          \
    static bool name();                                                                     \
    static const self_test::Register name##_entry({#name, self_test::builds, words, name}); \
    static bool name()
#define CHECK(condition) self_test::check(condition, __FILE__, __LINE__, #condition)

struct How { // to launch
    dim3 grid = 1, block = 32;
    unsigned cluster = 1;
    size_t shared = 0;
    bool cooperative = false, dependent = false;
    cudaStream_t stream = nullptr;
};
template <class... P, class... A> cudaError_t start(void (*kernel)(P...), const How &how, A... arguments) {
    cudaLaunchAttribute attributes[3];
    cudaLaunchConfig_t config = {};
    config.gridDim = how.grid;
    config.blockDim = how.block;
    config.dynamicSmemBytes = how.shared;
    config.stream = how.stream;
    config.attrs = attributes;
    if (how.cooperative) {
        attributes[config.numAttrs].id = cudaLaunchAttributeCooperative;
        attributes[config.numAttrs++].val.cooperative = 1;
    }
    if (how.dependent) {
        attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (how.cluster > 1) {
        attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
        attributes[config.numAttrs].val.clusterDim.x = how.cluster;
        attributes[config.numAttrs].val.clusterDim.y = 1;
        attributes[config.numAttrs++].val.clusterDim.z = 1;
    }
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

// Device memory for as long as it is in scope.
template <class T> struct Device {
    T *data = nullptr;
    size_t count;
    explicit Device(size_t n) : count(n) {
        void *p = nullptr;
        CHECK(cudaMalloc(&p, n * sizeof(T)) == cudaSuccess);
        data = static_cast<T *>(p);
    }
    Device(size_t n, int byte) : Device(n) { // for all streams: waits
        CHECK(cudaMemset(data, byte, n * sizeof(T)) == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess);
    }
    explicit Device(const std::vector<T> &from) : Device(from.size()) {
        CHECK(cudaMemcpy(data, from.data(), count * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
    }
    ~Device() { cudaFree(data); }
    Device(const Device &) = delete;
    std::vector<T> host() const { // waits; zeros after an error
        std::vector<T> values(count);
        (void)cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost);
        return values;
    }
    operator T *() const { return data; }
};
} // namespace self_test
using self_test::Device;
using self_test::How;
using self_test::start;
#endif
