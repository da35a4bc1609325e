// Memory as translated PTX reaches it: every access is checked for alignment and told to the checker. Shared
// addresses are offsets in the emulator's region of shared memory.
#ifndef EMU_PTX_MEMORY_H
#define EMU_PTX_MEMORY_H
#include "checker.h"
#include "emu.h"

namespace ptx {
using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using f32 = float;
using f64 = double;
using pred = bool;
template <class T, unsigned N> struct Vector { T x[N]; };
using u16x2 = Vector<u16, 2>;
using u32x2 = Vector<u32, 2>;
using u32x4 = Vector<u32, 4>;
using u64x2 = Vector<u64, 2>;
using f32x2 = Vector<f32, 2>;
using f32x4 = Vector<f32, 4>;

class Parameters { // of a launch; the same for all its threads
  public:
    Parameters(const unsigned char *data, size_t bytes) : start(data), size(bytes) {}
    u64 address() const { return reinterpret_cast<u64>(start); }
    bool has(u64 p) const { return p - address() < size; }

  private:
    const unsigned char *start;
    size_t size;
};

// ---- each names the instruction by the address that it returns to, so translated code calls it directly ----
enum class Through { L1, L2 };
void look_read(u64 p, unsigned bytes, Through);
void look_write(u64 p, unsigned bytes);
u32 load_acquire(u64 p);
u32 load_relaxed(u64 p);
void add_release(u64 p, u32 value);
void add_relaxed(u64 p, u32 value);
u32 compare_swap(u64 p, u32 expected, u32 value);
u32 fetch_add_release(u64 p, u32 value);
u32 fetch_add(u64 p, u32 value);
f32 fetch_add(u64 p, f32 value);
void copy_in_background(u32 to, u64 from, u32 bytes, const char *file, int line);
u32x4 load_matrices(u32 row, const char *file, int line);
u64 grid_workspace(); // of the driver: two words, the second for the barrier of a cooperative grid; others have none: 0
void release_fence();
void arrive_relaxed(const char *file, int line); // at a cluster's barrier: only after a fence

#define PTX_INLINE inline __attribute__((always_inline))
template <class T> PTX_INLINE T get(u64 p) {
    T value;
    __builtin_memcpy(&value, reinterpret_cast<const void *>(p), sizeof value);
    return value;
}
template <class T> PTX_INLINE void put(u64 p, T value) {
    __builtin_memcpy(reinterpret_cast<void *>(p), &value, sizeof value);
}
inline u64 shared_address(u32 offset) {
    return reinterpret_cast<u64>(emu::shared_window) + offset;
}
inline u32 shared_offset(u64 p) {
    return u32(p - reinterpret_cast<u64>(emu::shared_window));
}
inline u32 shared_array(const void *key, size_t bytes) {
    return shared_offset(reinterpret_cast<u64>(emu::block_shared(key, bytes)));
}
inline u32 shared_of_launch() {
    return shared_offset(reinterpret_cast<u64>(emu::dynamic_shared()));
}

template <class T> PTX_INLINE T load(u64 p) {
    look_read(p, sizeof(T), Through::L1);
    return get<T>(p);
}
template <class T> PTX_INLINE T load_l2(u64 p) {
    look_read(p, sizeof(T), Through::L2);
    return get<T>(p);
}
template <class T> PTX_INLINE T load_shared(u32 offset) {
    const u64 p = shared_address(offset);
    look_read(p, sizeof(T), Through::L2);
    return get<T>(p);
}
template <class T> PTX_INLINE T load_generic(u64 p, const Parameters &parameters) {
    if (!parameters.has(p)) look_read(p, sizeof(T), Through::L1);
    return get<T>(p);
}
template <class T> PTX_INLINE void store(u64 p, T value) {
    look_write(p, sizeof(T));
    put(p, value);
}
template <class T> PTX_INLINE void store_shared(u32 offset, T value) {
    const u64 p = shared_address(offset);
    look_write(p, sizeof(T));
    put(p, value);
}
inline u64 mapped(u64 p, u32 rank) {
    return reinterpret_cast<u64>(emu::map_shared_rank(reinterpret_cast<const void *>(p), rank));
}
} // namespace ptx
#endif
