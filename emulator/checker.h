// What the emulator tells the checker: who runs, who met whom, which memory exists and who wrote it. The
// plain build links checker_none.cpp instead. Kernels of the checker build are compiled with
// -fsanitize=thread; its hooks, not the sanitizer's library, then lead every access of a kernel here.
#ifndef EMU_CHECKER_H
#define EMU_CHECKER_H
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace emu {
struct Launch;
using Clock = std::vector<uint32_t>; // per thread of the grid: how much of what it did has been seen

struct ThreadClock {
    std::shared_ptr<const Clock> base; // shared by all who met at the same barrier
    uint32_t id = 0, epoch = 1;
    bool before_wait = false; // of a dependent launch, ahead of griddepcontrol.wait
    std::shared_ptr<Clock> released,
        unacquired; // by fences: what later relaxed atomics give, earlier ones took
};
struct SplitClock { // of a barrier whose arrival and wait are two instructions
    struct Arrival {
        std::shared_ptr<const Clock> base;
        uint32_t id, epoch;
    };
    std::vector<Arrival> arrivals;
    std::shared_ptr<const Clock> complete;
};

// ---- memory ----
void checker_watch(void *region, size_t bytes); // once: device, host and shared memory lie in such regions
void checker_allocated(const void *, size_t);   // nothing written yet
void checker_freed(const void *, size_t);
void checker_clear(const void *, size_t); // forgets earlier accesses: another block gets the memory
void checker_wrote(const void *, size_t); // the host, a copy or a library has written it
bool checker_read(const void *, size_t, const char *what); // one of them reads it: reports what nobody wrote
struct Block;
void checker_block_ended(const Block &, const void *shared, size_t); // looks for stores that went unseen

// ---- order ----
void checker_chain_begin();
void checker_chain_end();
void checker_grid_begin(const Launch &);
void checker_grid_end();
void checker_thread(ThreadClock &, uint32_t id, bool dependent);
void checker_meet(const std::vector<ThreadClock *> &);
void checker_split_arrive(SplitClock &, ThreadClock &);
void checker_split_complete(SplitClock &);
void checker_split_wait(const SplitClock &, ThreadClock &);
void checker_fence(ThreadClock &);
void checker_dependency_wait(ThreadClock &);
void checker_dependency_trigger(const ThreadClock &);

// ---- accesses of the running thread; code: an address behind the instruction ----
void checker_access(const void *, size_t, bool write, const void *code);
enum class AtomicAccess { LOAD, STORE, READ_MODIFY_WRITE };
void checker_atomic(const volatile void *, size_t, AtomicAccess, int order, const void *code); // __ATOMIC_...
// A load that may find an older value in the multiprocessor's L1: of what another block or a launch that may still have
// run has written since this block started.
void checker_cached_read(const void *, size_t, const void *code);
} // namespace emu
#endif
