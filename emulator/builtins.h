// CUDA C++ as g++ does not know it: keywords, built-in variables, barriers, warp functions, atomics,
// arithmetic.
#ifndef EMU_BUILTINS_H
#define EMU_BUILTINS_H
#include <algorithm>
#include <cmath>
#include "emu.h"
#include "include/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __shared__ \
    static_assert(false, "shared memory only through the two macros: static storage is per process");

// Set at every switch, so constant for the thread that reads them. (No macros: cudaLaunchConfig_t has a
// gridDim.)
extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;
constexpr int warpSize = 32;

inline void __syncthreads(EMU_SITE) {
    emu::block_barrier(file, line);
}
inline int __syncthreads_count(int p, EMU_SITE) {
    return emu::block_barrier_count(p != 0, file, line);
}
inline int __syncthreads_or(int p, EMU_SITE) {
    return emu::block_barrier_count(p != 0, file, line) != 0;
}
inline int __syncthreads_and(int p, EMU_SITE) {
    return emu::block_barrier_count(p == 0, file, line) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_SITE) {
    emu::warp_collective(mask, emu::Collective::SYNC, nullptr, 0, file, line);
}
inline void __threadfence() {
    emu::fence();
}
inline void __threadfence_block() {
    emu::fence();
}
[[noreturn]] inline void __trap(EMU_SITE) {
    emu::trap("__trap()", file, line);
}
inline void __nanosleep(unsigned) {
    emu::spin_pause();
}

namespace emu {
template <class T> T shuffle(unsigned mask, T value, unsigned from, const char *file, int line) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "a shuffle of this type");
    if (!(mask >> from & 1)) trap("__shfl_sync reads a lane outside its mask", file, line);
    return lane_value<T>(warp_collective(mask, Collective::SHUFFLE, &value, sizeof value, file, line), from);
}
template <class T, class F> T warp_reduce(unsigned mask, T value, F join, const char *file, int line) {
    const unsigned char *slots = warp_collective(mask, Collective::REDUCE, &value, sizeof value, file, line);
    unsigned lane = unsigned(__builtin_ctz(mask));
    T sum = lane_value<T>(slots, lane);
    while (++lane < 32)
        if (mask >> lane & 1) sum = join(sum, lane_value<T>(slots, lane));
    return sum;
}
} // namespace emu

template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32, EMU_SITE) {
    const unsigned w = unsigned(width), first = emu::self->lane & ~(w - 1);
    return emu::shuffle(mask, v, first | (unsigned(from) & (w - 1)), file, line);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, EMU_SITE) {
    const unsigned w = unsigned(width), lane = emu::self->lane, from = lane ^ unsigned(bits);
    return emu::shuffle(mask, v, from / w > lane / w ? lane : from, file, line);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, EMU_SITE) {
    const unsigned w = unsigned(width), lane = emu::self->lane;
    return emu::shuffle(mask, v, (lane & (w - 1)) + by < w ? lane + by : lane, file, line);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, EMU_SITE) {
    const unsigned w = unsigned(width), lane = emu::self->lane;
    return emu::shuffle(mask, v, (lane & (w - 1)) >= by ? lane - by : lane, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_SITE) {
    const unsigned char *slots =
        emu::warp_collective(mask, emu::Collective::VOTE, &predicate, sizeof predicate, file, line);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1 && emu::lane_value<int>(slots, lane)) votes |= 1u << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int p, EMU_SITE) {
    return __ballot_sync(mask, p, file, line) != 0;
}
inline int __all_sync(unsigned mask, int p, EMU_SITE) {
    return __ballot_sync(mask, p, file, line) == mask;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned v, EMU_SITE) {
    return emu::warp_reduce(
        mask, v, [](unsigned a, unsigned b) { return a + b; }, file, line);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned v, EMU_SITE) {
    return emu::warp_reduce(
        mask, v, [](unsigned a, unsigned b) { return std::max(a, b); }, file, line);
}
inline unsigned __activemask() {
    emu::trap("__activemask() says nothing that a program may rely on");
}

template <class T> T atomicAdd(T *p, T v) {
    return emu::read_modify_write(p, [v](T old) { return T(old + v); });
}
template <class T> T atomicMax(T *p, T v) {
    return emu::read_modify_write(p, [v](T old) { return std::max(old, v); });
}
template <class T> T atomicMin(T *p, T v) {
    return emu::read_modify_write(p, [v](T old) { return std::min(old, v); });
}
template <class T> T atomicOr(T *p, T v) {
    return emu::read_modify_write(p, [v](T old) { return T(old | v); });
}
template <class T> T atomicExch(T *p, T v) {
    return emu::read_modify_write(p, [v](T) { return v; });
}
template <class T> T atomicCAS(T *p, T expected, T v) {
    return emu::read_modify_write(p, [expected, v](T old) { return old == expected ? v : old; });
}

template <class T> __forceinline__ T __ldg(const T *p) {
    return *p;
}
template <class T> __forceinline__ T __ldcg(const T *p) {
    return *p;
}
template <class T> __forceinline__ void __stcg(T *p, T v) {
    *p = v;
}

using std::max;
using std::min;
inline float __fmaf_rn(float a, float b, float c) {
    return std::fmaf(a, b, c);
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __frcp_rn(float a) {
    return 1.0f / a;
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline float __saturatef(float a) {
    return a > 0 ? (a < 1 ? a : 1) : 0;
} // NaN becomes 0, as on the device
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline int __clz(int x) {
    return x ? __builtin_clz(unsigned(x)) : 32;
}
inline float __int_as_float(int bits) {
    return __builtin_bit_cast(float, bits);
}
inline float __uint_as_float(unsigned bits) {
    return __builtin_bit_cast(float, bits);
}
inline int __float_as_int(float f) {
    return __builtin_bit_cast(int, f);
}
inline unsigned __float_as_uint(float f) {
    return __builtin_bit_cast(unsigned, f);
}
#define __expf(x) std::exp(float(x)) /* a macro, because glibc declares a function of this name */
#endif
