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
static void check_grids(const Word &word, const Place &place) {
    const ThreadClock &clock = running->clock;
    if (checker_unfinished(word.write_grid, clock) ||
        (place.write && checker_unfinished(word.read_grid, clock)))
        checker_report(
            clock.before_wait
                ? "access before griddepcontrol.wait to what an earlier launch, perhaps not ended, uses"
                : "access to what a launch uses that the one before did not wait for",
            place, nullptr, false);
}
// Compares with the remembered accesses and takes the place of one that says less: an ordered one that this
// one covers, one of an earlier grid, else any.
static void check_race(Word &word, const Place &place, unsigned mask) {
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
            other.bytes & mask && (other.write || place.write) && !(other.atomic && place.atomic);
        if (!ordered && conflict) checker_report("data race", place, &other, false);
        if (ordered && !(other.bytes & ~mask) && (place.write || !other.write)) {
            other.grid = 0;
            free = &other;
        }
    }
    if (!free) free = &word.last[victim++ & 3];
    *free = {checker_grid, clock.epoch, place.code, clock.id & 0xFFFFFF, mask, place.write, place.atomic};
}
static bool check_word(Word &word, const Place &place, unsigned mask) {
    if ((word.owned & mask) != mask) return false;
    if (place.write)
        word.written |= mask;
    else if ((word.written & mask) != mask) {
        checker_report("read of memory that was never written", place, nullptr, false);
        word.written |= mask;
    }
    check_grids(word, place);
    check_race(word, place, mask);
    (place.write ? word.write_grid : word.read_grid) = checker_grid;
    return true;
}
void checker_look(const Place &place) {
    WatchedRegion *region = checker_region(place.address);
    if (!region) {
        if (!legal_elsewhere(place.address))
            checker_report("access to memory of the host", place, nullptr, true);
        return;
    }
    const size_t first = size_t(static_cast<const unsigned char *>(place.address) - region->base);
    const size_t end = first + place.bytes;
    for (size_t i = first / 4; i * 4 < end; i++) {
        unsigned mask = 15;
        if (i * 4 < first) mask &= 15u << (first - i * 4);
        if (i * 4 + 4 > end) mask &= 15u >> (i * 4 + 4 - end);
        if (!check_word(region->words[i], place, mask))
            checker_report("access outside an allocation", place, nullptr, true);
    }
}
void checker_access(const void *p, size_t bytes, bool write, const void *code) {
    if (running && bytes) checker_look({p, bytes, write, false, checker_code(code)});
}
} // namespace emu
