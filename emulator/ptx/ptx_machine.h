// What translated PTX is made of: its types, memory, and the instructions that C++ has no operator for. The
// lines of opcodes.txt call what is here.
#ifndef EMU_PTX_MACHINE_H
#define EMU_PTX_MACHINE_H
#include "include/cuda_runtime.h"
#include "mma.h"
#include "ptx/ptx_approximate.h"
#include "ptx/ptx_kernels.h"
#include "ptx/ptx_memory.h"

namespace ptx {
// ---- numbers: registers hold bits ----
inline f32 as_f32(u32 bits) {
    return __builtin_bit_cast(f32, bits);
}
inline f64 as_f64(u64 bits) {
    return __builtin_bit_cast(f64, bits);
}
inline u32 bits_of(f32 value) {
    return __builtin_bit_cast(u32, value);
}
inline u64 bits_of(f64 value) {
    return __builtin_bit_cast(u64, value);
}
inline u16x2 halves(u32 a) {
    return {{u16(a), u16(a >> 16)}};
}
inline u32 joined(u16x2 a) {
    return a.x[0] | u32(a.x[1]) << 16;
}
inline u32x2 halves(u64 a) {
    return {{u32(a), u32(a >> 32)}};
}
inline u64 joined(u32x2 a) {
    return a.x[0] | u64(a.x[1]) << 32;
}

// ---- integers ----
template <class T> T shift_left(T a, u32 by) {
    return by < 8 * sizeof(T) ? T(a << by) : T(0);
}
template <class T> T shift_right(T a, u32 by) {
    return by < 8 * sizeof(T) ? T(a >> by) : a < 0 ? T(-1) : T(0);
}
template <class T> T insert_bits(T a, T b, u32 position, u32 length) {
    const T mask = shift_left(T(shift_left(T(1), length) - 1), position);
    return (b & ~mask) | (shift_left(a, position) & mask);
}
inline u32 pick_bytes(u32 a, u32 b, u32 selector) {
    const u64 bytes = joined(u32x2{{a, b}});
    u32 picked = 0;
    for (u32 i = 0; i < 4; i++) {
        const u32 which = selector >> 4 * i & 15, byte = u32(bytes >> 8 * (which & 7)) & 0xFF;
        picked |= (which & 8 ? (byte & 0x80 ? 0xFF : 0) : byte) << 8 * i;
    }
    return picked;
}

// ---- floats ----
inline f32 saturate(f32 a) {
    return a > 0 ? (a < 1 ? a : 1) : 0; // NaN becomes 0
}
// Rounded towards minus infinity. The product is exact in double; the sum's error says where it lies.
inline f32 fma_down(f32 a, f32 b, f32 c) {
    const f64 product = f64(a) * f64(b), sum = product + f64(c);
    const f64 seen = sum - product, error = (product - (sum - seen)) + (f64(c) - seen);
    f32 near = f32(sum);
    if (std::isfinite(near) && (f64(near) > sum || (f64(near) == sum && error < 0)))
        near = std::nextafter(near, -HUGE_VALF);
    return near;
}
// Rounded towards zero.
inline f32 add_to_zero(f32 a, f32 b) {
    return a + b < 0 ? -fma_down(-a, 1, -b) : fma_down(a, 1, b);
}
// The smaller or larger; of a number and NaN the number.
inline f32 smaller(f32 a, f32 b) {
    return std::fmin(a, b);
}
inline f32 larger(f32 a, f32 b) {
    return std::fmax(a, b);
}
inline bool ordered(f32 a, f32 b) {
    return !(std::isnan(a) || std::isnan(b));
}

// ---- threads ----
inline void barrier(u32 number, const char *file, int line) {
    if (number) emu::trap("bar.sync of another barrier than 0", file, line);
    emu::block_barrier(file, line);
}
inline u32 barrier_count(u32 number, pred counted, const char *file, int line) {
    if (number) emu::trap("bar.red of another barrier than 0", file, line);
    return u32(emu::block_barrier_count(counted, file, line));
}
struct Shuffled {
    u32 data;
    pred flag;
};
enum class Lane { UP, DOWN, XOR, INDEX };
// clamp: the first or last lane of a segment in its low bits, the mask of segments in bits 8 to 12.
inline Shuffled shuffle(Lane how, u32 value, u32 by, u32 clamp, u32 mask, const char *file, int line) {
    const u32 lane = emu::self->lane, segments = clamp >> 8 & 31, bound = clamp & 31;
    const u32 first = lane & segments, last = first | (bound & ~segments);
    const u32 from = how == Lane::UP     ? lane - by
                     : how == Lane::DOWN ? lane + by
                     : how == Lane::XOR  ? lane ^ by
                                         : first | (by & ~segments);
    const bool inside = how == Lane::UP ? s32(from) >= s32(last) : from <= last;
    return {emu::shuffle(mask, value, inside ? from : lane, file, line), inside};
}
inline f32x4 multiply(emu::Operand kind, u32x4 a, u32x2 b, f32x4 c, const char *file, int line) {
    emu::mma(kind, c.x, a.x, b.x, file, line);
    return c;
}
} // namespace ptx
#endif
