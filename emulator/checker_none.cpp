// The plain build's checker: it checks nothing.
#include "checker.h"
#include "control.h"

const int emu_is_checker = 0;
namespace emu {
void checker_watch(void *, size_t) {}
void checker_allocated(const void *, size_t) {}
void checker_freed(const void *, size_t) {}
void checker_clear(const void *, size_t) {}
void checker_wrote(const void *, size_t) {}
bool checker_read(const void *, size_t, const char *) {
    return true;
}
void checker_block_ended(const Block &, const void *, size_t) {}
void checker_chain_begin() {}
void checker_chain_end() {}
void checker_grid_begin(const Launch &) {}
void checker_grid_end() {}
void checker_thread(ThreadClock &, uint32_t, bool) {}
void checker_meet(const std::vector<ThreadClock *> &) {}
void checker_split_arrive(SplitClock &, ThreadClock &) {}
void checker_split_complete(SplitClock &) {}
void checker_split_wait(const SplitClock &, ThreadClock &) {}
void checker_fence(ThreadClock &) {}
void checker_dependency_wait(ThreadClock &) {}
void checker_dependency_trigger(const ThreadClock &) {}
void checker_access(const void *, size_t, bool, const void *) {}
void checker_atomic(const volatile void *, size_t, AtomicAccess, int, const void *) {}
void checker_cached_read(const void *, size_t, const void *) {}
} // namespace emu
