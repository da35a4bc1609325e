// The emulated device while grids run: threads, warps, blocks, clusters, and the services between the
// emulator's files.
#ifndef EMU_DEVICE_H
#define EMU_DEVICE_H
#include <cstdarg>
#include <memory>
#include <string>
#include <vector>
#include "control.h"
#include "checker.h"
#include "emu.h"
#include "fiber.h"
#include "include/cuda_runtime_api.h"

namespace emu {
struct Block;
struct Grid;
enum class State { READY, BLOCKED, DONE };

struct Copy {
    void *to;
    const void *from;
    unsigned bytes, from_bytes;
    const void *code; // the return address of the call that asked for it
};
struct Thread {
    ThreadView view{};
    uint3 index{};
    Fiber fiber;
    Block *block = nullptr;
    State state = State::DONE;
    bool spinning = false;
    const char *what = "", *file = ""; // what it waits in
    int line = 0;
    std::vector<std::vector<Copy>> copies; // committed groups, oldest first
    std::vector<Copy> uncommitted;
    bool cluster_arrived = false;
    bool fenced = false;        // by PTX, since its last relaxed arrival
    unsigned cluster_phase = 0; // that it arrived at
    ThreadClock clock;
};

struct Barrier { // of a block or of a cooperative grid
    unsigned arrived = 0, phase = 0;
    int count[2] = {0, 0}; // predicates, by the phase's last bit
    const char *file = "";
    int line = 0;
    std::vector<Thread *> waiting;
};
struct OpenCollective {
    unsigned mask = 0, arrived = 0, phase = 0;
    Collective operation = Collective::SYNC;
    const char *file = "";
    int line = 0;
    std::vector<Thread *> waiting;
    unsigned char slots[2][32 * SLOT];
};
struct Warp {
    unsigned alive = 0; // mask of lanes
    std::vector<std::unique_ptr<OpenCollective>> open;
};
struct SharedArray {
    const void *key; // NULL: the dynamic bytes
    unsigned char *data;
    size_t bytes;
};
struct Cluster {
    Grid *grid = nullptr;
    std::vector<std::unique_ptr<Block>> blocks;
    unsigned alive = 0; // threads
    unsigned arrived = 0, phase = 0;
    std::vector<Thread *> waiting;
    SplitClock clock;
};
struct Block {
    uint3 index{};
    unsigned rank = 0, alive = 0; // alive: threads
    Cluster *cluster = nullptr;
    std::vector<Thread *> threads;
    std::vector<Warp> warps;
    Barrier barrier;
    std::vector<SharedArray> shared; // the first is the dynamic one
    size_t static_bytes = 0;
    bool triggered = false; // dependent launches may start, as far as this block is concerned
};
struct Launch {
    dim3 size, block, cluster;
    size_t dynamic_bytes = 0;
    bool cooperative = false;
    bool dependent =
        false; // with programmatic serialization: may start before the launch before it has ended
    std::shared_ptr<const KernelCall> call;

    unsigned blocks() const { return size.x * size.y * size.z; }
    unsigned cluster_blocks() const { return cluster.x * cluster.y * cluster.z; }
    unsigned block_threads() const { return block.x * block.y * block.z; }
};
struct Grid {
    const Launch &launch;
    Grid *before;                // in the same chain; NULL: none
    uint64_t number = 0;         // of all launches
    std::vector<unsigned> order; // of clusters; those from next on have not started
    size_t next = 0;
    std::vector<std::unique_ptr<Cluster>> clusters; // with threads that have not ended
    unsigned blocks_left = 0, blocks_untriggered = 0, blocks_resident = 0;
    Barrier barrier;
    std::vector<Thread *> dependents; // threads of the next grid that wait for the end of this one
    std::vector<bool> starved;        // by a hash of block and warp: scheduled rarely

    Grid(const Launch &l, Grid *b) : launch(l), before(b) {}
    bool complete() const { return blocks_left == 0; }
};

extern __thread Thread *running; // of this thread of the system; NULL: host code

// ---- schedule.cpp ----
uint64_t random_number();
void make_ready(Thread *);
void yield();                                                // to any other, staying ready
void block_on(const char *what, const char *file, int line); // until somebody makes this thread ready
[[noreturn]] void abandon(); // by a thread: the chain of grids ends here; the error is reported
void run_chain(const std::vector<Launch> &); // in order; dependent ones overlap with the one before

// ---- grid.cpp ----
void grid_begin(Grid &, void (*thread_main)());
void grid_start_blocks(Grid &); // as many as may be resident
bool thread_ended(Thread *);    // cleans up behind it; false: it must not have ended, which is reported
void grid_abandon(Grid &);      // its threads never go on
std::string describe(const Thread *);
std::string describe_thread(const Launch &, unsigned id); // id: block * threads + index in the block

// ---- shared.cpp ----
void shared_begin(Block &, size_t dynamic_bytes);
void shared_end(Block &);

// ---- barriers.cpp ----
void cluster_thread_ended(Thread *);

// ---- errors.cpp ----
std::string format(const char *, ...) __attribute__((format(printf, 1, 2)));
// A finding: recorded and printed; the device fails with this error from the end of the launch on.
void report(cudaError_t, const std::string &);
[[noreturn]] void fatal(cudaError_t,
                        const std::string &); // by a thread: reports, and its chain of grids ends here
cudaError_t device_error();                   // sticky; cudaSuccess: none
cudaError_t remember(cudaError_t);            // for cudaGetLastError
} // namespace emu
#endif
