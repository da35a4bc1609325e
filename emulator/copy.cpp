// Copies and fills in stream order, with every range and direction checked.
#include "emu_stream.h"
#include <cstring>

namespace emu {
static bool on_device(const void *p, size_t bytes) {
    const Allocation *a = find_allocation(p, bytes);
    return a && a->type != cudaMemoryTypeHost;
}
static cudaMemcpyKind actual_kind(const void *to, const void *from) {
    const bool to_device = in_a_region(to) && on_device(to, 1),
               from_device = in_a_region(from) && on_device(from, 1);
    return to_device     ? from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
           : from_device ? cudaMemcpyDeviceToHost
                         : cudaMemcpyHostToHost;
}
static bool good_range(const void *p, size_t bytes, bool device) {
    const Allocation *a = find_allocation(p, bytes);
    return device ? on_device(p, bytes) : !in_a_region(p) || (a && a->type != cudaMemoryTypeDevice);
}
static cudaError_t copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
    if (!bytes) return cudaSuccess;
    if (kind == cudaMemcpyDefault) kind = actual_kind(to, from);
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!good_range(to, bytes, to_device) || !good_range(from, bytes, from_device))
        return remember(cudaErrorInvalidValue);
    CUstream_st *stream = stream_of(handle);
    // Pageable memory is read before the call returns; in a recording, at each replay.
    const bool staged = !from_device && !find_allocation(from, 1) && stream && !stream->capture;
    const unsigned char *start = static_cast<const unsigned char *>(from);
    const auto bytes_of = std::make_shared<std::vector<unsigned char>>();
    if (staged) bytes_of->assign(start, start + bytes);
    return enqueue(handle, {nullptr, [=] {
                                Access access;
                                memmove(to, staged ? bytes_of->data() : from, bytes);
                                checker_wrote(to, bytes);
                            }});
}
static cudaError_t fill(void *p, int value, size_t bytes, cudaStream_t stream) {
    if (!bytes) return cudaSuccess;
    if (!find_allocation(p, bytes)) return remember(cudaErrorInvalidValue);
    return enqueue(stream, {nullptr, [=] {
                                Access access;
                                memset(p, value, bytes);
                                checker_wrote(p, bytes);
                            }});
}
} // namespace emu

using namespace emu;
extern "C" {
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    Lock lock;
    return copy(to, from, bytes, kind, stream);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    Lock lock;
    const cudaError_t error = copy(to, from, bytes, kind, nullptr);
    return error ? error : cudaStreamSynchronize(nullptr);
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    Lock lock;
    return fill(p, value, bytes, stream);
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    Lock lock;
    return fill(p, value, bytes, nullptr);
}
}
