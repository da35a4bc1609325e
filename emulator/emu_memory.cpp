// Allocations: device memory in a region that the host cannot touch, pinned and managed memory in one that it
// can; all of it 0xFF when new, between red zones.
#include "emu_device.h"
#include "emu_memory.h"
#include "region.h"
#include "emu_stream.h"
#include <cstring>
#include <map>

namespace emu {
std::recursive_mutex &api_mutex = *new std::recursive_mutex;

namespace {
constexpr size_t ROUND = 512, ZONE = 256;
constexpr unsigned char ZONE_BYTE = 0xA5;
Region device_region{size_t(1) << 30, true}, host_region{size_t(256) << 20, false};
std::map<const unsigned char *, Allocation> &allocations = *new std::map<const unsigned char *, Allocation>;
int accesses = 0;
} // namespace

Access::Access() {
    api_mutex.lock();
    if (accesses++ == 0) device_region.open();
}
void reopen_device_memory() {
    device_region.open();
}
Access::~Access() {
    if (--accesses == 0) device_region.close();
    api_mutex.unlock();
}

const Allocation *find_allocation(const void *pointer, size_t bytes) {
    const unsigned char *p = static_cast<const unsigned char *>(pointer);
    auto next = allocations.upper_bound(p);
    if (next == allocations.begin()) return nullptr;
    const Allocation &a = (--next)->second;
    const size_t offset = size_t(p - a.data);
    return offset < a.bytes && bytes <= a.bytes - offset ? &a : nullptr;
}
bool in_a_region(const void *p) {
    return device_region.holds(p) || host_region.holds(p);
}

static size_t with_zones(size_t bytes) {
    return ZONE + (bytes + ROUND - 1) / ROUND * ROUND + ZONE;
}
static bool zones_whole(const Allocation &a) {
    for (size_t i = 0; i < ZONE; i++)
        if (a.data[i - ZONE] != ZONE_BYTE || a.data[a.bytes + i] != ZONE_BYTE) return false;
    return true;
}
static void mark_zones(const Allocation &a) {
    memset(a.data - ZONE, ZONE_BYTE, ZONE);
    memset(a.data + a.bytes, ZONE_BYTE, ZONE);
}
void check_red_zones() {
    Access access;
    for (const auto &[start, a] : allocations)
        if (!zones_whole(a)) {
            report(cudaErrorIllegalAddress, format("write outside an allocation of %zu bytes", a.bytes));
            mark_zones(a);
        }
}

static cudaError_t allocate(void **out, size_t bytes, cudaMemoryType type) {
    Lock lock;
    *out = nullptr;
    if (device_error()) return device_error();
    if (refused_by_capture()) return remember(cudaErrorStreamCaptureUnsupported);
    if (!bytes) return cudaSuccess;
    if (emu_option.fail_allocation && --emu_option.fail_allocation == 0)
        return remember(cudaErrorMemoryAllocation);
    Region &region = type == cudaMemoryTypeDevice ? device_region : host_region;
    unsigned char *memory = bytes > region.capacity ? nullptr : region.take(with_zones(bytes));
    if (!memory) return remember(cudaErrorMemoryAllocation);
    Access access;
    device_region.open(); // it may have grown
    int device = 0;
    cudaGetDevice(&device);
    emu_option.contexts |= 1u << device;
    const Allocation a = {memory + ZONE, bytes, type, device};
    mark_zones(a);
    memset(a.data, 0xFF, bytes);
    checker_allocated(a.data, bytes);
    if (type != cudaMemoryTypeDevice) checker_wrote(a.data, bytes); // the host's stores to it are not seen
    allocations.emplace(a.data, a);
    *out = a.data;
    return cudaSuccess;
}
static cudaError_t release(void *p, bool pinned) {
    Lock lock;
    if (!p) return cudaSuccess;
    if (refused_by_capture()) return remember(cudaErrorStreamCaptureUnsupported);
    drain_all();
    const auto found = allocations.find(static_cast<unsigned char *>(p));
    if (found == allocations.end() || pinned != (found->second.type == cudaMemoryTypeHost))
        return remember(cudaErrorInvalidValue);
    check_red_zones();
    const Allocation a = found->second;
    checker_freed(a.data, a.bytes);
    Access access;
    memset(a.data, 0xFF, a.bytes);
    Region &region = a.type == cudaMemoryTypeDevice ? device_region : host_region;
    region.give(a.data - ZONE, with_zones(a.bytes));
    allocations.erase(found);
    return cudaSuccess;
}
void visit_allocations(void (*visit)(const void *, size_t)) {
    for (const auto &[start, a] : allocations)
        if (a.type == cudaMemoryTypeDevice) visit(a.data, a.bytes);
}
} // namespace emu

using namespace emu;
uint64_t emu_allocations(void) {
    return allocations.size();
}
extern "C" {
cudaError_t cudaMalloc(void **out, size_t bytes) {
    return allocate(out, bytes, cudaMemoryTypeDevice);
}
cudaError_t cudaMallocHost(void **out, size_t bytes) {
    return allocate(out, bytes, cudaMemoryTypeHost);
}
cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
    return cudaMallocHost(out, bytes);
}
cudaError_t cudaMallocManaged(void **out, size_t bytes, unsigned) {
    return allocate(out, bytes, cudaMemoryTypeManaged);
}
cudaError_t cudaFree(void *p) {
    return release(p, false);
}
cudaError_t cudaFreeHost(void *p) {
    return release(p, true);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *p) {
    Lock lock;
    const Allocation *a = find_allocation(p, 1);
    void *pointer = const_cast<void *>(p);
    *out = {cudaMemoryTypeUnregistered, -2, nullptr, pointer};
    if (a) *out = {a->type, a->device, pointer, a->type == cudaMemoryTypeDevice ? nullptr : pointer};
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    if (device_error()) return device_error();
    *total = device_region.capacity;
    *available = device_region.available();
    return cudaSuccess;
}
}
