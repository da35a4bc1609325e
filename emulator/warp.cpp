// Warp collectives: the lanes of a mask meet, each with some bytes, and all see what the others brought.
// Lanes are threads of their own otherwise: nothing runs in lockstep, and only __syncwarp orders memory.
#include "emu_device.h"
#include <cstring>

namespace emu {
static OpenCollective *find(Warp &warp, unsigned mask, const char *file, int line) {
    for (auto &open : warp.open) {
        if (open->mask == mask) return open.get();
        if (open->arrived & mask)
            fatal(
                cudaErrorLaunchFailure,
                format(
                    "warp collective at %s:%d with mask %08x overlaps the one that waits at %s:%d with mask "
                    "%08x, by %s",
                    file, line, mask, open->file, open->line, open->mask, describe(running).c_str()));
    }
    warp.open.push_back(std::make_unique<OpenCollective>());
    warp.open.back()->mask = mask;
    return warp.open.back().get();
}
static void check_same(const OpenCollective &open, Collective operation, const char *file, int line) {
    if (open.operation != operation || open.line != line || strcmp(open.file, file) != 0)
        fatal(cudaErrorLaunchFailure,
              format("divergent warp collectives: lanes wait at %s:%d, and %s comes to %s:%d", open.file,
                     open.line, describe(running).c_str(), file, line));
}
static void complete(OpenCollective &open) {
    open.arrived = 0;
    open.phase++;
    std::vector<ThreadClock *> clocks;
    for (Thread *thread : open.waiting) {
        clocks.push_back(&thread->clock);
        if (thread != running) make_ready(thread);
    }
    open.waiting.clear();
    if (open.operation == Collective::SYNC) checker_meet(clocks);
    if (emu_option.order != EMU_FIRST_IN_FIRST_OUT) yield();
}
// Two sets of slots: a fast lane may bring its next value while a slow one still reads the last.
const unsigned char *warp_collective(unsigned mask, Collective operation, const void *own, unsigned size,
                                     const char *file, int line) {
    Warp &warp = running->block->warps[running->view.warp];
    const unsigned lane = running->view.lane;
    if (!(mask >> lane & 1))
        trap("warp collective whose mask does not name the lane that calls it", file, line);
    if (mask & ~warp.alive)
        trap("warp collective whose mask names lanes that do not exist or have returned", file, line);
    OpenCollective *open = find(warp, mask, file, line);
    if (open->arrived)
        check_same(*open, operation, file, line);
    else {
        open->operation = operation;
        open->file = file;
        open->line = line;
    }
    const unsigned phase = open->phase;
    unsigned char *slots = open->slots[phase & 1];
    if (size) memcpy(slots + lane * SLOT, own, size);
    open->arrived |= 1u << lane;
    open->waiting.push_back(running);
    if (open->arrived == mask)
        complete(*open);
    else
        while (open->phase == phase) block_on("a warp collective", file, line);
    return slots;
}
} // namespace emu
