// Shared memory: every array of every block lies apart in one window, 0xFF when the block starts, between red
// zones that are looked at when it ends; and copies in the background.
#include "emu_device.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>

namespace emu {
static constexpr size_t REGION = size_t(512) << 20, ZONE = 128, STATIC_LIMIT = 48 << 10;
static constexpr unsigned char ZONE_BYTE = 0xA5;
unsigned char *shared_window = nullptr;
static size_t region_used = 0;
static std::map<size_t, std::vector<unsigned char *>> free_memory; // by size with zones

static size_t with_zones(size_t bytes) {
    return ZONE + (bytes + ZONE - 1) / ZONE * ZONE + ZONE;
}
static unsigned char *take_memory(size_t total) {
    if (!shared_window) {
        void *p =
            mmap(nullptr, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        shared_window = static_cast<unsigned char *>(p);
        checker_watch(shared_window, REGION);
    }
    std::vector<unsigned char *> &known = free_memory[total];
    if (!known.empty()) {
        unsigned char *p = known.back();
        known.pop_back();
        return p;
    }
    if (region_used + total > REGION) {
        fputs("emulator: too many blocks at once for its shared memory\n", stderr);
        abort();
    }
    region_used += total;
    return shared_window + region_used - total;
}
static SharedArray new_array(const void *key, size_t bytes) {
    const size_t total = with_zones(bytes);
    unsigned char *p = take_memory(total);
    memset(p, ZONE_BYTE, total);
    memset(p + ZONE, 0xFF, bytes);
    checker_allocated(p + ZONE, bytes);
    return {key, p + ZONE, bytes};
}
void shared_begin(Block &block, size_t dynamic_bytes) {
    block.shared.push_back(new_array(nullptr, dynamic_bytes));
}
static bool zones_whole(const SharedArray &array) {
    const unsigned char *before = array.data - ZONE, *behind = array.data + array.bytes;
    for (size_t i = 0; i < ZONE; i++)
        if (before[i] != ZONE_BYTE || behind[i] != ZONE_BYTE) return false;
    return true;
}
void shared_end(Block &block) {
    for (const SharedArray &array : block.shared) {
        if (!zones_whole(array))
            report(cudaErrorIllegalAddress,
                   format("write outside a shared array of %zu bytes by block (%u,%u,%u)", array.bytes,
                          block.index.x, block.index.y, block.index.z));
        checker_block_ended(block, array.data, array.bytes);
        checker_freed(array.data, array.bytes);
        checker_clear(array.data, array.bytes);
        free_memory[with_zones(array.bytes)].push_back(array.data - ZONE);
    }
    block.shared.clear();
}

static SharedArray *find(Block &block, const void *key) {
    for (SharedArray &array : block.shared)
        if (array.key == key) return &array;
    return nullptr;
}
static SharedArray &find_or_make(Block &block, const void *key, size_t bytes) {
    if (SharedArray *array = find(block, key)) return *array;
    block.static_bytes += bytes;
    if (block.static_bytes > STATIC_LIMIT)
        fatal(cudaErrorInvalidValue,
              format("%zu bytes of static shared memory: the limit is 48 KiB", block.static_bytes));
    block.shared.push_back(new_array(key, bytes));
    return block.shared.back();
}
void *block_shared(const void *key, size_t bytes) {
    return find_or_make(*running->block, key, bytes).data;
}
void *dynamic_shared() {
    return find(*running->block, nullptr)->data;
}
void *map_shared_rank(const void *p, unsigned rank) {
    Block *own = running->block;
    if (rank >= own->cluster->blocks.size())
        fatal(cudaErrorLaunchFailure, format("mapa: rank %u of a cluster of %zu blocks, by %s", rank,
                                             own->cluster->blocks.size(), describe(running).c_str()));
    Block &other = *own->cluster->blocks[rank];
    if (!other.alive)
        fatal(cudaErrorLaunchFailure, "mapa: a block of the cluster that has ended, by " + describe(running));
    for (const SharedArray &array : own->shared) {
        const size_t offset = size_t(static_cast<const unsigned char *>(p) - array.data);
        if (offset < array.bytes) return find_or_make(other, array.key, array.bytes).data + offset;
    }
    fatal(cudaErrorLaunchFailure,
          "mapa: an address outside the block's shared memory, by " + describe(running));
}

// A copy happens when it is waited for, not before: who does not wait reads what was there.
void copy_async(void *to, const void *from, unsigned bytes, unsigned from_bytes, const char *file, int line) {
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) & (bytes - 1))
        trap("cp.async: an address that is not aligned to its size", file, line);
    running->uncommitted.push_back({to, from, bytes, from_bytes, __builtin_return_address(0)});
}
void copy_async_commit() {
    running->copies.push_back(std::move(running->uncommitted));
    running->uncommitted.clear();
}
void copy_async_wait(unsigned groups_left) {
    std::vector<std::vector<Copy>> &groups = running->copies;
    while (groups.size() > groups_left) {
        for (const Copy &copy : groups.front()) {
            checker_access(copy.from, copy.from_bytes, false, copy.code);
            checker_access(copy.to, copy.bytes, true, copy.code);
            memcpy(copy.to, copy.from, copy.from_bytes);
            memset(static_cast<char *>(copy.to) + copy.from_bytes, 0, copy.bytes - copy.from_bytes);
        }
        groups.erase(groups.begin());
    }
}
} // namespace emu
