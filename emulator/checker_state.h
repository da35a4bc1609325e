// What the checker remembers: the last accesses of every word, and the facts about each grid.
#ifndef EMU_CHECKER_STATE_H
#define EMU_CHECKER_STATE_H
#include <string>
#include "emu_device.h"

namespace emu {
struct Access4 { // one access to some of a word's four bytes
    uint32_t grid, epoch, code;
    uint32_t thread : 24, bytes : 4, write : 1, atomic : 1;
};
struct Word {
    Access4 last[4];
    uint32_t write_grid, read_grid; // that did so last
    uint32_t owned, written;        // masks of bytes: allocated, ever written
};
struct WatchedRegion {
    const unsigned char *base;
    size_t bytes;
    Word *words;
    unsigned char *mirror; // contents as far as stores were seen
};
struct GridFacts {
    uint64_t chain = 0;
    bool dependent = false;
    bool waited = false;        // at least one of its threads has waited for the grid before
    bool early_trigger = false; // a block may have let dependent launches start before it waited itself
    uint32_t open_from = 0;     // the oldest grid that may still run when this one starts
};
struct CheckedAccess { // an access being looked at
    const void *address;
    size_t bytes;
    bool write, atomic;
    uint32_t code;
};

extern uint32_t checker_grid; // number of the grid that runs; 0: none has
WatchedRegion *checker_region(const void *);
GridFacts &checker_facts(uint32_t grid);
bool checker_unfinished(uint32_t grid,
                        const ThreadClock &); // it may still run while this thread does what it does now
bool checker_ordered(const Access4 &, const ThreadClock &); // it happened before
uint32_t checker_code(const void *return_address);
void checker_report(const char *what, const CheckedAccess &, const Access4 *other, bool stops);
void checker_clear_reports();
void checker_unseen_stores(); // in device memory, since the last call

void checker_check(const CheckedAccess &); // by the running thread
} // namespace emu
#endif
