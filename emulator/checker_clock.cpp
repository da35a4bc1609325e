// What happened before what: vector clocks of the threads of a grid, and which grids of a chain may overlap.
#include "checker_state.h"
#include <algorithm>
#include <map>
#include <unordered_map>

const int emu_is_checker = 1;

namespace emu {
uint32_t checker_grid = 0;
static std::vector<GridFacts> &grid_facts = *new std::vector<GridFacts>(1);
static uint64_t chain = 0;
static size_t threads = 0; // of the grid
static std::shared_ptr<const Clock> nothing_seen;
static std::unordered_map<uintptr_t, Clock> &released_at =
    *new std::unordered_map<uintptr_t, Clock>; // by atomics

GridFacts &checker_facts(uint32_t grid) {
    return grid_facts[grid];
}

// ---- grids ----
void checker_chain_begin() {
    chain++;
    checker_clear_reports();
}
void checker_chain_end() {
    checker_unseen_stores();
}
void checker_grid_begin(const Launch &launch) {
    const uint32_t grid = ++checker_grid;
    grid_facts.push_back({});
    GridFacts &now = grid_facts[grid];
    const GridFacts &before = grid_facts[grid - 1];
    now.chain = chain;
    now.dependent = launch.dependent && before.chain == chain;
    now.open_from = !now.dependent         ? grid
                    : !before.dependent    ? grid - 1
                    : before.early_trigger ? before.open_from
                                           : grid - 1;
    threads = size_t(launch.blocks()) * launch.block_threads();
    nothing_seen = std::make_shared<Clock>(threads, 0u);
    released_at.clear();
}
void checker_grid_end() {
    checker_unseen_stores();
}
void checker_dependency_wait(ThreadClock &thread) {
    thread.before_wait = false;
    grid_facts[checker_grid].waited = true;
}
void checker_dependency_trigger(const ThreadClock &thread) {
    if (thread.before_wait) grid_facts[checker_grid].early_trigger = true;
}
// After its wait a thread knows that the grid before has ended, and of older ones what that grid knew when
// it ended.
bool checker_unfinished(uint32_t grid, const ThreadClock &thread) {
    const GridFacts &now = grid_facts[checker_grid];
    if (grid >= checker_grid || grid_facts[grid].chain != now.chain) return false;
    if (thread.before_wait) return grid >= now.open_from;
    if (!now.dependent || grid == checker_grid - 1) return false;
    const GridFacts &before = grid_facts[checker_grid - 1];
    return before.dependent && !before.waited && grid >= before.open_from;
}

// ---- threads ----
void checker_thread(ThreadClock &thread, uint32_t id, bool dependent) {
    thread = {};
    thread.base = nothing_seen;
    thread.id = id;
    thread.before_wait = dependent;
}
bool checker_ordered(const Access4 &access, const ThreadClock &thread) {
    return access.thread == thread.id || access.epoch <= (*thread.base)[access.thread];
}
static void join(Clock &into, const Clock &from) {
    for (size_t i = 0; i < into.size(); i++) into[i] = std::max(into[i], from[i]);
}
static std::shared_ptr<Clock> joined(const std::vector<SplitClock::Arrival> &arrivals) {
    auto all = std::make_shared<Clock>(*arrivals[0].base);
    const Clock *last = arrivals[0].base.get();
    for (const auto &arrival : arrivals)
        if (arrival.base.get() != last) {
            last = arrival.base.get();
            join(*all, *last);
        }
    for (const auto &arrival : arrivals) (*all)[arrival.id] = std::max((*all)[arrival.id], arrival.epoch);
    return all;
}
void checker_meet(const std::vector<ThreadClock *> &who) {
    std::vector<SplitClock::Arrival> arrivals;
    for (ThreadClock *thread : who) arrivals.push_back({thread->base, thread->id, thread->epoch++});
    const std::shared_ptr<const Clock> all = joined(arrivals);
    for (ThreadClock *thread : who) thread->base = all;
}
void checker_split_arrive(SplitClock &barrier, ThreadClock &thread) {
    barrier.arrivals.push_back({thread.base, thread.id, thread.epoch++});
}
void checker_split_complete(SplitClock &barrier) {
    barrier.complete = joined(barrier.arrivals);
    barrier.arrivals.clear();
}
static void acquire(ThreadClock &thread, const Clock &from) {
    for (size_t i = 0; i < from.size(); i++)
        if (from[i] > (*thread.base)[i]) {
            auto own = std::make_shared<Clock>(*thread.base);
            join(*own, from);
            thread.base = own;
            return;
        }
}
void checker_split_wait(const SplitClock &barrier, ThreadClock &thread) {
    const bool same = std::equal(thread.base->begin(), thread.base->end(), barrier.complete->begin(),
                                 [](uint32_t own, uint32_t other) { return own <= other; });
    if (same)
        thread.base = barrier.complete; // shared again
    else
        acquire(thread, *barrier.complete);
}

// ---- fences and atomics, as in C++: a fence before a relaxed atomic releases, one after it acquires ----
static Clock own_clock(const ThreadClock &thread) {
    Clock clock = *thread.base;
    clock[thread.id] = thread.epoch;
    return clock;
}
void checker_fence(ThreadClock &thread) {
    if (thread.unacquired) {
        acquire(thread, *thread.unacquired);
        thread.unacquired.reset();
    }
    thread.released = std::make_shared<Clock>(own_clock(thread));
    thread.epoch++;
}
static void take(ThreadClock &thread, const Clock &from, bool acquires) {
    if (acquires) return acquire(thread, from);
    if (!thread.unacquired) thread.unacquired = std::make_shared<Clock>(threads, 0u);
    join(*thread.unacquired, from);
}
static void give(ThreadClock &thread, Clock &to, bool releases) {
    if (releases) {
        join(to, own_clock(thread));
        thread.epoch++;
    } else if (thread.released)
        join(to, *thread.released);
}
void checker_atomic(const volatile void *address, size_t bytes, AtomicAccess kind, int order,
                    const void *code) {
    const void *p = const_cast<const void *>(address);
    if (!running) return;
    checker_check({p, bytes, kind != AtomicAccess::LOAD, true, checker_code(code)});
    if (!checker_region(p)) return;
    Clock &at = released_at[reinterpret_cast<uintptr_t>(p)];
    if (at.empty()) at.assign(threads, 0);
    const bool acquires = order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME || order >= __ATOMIC_ACQ_REL;
    const bool releases = order == __ATOMIC_RELEASE || order >= __ATOMIC_ACQ_REL;
    if (kind != AtomicAccess::STORE) take(running->clock, at, acquires);
    if (kind == AtomicAccess::STORE) std::fill(at.begin(), at.end(), 0u); // ends the release sequence
    if (kind != AtomicAccess::LOAD) give(running->clock, at, releases);
}
} // namespace emu
