// Which bytes exist, which were ever written, and whether memory changed by a store that the compiler's hooks
// did not show.
#include "checker_state.h"
#include "emu_memory.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace emu {
static WatchedRegion regions[4];
static int region_count = 0;

template <class T> static T *reserve(size_t n) {
    void *p = mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("emulator: the checker's memory");
        abort();
    }
    return static_cast<T *>(p);
}
void checker_watch(void *region, size_t bytes) {
    regions[region_count++] = {static_cast<unsigned char *>(region), bytes, reserve<Word>(bytes / 4),
                               reserve<unsigned char>(bytes)};
}
WatchedRegion *checker_region(const void *p) {
    for (int i = 0; i < region_count; i++)
        if (size_t(static_cast<const unsigned char *>(p) - regions[i].base) < regions[i].bytes)
            return &regions[i];
    return nullptr;
}

// Calls visit(word, mask of its bytes) for every word of a range.
template <class F> static void each_word(const void *p, size_t bytes, F visit) {
    WatchedRegion *region = checker_region(p);
    if (!region || !bytes) return;
    const size_t first = size_t(static_cast<const unsigned char *>(p) - region->base), end = first + bytes;
    for (size_t word = first / 4; word * 4 < end; word++) {
        unsigned mask = 15;
        if (word * 4 < first) mask &= 15u << (first - word * 4);
        if (word * 4 + 4 > end) mask &= 15u >> (word * 4 + 4 - end);
        visit(region->words[word], mask);
    }
}
void checker_allocated(const void *p, size_t bytes) {
    each_word(p, bytes, [](Word &word, unsigned mask) {
        word.owned |= mask;
        word.written &= ~mask;
    });
    WatchedRegion *region = checker_region(p);
    if (bytes) memset(region->mirror + (static_cast<const unsigned char *>(p) - region->base), 0xFF, bytes);
}
void checker_freed(const void *p, size_t bytes) {
    each_word(p, bytes, [](Word &word, unsigned mask) { word.owned &= ~mask; });
}
void checker_clear(const void *p, size_t bytes) {
    each_word(p, bytes, [](Word &word, unsigned) {
        memset(word.last, 0, sizeof word.last);
        word.write_grid = word.read_grid = 0;
    });
}
void checker_wrote(const void *p, size_t bytes) {
    WatchedRegion *region = checker_region(p);
    if (!region) return;
    each_word(p, bytes, [](Word &word, unsigned mask) { word.written |= mask; });
    memcpy(region->mirror + (static_cast<const unsigned char *>(p) - region->base), p, bytes);
}
bool checker_read(const void *p, size_t bytes, const char *what) {
    bool whole = true;
    each_word(p, bytes, [&whole](Word &word, unsigned mask) { whole &= (word.written & mask) == mask; });
    if (!whole)
        report(cudaErrorLaunchFailure,
               format("%s reads memory that was never written, in %zu bytes at %p", what, bytes, p));
    return whole;
}

static void unseen(const void *p) {
    report(cudaErrorLaunchFailure, format("a store at %p that the checker did not see: store plain integers "
                                          "(store_bits16), no class that a call "
                                          "returns",
                                          p));
}
static void find_unseen(const Word *words, const unsigned char *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != 0xFF && !(words[i / 4].written >> i % 4 & 1)) return unseen(p + i); // one is enough
}
// Other blocks of the cluster may have used this memory only before the block's last thread ended.
static void find_late_use(const Block &block, const Word *words, size_t bytes) {
    std::vector<ThreadClock *> ended;
    for (Thread *thread : block.threads) ended.push_back(&thread->clock);
    checker_meet(ended);
    const unsigned threads = unsigned(block.threads.size()), first = ended[0]->id;
    for (size_t i = 0; i * 4 < bytes; i++)
        for (const Access4 &access : words[i].last)
            if (access.grid == checker_grid && access.thread - first >= threads &&
                !checker_ordered(access, *ended[0])) {
                report(cudaErrorLaunchFailure,
                       format("block (%u,%u,%u) ends while %s may still use its shared memory", block.index.x,
                              block.index.y, block.index.z,
                              describe_thread(block.cluster->grid->launch, access.thread).c_str()));
                return;
            }
}
void checker_block_ended(const Block &block, const void *shared, size_t bytes) {
    const unsigned char *p = static_cast<const unsigned char *>(shared);
    const WatchedRegion *region = checker_region(p);
    const Word *words = &region->words[size_t(p - region->base) / 4];
    find_unseen(words, p, bytes);
    if (block.cluster->blocks.size() > 1 && !block.alive) find_late_use(block, words, bytes);
}
static void compare_with_mirror(const void *data, size_t bytes) {
    const unsigned char *p = static_cast<const unsigned char *>(data);
    WatchedRegion *region = checker_region(p);
    unsigned char *mirror = region->mirror + (p - region->base);
    const void *found = nullptr;
    constexpr size_t PIECE = 4096;
    for (size_t from = 0; from < bytes; from += PIECE) {
        const size_t n = bytes - from < PIECE ? bytes - from : PIECE;
        if (memcmp(p + from, mirror + from, n) == 0) continue;
        for (size_t i = from; i < from + n && !found; i++)
            if (p[i] != mirror[i] &&
                region->words[size_t(p + i - region->base) / 4].write_grid != checker_grid)
                found = p + i;
        memcpy(mirror + from, p + from, n);
    }
    if (found) unseen(found);
}
void checker_unseen_stores() {
    visit_allocations(compare_with_mirror);
}
} // namespace emu
