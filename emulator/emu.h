// What a kernel compiled for the host sees of the emulator: one fiber per CUDA thread, all on one OS thread.
// A fiber runs until it meets a barrier, a warp collective, an atomic (sometimes) or a spin; then another one
// runs, in an order that a seed gives. Kernels reach this only through the stand-in headers in include/ and
// through the header with the PTX.
#ifndef EMU_EMU_H
#define EMU_EMU_H
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#define EMU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace emu {
struct ThreadView {
    unsigned lane, warp, linear;         // linear: index in the block
    unsigned cluster_rank, cluster_size; // of the block in its cluster
};
struct Argument {
    const void *data;
    size_t bytes;
};
struct KernelCall { // a kernel with its arguments
    virtual ~KernelCall() = default;
    virtual void operator()() const = 0;
    virtual Argument argument(size_t) const { return {nullptr, 0}; } // 0 bytes: there is no such argument
};
using Call = std::shared_ptr<const KernelCall>;
// What a launch of this function runs instead; NULL: the launch fails with what was reported. Not set: the function.
extern Call (*translate_call)(const void *function, const Call &);
extern ThreadView *self; // of the running thread; NULL in host code

// ---- barriers ----
void block_barrier(EMU_SITE);
int block_barrier_count(int predicate, EMU_SITE); // how many threads had a non-zero predicate
void cluster_arrive(EMU_SITE);                    // releases what this thread has done so far
void cluster_wait(EMU_SITE);
void grid_barrier(EMU_SITE);

// ---- warps ----
enum class Collective { SYNC, SHUFFLE, VOTE, REDUCE, MMA, LDMATRIX };
constexpr unsigned SLOT = 64; // bytes that a lane can contribute
// Waits for all lanes of the mask; returns what they brought, [32][SLOT], until this lane's next collective.
const unsigned char *warp_collective(unsigned mask, Collective, const void *own, unsigned size, EMU_SITE);
template <class T>
__attribute__((no_sanitize("thread"))) T lane_value(const unsigned char *slots, unsigned lane) {
    T value;
    std::memcpy(&value, slots + lane * SLOT, sizeof(T));
    return value;
}
[[noreturn]] void trap(const char *what, EMU_SITE);

// ---- shared memory ----
void *block_shared(const void *key,
                   size_t bytes); // a static array, made for the block at its first use, 0xFF
void *dynamic_shared();
extern unsigned char *shared_window;                // the memory that holds all of it
void *map_shared_rank(const void *, unsigned rank); // the same array in another block of the cluster

// ---- order between threads and launches ----
void spin_pause();  // in every loop that waits for another thread: lets others run, finds livelock
void maybe_yield(); // a point where the scheduler may switch threads
void fence();
void dependency_wait();    // griddepcontrol.wait
void dependency_trigger(); // griddepcontrol.launch_dependents

// ---- copies in the background: done at the last moment that the program's waits allow ----
void copy_async(void *to, const void *from, unsigned bytes, unsigned from_bytes, EMU_SITE);
void copy_async_commit();
void copy_async_wait(unsigned groups_left);

// ---- memory operations with an order ----
template <class T> T load_acquire(const T *p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
template <class T> T load_relaxed(const T *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
template <class T> void store_release(T *p, T v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
    maybe_yield();
}
template <class T> T add_release(T *p, T v) {
    const T old = __atomic_fetch_add(p, v, __ATOMIC_RELEASE);
    maybe_yield();
    return old;
}
template <class T> T add_acquire_release(T *p, T v) {
    const T old = __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
    maybe_yield();
    return old;
}

// CUDA's atomic functions: relaxed. A loop that polls with one makes no progress for others, so no yield
// without change.
template <class T, class F> T read_modify_write(T *p, F change) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "an atomic of this size");
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    Bits *target = reinterpret_cast<Bits *>(p);
    Bits before = __atomic_load_n(target, __ATOMIC_RELAXED), after;
    T old;
    do {
        std::memcpy(&old, &before, sizeof old);
        const T next = change(old);
        std::memcpy(&after, &next, sizeof next);
    } while (!__atomic_compare_exchange_n(target, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (before != after) maybe_yield();
    return old;
}
} // namespace emu
#endif
