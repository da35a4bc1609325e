// Barriers of blocks, cooperative grids and clusters, and fences: who waits for whom, and what the checker
// learns.
#include "emu_device.h"
#include <cstring>

namespace emu {
static void meet(Barrier &barrier, unsigned want, const char *what, const char *file, int line) {
    if (barrier.arrived == 0) {
        barrier.file = file;
        barrier.line = line;
    } else if (barrier.line != line || strcmp(barrier.file, file) != 0)
        fatal(cudaErrorLaunchFailure,
              format("divergent %s: some threads wait at %s:%d, and %s comes to %s:%d", what, barrier.file,
                     barrier.line, describe(running).c_str(), file, line));
    const unsigned phase = barrier.phase;
    barrier.waiting.push_back(running);
    if (++barrier.arrived < want) {
        while (barrier.phase == phase) block_on(what, file, line);
        return;
    }
    barrier.arrived = 0;
    barrier.phase++;
    barrier.count[barrier.phase & 1] = 0;
    std::vector<ThreadClock *> clocks;
    for (Thread *thread : barrier.waiting) {
        clocks.push_back(&thread->clock);
        if (thread != running) make_ready(thread);
    }
    barrier.waiting.clear();
    checker_meet(clocks);
    if (emu_option.order != EMU_FIRST_IN_FIRST_OUT)
        yield(); // the last to come is not always the first to go on
}
static void meet_block(const char *file, int line) {
    Block *block = running->block;
    const unsigned threads = unsigned(block->threads.size());
    if (block->alive < threads)
        fatal(cudaErrorLaunchFailure, format("__syncthreads at %s:%d after %u of %u threads have returned",
                                             file, line, threads - block->alive, threads));
    meet(block->barrier, threads, "__syncthreads", file, line);
}
void block_barrier(const char *file, int line) {
    meet_block(file, line);
}
int block_barrier_count(int predicate, const char *file, int line) {
    int *count = &running->block->barrier.count[running->block->barrier.phase & 1];
    *count += predicate;
    meet_block(file, line);
    return *count;
}
void grid_barrier(const char *file, int line) {
    Grid *grid = running->block->cluster->grid;
    if (!grid->launch.cooperative) trap("grid.sync() in a launch that is not cooperative", file, line);
    if (grid->blocks_left < grid->launch.blocks()) trap("grid.sync() after a block has ended", file, line);
    meet(grid->barrier, grid->launch.blocks() * grid->launch.block_threads(), "grid.sync", file, line);
}

static void cluster_complete(Cluster *cluster) {
    cluster->arrived = 0;
    cluster->phase++;
    checker_split_complete(cluster->clock);
    for (Thread *thread : cluster->waiting) make_ready(thread);
    cluster->waiting.clear();
}
void cluster_arrive(const char *file, int line) {
    Cluster *cluster = running->block->cluster;
    if (running->cluster_arrived) trap("barrier.cluster.arrive twice without a wait", file, line);
    running->cluster_arrived = true;
    running->cluster_phase = cluster->phase;
    checker_split_arrive(cluster->clock, running->clock);
    if (++cluster->arrived == cluster->alive) cluster_complete(cluster);
    maybe_yield();
}
void cluster_wait(const char *file, int line) {
    Cluster *cluster = running->block->cluster;
    if (!running->cluster_arrived) trap("barrier.cluster.wait without an arrive", file, line);
    while (cluster->phase == running->cluster_phase) {
        cluster->waiting.push_back(running);
        block_on("barrier.cluster.wait", file, line);
    }
    running->cluster_arrived = false;
    checker_split_wait(cluster->clock, running->clock);
    maybe_yield();
}
// A thread that has returned is not waited for.
void cluster_thread_ended(Thread *thread) {
    Cluster *cluster = thread->block->cluster;
    cluster->alive--;
    if (thread->cluster_arrived && thread->cluster_phase == cluster->phase) cluster->arrived--;
    if (cluster->alive && cluster->arrived == cluster->alive) cluster_complete(cluster);
}

void fence() {
    checker_fence(running->clock);
}
} // namespace emu
