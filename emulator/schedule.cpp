// Who runs next: a seeded choice among the threads that are ready, deadlock and livelock found where nobody
// can go on, and the overlap of dependent launches.
#include "emu_device.h"
#include "emu_memory.h"
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>

// The built-in variables under their linker names: writable here, constant for kernels.
uint3 emu_thread_index __asm__("threadIdx"), emu_block_index __asm__("blockIdx");
dim3 emu_block_size __asm__("blockDim"), emu_grid_size __asm__("gridDim");

namespace emu {
__thread Thread *running = nullptr;
ThreadView *self = nullptr;

static Fiber host;
static std::vector<Thread *> ready;
static size_t spinners = 0;     // of them
static uint64_t idle_spins = 0; // since a thread did anything but spin
static bool abandoned = false;
static uint64_t random_state = 1, launches = 0;

uint64_t random_number() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545F4914F6CDD1Du >> 16;
}
static void seed_random() {
    random_state = (emu_option.seed + 0x9E3779B97F4A7C15u * (launches + 1)) | 1;
    for (int i = 0; i < 8; i++) random_number(); // small seeds differ in few bits
}

void make_ready(Thread *thread) {
    thread->state = State::READY;
    ready.push_back(thread);
}
static bool starved(const Thread *thread) {
    const std::vector<bool> &bits = thread->block->cluster->grid->starved;
    return !bits.empty() && bits[(thread->block->index.x * 37u + thread->view.warp) % bits.size()];
}
static size_t choose() {
    if (emu_option.order == EMU_FIRST_IN_FIRST_OUT) return 0;
    if (emu_option.order == EMU_LAST_IN_FIRST_OUT) {
        size_t i = ready.size() - 1;
        while (i && ready[i]->spinning) i--;
        return i;
    }
    for (int tries = 0;; tries++) { // spinning and starved threads are chosen rarely, but chosen
        const size_t i = size_t(random_number() % ready.size());
        if (tries == 3 || (!ready[i]->spinning && !starved(ready[i]))) return i;
    }
}
static Thread *pick() {
    if (ready.empty()) return nullptr;
    const size_t i = choose();
    Thread *thread = ready[i];
    if (emu_option.order == EMU_RANDOM) {
        ready[i] = ready.back();
        ready.pop_back();
    } else
        ready.erase(ready.begin() + long(i));
    return thread;
}

static void to_host() {
    fiber_switch(running->fiber, host);
}
void yield() {
    make_ready(running);
    to_host();
}
void block_on(const char *what, const char *file, int line) {
    running->state = State::BLOCKED;
    running->what = what;
    running->file = file;
    running->line = line;
    idle_spins = 0;
    to_host();
}
void abandon() {
    abandoned = true;
    to_host();
    std::abort(); // never scheduled again
}
void maybe_yield() {
    if (running && emu_option.order == EMU_RANDOM && random_number() % 4 == 0) yield();
}
static std::string who_waits(const std::deque<Grid> &grids) {
    std::map<std::string, std::pair<unsigned, const Thread *>> sites;
    for (const Grid &grid : grids)
        for (const auto &cluster : grid.clusters)
            for (const auto &block : cluster->blocks)
                for (const Thread *t : block->threads)
                    if (t->state == State::BLOCKED) {
                        auto &site = sites[format("%s at %s:%d", t->what, t->file, t->line)];
                        site.first++;
                        site.second = t;
                    }
    std::string text;
    for (const auto &[name, waits] : sites)
        text += format("; %u threads in %s, such as %s", waits.first, name.c_str(),
                       describe(waits.second).c_str());
    return text;
}
void spin_pause() {
    idle_spins = spinners == ready.size() ? idle_spins + 1 : 0;
    if (idle_spins > 2000 * (spinners + 1))
        fatal(cudaErrorLaunchFailure, format("livelock: %zu threads spin and no other can run, such as %s",
                                             spinners + 1, describe(running).c_str()));
    running->spinning = true;
    spinners++;
    yield();
    running->spinning = false;
    spinners--;
}
void trap(const char *what, const char *file, int line) {
    fatal(cudaErrorLaunchFailure, format("%s at %s:%d by %s", what, file, line, describe(running).c_str()));
}

static void thread_main() {
    (*running->block->cluster->grid->launch.call)();
    if (!running->uncommitted.empty()) copy_async_commit();
    copy_async_wait(0);
    running->state = State::DONE;
    to_host();
    std::abort();
}
static void run(Thread *thread) {
    const Launch &launch = thread->block->cluster->grid->launch;
    running = thread;
    self = &thread->view;
    emu_thread_index = thread->index;
    emu_block_index = thread->block->index;
    emu_block_size = launch.block;
    emu_grid_size = launch.size;
    fiber_switch(host, thread->fiber);
    running = nullptr;
    self = nullptr;
    if (thread->state != State::DONE) return;
    idle_spins = 0;
    if (!thread_ended(thread)) abandoned = true;
}

// A fault of the processor inside a kernel is a finding; elsewhere it is the program's own.
static void on_fault(int signal, siginfo_t *info, void *) {
    if (running) {
        reopen_device_memory(); // fatal() goes on with the other threads
        fatal(cudaErrorIllegalAddress, format("access to %p, which is no memory of the device, by %s",
                                              info->si_addr, describe(running).c_str()));
    }
    const char text[] = "emulator: host code touches memory of the device, or none at all\n";
    fputs(text, stderr);
    std::signal(signal, SIG_DFL);
}
static void catch_faults() {
    static char stack[64 << 10];
    stack_t area = {};
    area.ss_sp = stack;
    area.ss_size = sizeof stack;
    sigaltstack(&area, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}

// A chain is what a stream runs without anything between: a launch and the dependent ones behind it. In the
// checker build they run one after the other, and the clocks tell what may not be relied on.
namespace {
struct Chain {
    const std::vector<Launch> &launches_;
    std::deque<Grid> grids{}; // begun
    size_t ended = 0;
    bool overlap;

    bool may_begin() const {
        if (grids.size() == launches_.size()) return false;
        if (ended == grids.size()) return true;
        const Grid &last = grids.back();
        const bool open = last.next == last.order.size() && last.blocks_untriggered == 0;
        return overlap && launches_[grids.size()].dependent && open && grids.size() - ended < 3;
    }
    void advance() {
        for (; ended < grids.size() && grids[ended].complete(); ended++) {
            if (emu_is_checker) checker_grid_end();
            for (Thread *thread : grids[ended].dependents) make_ready(thread);
        }
        while (may_begin()) {
            Grid *before = grids.empty() ? nullptr : &grids.back();
            grids.emplace_back(launches_[grids.size()], before);
            grids.back().number = launches++;
            grid_begin(grids.back(), thread_main);
        }
        for (size_t i = ended; i < grids.size(); i++) grid_start_blocks(grids[i]);
    }
    void run_all() {
        for (advance(); ended < launches_.size() && !abandoned; advance()) {
            Thread *next = pick();
            if (!next) {
                report(cudaErrorLaunchFailure, "deadlock" + who_waits(grids));
                abandoned = true;
                break;
            }
            run(next);
        }
        if (abandoned)
            for (Grid &grid : grids) grid_abandon(grid);
    }
};
} // namespace

void run_chain(const std::vector<Launch> &launches_in_order) {
    static const bool caught = (catch_faults(), true);
    (void)caught;
    seed_random();
    ready.clear();
    spinners = 0;
    idle_spins = 0;
    abandoned = false;
    checker_chain_begin();
    Chain chain{launches_in_order, {}, 0, !emu_is_checker && random_number() % 4 != 0};
    chain.run_all();
    checker_chain_end();
    running = nullptr;
    self = nullptr;
}

void dependency_wait() {
    Grid *before = running->block->cluster->grid->before;
    checker_dependency_wait(running->clock);
    while (before && !before->complete()) {
        before->dependents.push_back(running);
        block_on("griddepcontrol.wait", "", 0);
    }
}
void dependency_trigger() {
    Block *block = running->block;
    if (block->triggered) return;
    block->triggered = true;
    block->cluster->grid->blocks_untriggered--;
    checker_dependency_trigger(running->clock);
    maybe_yield();
}
} // namespace emu

uint64_t emu_launches(void) {
    return emu::launches;
}
