// A range of addresses that allocations are cut from. Freed addresses are reused late, so that a pointer kept
// too long does not point into a new allocation.
#ifndef EMU_REGION_H
#define EMU_REGION_H
#include <cstddef>
#include <deque>
#include <map>
#include <utility>

namespace emu {
class Region {
  public:
    const size_t capacity;

    Region(size_t bytes, bool hidden_from_the_host) : capacity(bytes), hidden(hidden_from_the_host) {}
    bool holds(const void *) const;
    void open() const; // a hidden region to this thread, all that was ever cut
    void close() const;
    unsigned char *take(size_t bytes); // NULL: no room
    void give(unsigned char *, size_t bytes);
    size_t available() const { return capacity - used; } // at the end; what was given back is not counted

  private:
    static constexpr size_t RESTING = size_t(1) << 20; // bytes

    const bool hidden;
    unsigned char *base = nullptr;
    int key = -1; // of protection
    size_t used = 0, resting_bytes = 0;
    std::deque<std::pair<unsigned char *, size_t>> resting{}; // the oldest first
    std::map<unsigned char *, size_t> free{};                 // no two of them touch

    void map();
    unsigned char *first_fit(size_t bytes);
    unsigned char *grow(size_t bytes);
    void free_oldest();
};
} // namespace emu
#endif
