// First fit by address, neighbours merged: the pages in use stay few. Every launch opens and closes the region: by a
// protection key, which is a register of the processor, or where there is none by a system call, whose cost grows with the
// pages.
#include "region.h"
#include <iterator>
#include <sys/mman.h>
#include "checker.h"

namespace emu {
bool Region::holds(const void *p) const {
    return base && size_t(static_cast<const unsigned char *>(p) - base) < capacity;
}
void Region::open() const {
    if (key >= 0)
        pkey_set(key, 0);
    else if (used)
        mprotect(base, used, PROT_READ | PROT_WRITE);
}
void Region::close() const {
    if (key >= 0)
        pkey_set(key, PKEY_DISABLE_ACCESS);
    else if (used)
        mprotect(base, used, PROT_NONE);
}
void Region::map() {
    if (hidden) key = pkey_alloc(0, PKEY_DISABLE_ACCESS); // -1: there is none; threads begin without access
    base = static_cast<unsigned char *>(mmap(nullptr, capacity,
                                             hidden && key < 0 ? PROT_NONE : PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (key >= 0) pkey_mprotect(base, capacity, PROT_READ | PROT_WRITE, key);
    checker_watch(base, capacity);
}
unsigned char *Region::first_fit(size_t bytes) {
    for (auto block = free.begin(); block != free.end(); ++block) {
        const auto [p, size] = *block;
        if (size < bytes) continue;
        free.erase(block);
        if (size > bytes) free.emplace(p + bytes, size - bytes);
        return p;
    }
    return nullptr;
}
unsigned char *Region::grow(size_t bytes) {
    if (!base) map();
    if (bytes > capacity - used) return nullptr;
    used += bytes;
    return base + used - bytes;
}
unsigned char *Region::take(size_t bytes) {
    unsigned char *p = first_fit(bytes);
    if (!p) p = grow(bytes);
    while (!p && !resting.empty()) {
        free_oldest();
        p = first_fit(bytes);
    }
    return p;
}
void Region::give(unsigned char *p, size_t bytes) {
    resting.emplace_back(p, bytes);
    resting_bytes += bytes;
    while (resting_bytes > RESTING && resting.size() > 1) free_oldest();
}
void Region::free_oldest() {
    auto [p, bytes] = resting.front();
    resting.pop_front();
    resting_bytes -= bytes;
    auto next = free.lower_bound(p);
    if (next != free.end() && p + bytes == next->first) {
        bytes += next->second;
        next = free.erase(next);
    }
    if (next != free.begin() && std::prev(next)->first + std::prev(next)->second == p)
        std::prev(next)->second += bytes;
    else
        free.emplace(p, bytes);
}
} // namespace emu
