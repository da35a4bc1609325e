// The life of a grid: clusters of blocks start in a random order, a few at a time, each with its threads and
// shared memory, and leave when their last thread has ended.
#include "emu_device.h"
#include <algorithm>

namespace emu {
static std::vector<Thread *> &pool = *new std::vector<Thread *>; // threads that wait for their next use

static Thread *new_thread(void (*main)()) {
    Thread *thread;
    if (pool.empty())
        thread = new Thread;
    else {
        thread = pool.back();
        pool.pop_back();
    }
    thread->copies.clear();
    thread->uncommitted.clear();
    thread->spinning = thread->cluster_arrived = thread->fenced = false;
    fiber_start(thread->fiber, main);
    return thread;
}
static uint3 coordinates(unsigned i, const dim3 &size) {
    return {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
}
static std::string name(const uint3 &block, const uint3 &thread) {
    return format("thread (%u,%u,%u) of block (%u,%u,%u)", thread.x, thread.y, thread.z, block.x, block.y,
                  block.z);
}
std::string describe(const Thread *thread) {
    return name(thread->block->index, thread->index);
}
std::string describe_thread(const Launch &launch, unsigned id) {
    const unsigned threads = launch.block_threads();
    return name(coordinates(id / threads, launch.size), coordinates(id % threads, launch.block));
}

static void (*entry)();
void grid_begin(Grid &grid, void (*thread_main)()) {
    const Launch &launch = grid.launch;
    entry = thread_main;
    grid.blocks_left = grid.blocks_untriggered = launch.blocks();
    grid.order.resize(launch.blocks() / launch.cluster_blocks());
    for (unsigned i = 0; i < grid.order.size(); i++) grid.order[i] = i;
    if (emu_option.order == EMU_LAST_IN_FIRST_OUT) std::reverse(grid.order.begin(), grid.order.end());
    if (emu_option.order == EMU_RANDOM) {
        for (size_t i = grid.order.size(); i > 1; i--)
            std::swap(grid.order[i - 1], grid.order[random_number() % i]);
        if (random_number() % 2) grid.starved.resize(17);
        for (size_t i = 0; i < grid.starved.size(); i++) grid.starved[i] = random_number() % 3 == 0;
    }
    checker_grid_begin(launch);
}

// Blocks of a cluster are numbered along its own dimensions, inside its place in the grid.
static uint3 block_index(const Launch &launch, unsigned cluster, unsigned rank) {
    const dim3 &c = launch.cluster;
    const uint3 at =
        coordinates(cluster, dim3(launch.size.x / c.x, launch.size.y / c.y, launch.size.z / c.z));
    const uint3 in = coordinates(rank, c);
    return {at.x * c.x + in.x, at.y * c.y + in.y, at.z * c.z + in.z};
}
static void start_block(Grid &grid, Cluster &cluster, unsigned number, unsigned rank) {
    const Launch &launch = grid.launch;
    auto block = std::make_unique<Block>();
    block->index = block_index(launch, number, rank);
    block->rank = rank;
    block->cluster = &cluster;
    block->alive = launch.block_threads();
    block->warps.resize((block->alive + 31) / 32);
    shared_begin(*block, launch.dynamic_bytes);
    const uint3 &b = block->index;
    const unsigned first = (b.z * launch.size.y + b.y) * launch.size.x + b.x;
    for (unsigned i = 0; i < block->alive; i++) {
        Thread *thread = new_thread(entry);
        thread->block = block.get();
        thread->index = coordinates(i, launch.block);
        thread->view = {i % 32, i / 32, i, rank, launch.cluster_blocks()};
        checker_thread(thread->clock, first * block->alive + i, launch.dependent && grid.before);
        block->warps[i / 32].alive |= 1u << i % 32;
        block->threads.push_back(thread);
        make_ready(thread);
    }
    cluster.alive += block->alive;
    cluster.blocks.push_back(std::move(block));
}
void grid_start_blocks(Grid &grid) {
    const unsigned together = grid.launch.cluster_blocks();
    const unsigned room = std::max(unsigned(emu_option.resident_blocks), together);
    while (grid.next < grid.order.size() &&
           (grid.launch.cooperative || grid.blocks_resident + together <= room)) {
        const unsigned number = grid.order[grid.next++];
        grid.clusters.push_back(std::make_unique<Cluster>());
        Cluster &cluster = *grid.clusters.back();
        cluster.grid = &grid;
        for (unsigned rank = 0; rank < together; rank++) start_block(grid, cluster, number, rank);
        grid.blocks_resident += together;
    }
}

static bool complain(const Thread *thread, const std::string &text) {
    report(cudaErrorLaunchFailure, text + ", by " + describe(thread));
    return false;
}
static bool may_end(const Thread *thread) {
    const Block *block = thread->block;
    if (fiber_overflowed(thread->fiber)) return complain(thread, "stack overflow in a kernel");
    if (block->barrier.arrived)
        return complain(thread, format("a thread returned while others wait in __syncthreads at %s:%d",
                                       block->barrier.file, block->barrier.line));
    for (const auto &open : block->warps[thread->view.warp].open)
        if (open->arrived && open->mask >> thread->view.lane & 1)
            return complain(
                thread, format("a lane returned while others wait for it at %s:%d", open->file, open->line));
    return true;
}
static void end_cluster(Grid &grid, Cluster *cluster) {
    for (auto &block : cluster->blocks) pool.insert(pool.end(), block->threads.begin(), block->threads.end());
    grid.blocks_resident -= unsigned(cluster->blocks.size());
    auto same = [cluster](const std::unique_ptr<Cluster> &c) { return c.get() == cluster; };
    grid.clusters.erase(std::find_if(grid.clusters.begin(), grid.clusters.end(), same));
}
bool thread_ended(Thread *thread) {
    Block *block = thread->block;
    Cluster *cluster = block->cluster;
    Grid &grid = *cluster->grid;
    if (!may_end(thread)) return false;
    block->warps[thread->view.warp].alive &= ~(1u << thread->view.lane);
    cluster_thread_ended(thread);
    if (--block->alive) return true;
    shared_end(*block);
    if (!block->triggered) grid.blocks_untriggered--;
    grid.blocks_left--;
    if (!cluster->alive) end_cluster(grid, cluster);
    return true;
}
// The frames on these stacks hold nothing that must be destroyed, so the stacks can be used again.
void grid_abandon(Grid &grid) {
    for (auto &cluster : grid.clusters)
        for (auto &block : cluster->blocks) {
            if (block->alive) shared_end(*block);
            pool.insert(pool.end(), block->threads.begin(), block->threads.end());
        }
    grid.clusters.clear();
}
} // namespace emu
