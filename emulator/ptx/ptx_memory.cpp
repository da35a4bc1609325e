// Accesses of translated PTX, as the checker sees them.
#include "ptx/ptx_memory.h"
#include "emu_device.h"
#include "mma.h"
#include <sys/mman.h>

#define CODE __builtin_return_address(0)
using namespace emu;

namespace ptx {
static void check_aligned(u64 p, unsigned bytes) {
    if (p % bytes == 0) return;
    fatal(cudaErrorMisalignedAddress, format("an access of %u bytes to %#llx, which is not aligned, by %s",
                                             bytes, (unsigned long long)p, describe(running).c_str()));
}
static void *pointer(u64 p) {
    return reinterpret_cast<void *>(p);
}
void look_read(u64 p, unsigned bytes, Through through) {
    check_aligned(p, bytes);
    checker_access(pointer(p), bytes, false, CODE);
    if (through == Through::L1) checker_cached_read(pointer(p), bytes, CODE);
}
void look_write(u64 p, unsigned bytes) {
    check_aligned(p, bytes);
    checker_access(pointer(p), bytes, true, CODE);
}

// ---- atomics ----
static u32 *atomic(u64 p, AtomicAccess kind, int order, const void *code) {
    check_aligned(p, sizeof(u32));
    checker_atomic(pointer(p), sizeof(u32), kind, order, code);
    return static_cast<u32 *>(pointer(p));
}
template <class T, class F> static T change(u64 at, int order, const void *code, F to) {
    u32 *const p = atomic(at, AtomicAccess::READ_MODIFY_WRITE, order, code);
    const u32 before = *p;
    const T old = __builtin_bit_cast(T, before), next = to(old);
    *p = __builtin_bit_cast(u32, next);
    if (*p == before)
        spin_pause(); // it may be the body of a loop, as the loads below
    else
        maybe_yield();
    return old;
}
u32 load_acquire(u64 p) {
    spin_pause();
    return *atomic(p, AtomicAccess::LOAD, __ATOMIC_ACQUIRE, CODE);
}
u32 load_relaxed(u64 p) {
    spin_pause();
    return *atomic(p, AtomicAccess::LOAD, __ATOMIC_RELAXED, CODE);
}
void add_release(u64 p, u32 value) {
    change<u32>(p, __ATOMIC_RELEASE, CODE, [=](u32 old) { return old + value; });
}
void add_relaxed(u64 p, u32 value) {
    change<u32>(p, __ATOMIC_RELAXED, CODE, [=](u32 old) { return old + value; });
}
u32 fetch_add_release(u64 p, u32 value) {
    return change<u32>(p, __ATOMIC_RELEASE, CODE, [=](u32 old) { return old + value; });
}
u32 fetch_add(u64 p, u32 value) {
    return change<u32>(p, __ATOMIC_RELAXED, CODE, [=](u32 old) { return old + value; });
}
f32 fetch_add(u64 p, f32 value) {
    return change<f32>(p, __ATOMIC_RELAXED, CODE, [=](f32 old) { return old + value; });
}
u32 compare_swap(u64 p, u32 expected, u32 value) {
    return change<u32>(p, __ATOMIC_RELAXED, CODE, [=](u32 old) { return old == expected ? value : old; });
}

// ---- grids ----
// One serves all grids, because no two cooperative ones run at once.
u64 grid_workspace() {
    static constexpr size_t PAGE = 4096, WORDS = 2;
    static u32 *words = nullptr;
    static u64 used_by = ~u64(0);
    const Grid *grid = running->block->cluster->grid;
    if (!grid->launch.cooperative) return 0;
    if (!words) {
        void *p = mmap(nullptr, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        words = static_cast<u32 *>(p);
        checker_watch(words, PAGE);
        checker_allocated(words, WORDS * sizeof *words);
    }
    if (used_by != grid->number) {
        words[0] = words[1] = 0;
        checker_clear(words, WORDS * sizeof *words);
        checker_wrote(words, WORDS * sizeof *words);
        used_by = grid->number;
    }
    return reinterpret_cast<u64>(words);
}

// ---- clusters ----
void release_fence() {
    running->fenced = true;
}
void arrive_relaxed(const char *file, int line) {
    if (!running->fenced) trap("barrier.cluster.arrive.relaxed without a fence before it", file, line);
    running->fenced = false;
    cluster_arrive(file, line);
}

// ---- larger pieces ----
void copy_in_background(u32 to, u64 from, u32 bytes, const char *file, int line) {
    copy_async(pointer(shared_address(to)), pointer(from), bytes, bytes, file, line);
}
u32x4 load_matrices(u32 row, const char *file, int line) {
    u32x4 result;
    look_read(shared_address(row), 16, Through::L2);
    load_matrix(result.x, pointer(shared_address(row)), file, line);
    return result;
}
} // namespace ptx
