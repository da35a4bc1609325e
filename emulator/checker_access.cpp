// One access of a kernel against everything known of its words.
#include "checker_state.h"
#include <dlfcn.h>

extern "C" const char __executable_start, _end;

namespace emu {
// Stacks, constants of the program and libraries are none of the device's memory, and legal; the heap of the
// host is not.
static bool legal_elsewhere(const void *p) {
    const char *q = static_cast<const char *>(p);
    if (size_t(q - running->fiber.stack) < STACK || (q >= &__executable_start && q < &_end)) return true;
    if (size_t(q - reinterpret_cast<const char *>(running)) < sizeof *running) return true; // self->
    Dl_info info;
    return dladdr(p, &info) != 0;
}
static void check_grids(const Word &word, const CheckedAccess &access) {
    const ThreadClock &clock = running->clock;
    if (checker_unfinished(word.write_grid, clock) ||
        (access.write && checker_unfinished(word.read_grid, clock)))
        checker_report(
            clock.before_wait
                ? "access before griddepcontrol.wait to what an earlier launch, perhaps not ended, uses"
                : "access to what a launch uses that the one before did not wait for",
            access, nullptr, false);
}
// Compares with the remembered accesses and takes the access of one that says less: an ordered one that this
// one covers, one of an earlier grid, else any.
static void check_race(Word &word, const CheckedAccess &access, unsigned mask) {
    static uint32_t victim = 0;
    const ThreadClock &clock = running->clock;
    Access4 *free = nullptr;
    for (Access4 &other : word.last) {
        if (other.grid != checker_grid) {
            free = &other;
            continue;
        }
        const bool ordered = checker_ordered(other, clock);
        const bool conflict =
            other.bytes & mask && (other.write || access.write) && !(other.atomic && access.atomic);
        if (!ordered && conflict) checker_report("data race", access, &other, false);
        if (ordered && !(other.bytes & ~mask) && (access.write || !other.write)) {
            other.grid = 0;
            free = &other;
        }
    }
    if (!free) free = &word.last[victim++ & 3];
    *free = {checker_grid, clock.epoch, access.code, clock.id & 0xFFFFFF, mask, access.write, access.atomic};
}
static bool check_word(Word &word, const CheckedAccess &access, unsigned mask) {
    if ((word.owned & mask) != mask) return false;
    if (access.write)
        word.written |= mask;
    else if ((word.written & mask) != mask) {
        checker_report("read of memory that was never written", access, nullptr, false);
        word.written |= mask;
    }
    check_grids(word, access);
    check_race(word, access, mask);
    (access.write ? word.write_grid : word.read_grid) = checker_grid;
    return true;
}
void checker_check(const CheckedAccess &access) {
    WatchedRegion *region = checker_region(access.address);
    if (!region) {
        if (!legal_elsewhere(access.address))
            checker_report("access to memory of the host", access, nullptr, true);
        return;
    }
    const size_t first = size_t(static_cast<const unsigned char *>(access.address) - region->base);
    const size_t end = first + access.bytes;
    for (size_t i = first / 4; i * 4 < end; i++) {
        unsigned mask = 15;
        if (i * 4 < first) mask &= 15u << (first - i * 4);
        if (i * 4 + 4 > end) mask &= 15u >> (i * 4 + 4 - end);
        if (!check_word(region->words[i], access, mask))
            checker_report("access outside an allocation", access, nullptr, true);
    }
}
void checker_access(const void *p, size_t bytes, bool write, const void *code) {
    if (running && bytes) checker_check({p, bytes, write, false, checker_code(code)});
}
// Stricter than the manual, by which griddepcontrol.wait makes the stores visible: this is the rule of our kernels.
void checker_cached_read(const void *p, size_t bytes, const void *code) {
    const GridFacts &now = checker_facts(checker_grid);
    const WatchedRegion *region = checker_region(p);
    if (!now.dependent || !region || region->base == shared_window) return;
    const size_t first = size_t(static_cast<const unsigned char *>(p) - region->base) / 4;
    for (size_t word = first; word <= first + (bytes - 1) / 4; word++) {
        const uint32_t writer = region->words[word].write_grid;
        if (writer >= now.open_from && writer < checker_grid)
            return checker_report(
                "load through L1 of what a launch wrote that may overlap this one: expected .cg",
                {p, bytes, false, false, checker_code(code)}, nullptr, false);
    }
}
} // namespace emu
