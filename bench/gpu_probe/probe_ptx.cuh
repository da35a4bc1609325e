// probe_ptx.cuh: the library's own instructions, so that they are what is measured, and three that only these
// measurements need, each beside its version for the emulator (CUDA_EMU).
// SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_MACHINE_PROBE_PTX_CUH
#define BENCH_MACHINE_PROBE_PTX_CUH
#include "cuda/kernels/cuda_ptx.cuh"

namespace gpu_probe {
#if defined(CUDA_EMU)
inline void store_release(unsigned *p, unsigned v) {
    emu::store_release(p, v);
}
// Four words, each of them whole; not all four at once.
inline uint4 load_relaxed(const uint4 *p) {
    return {emu::load_relaxed(&p->x), emu::load_relaxed(&p->y), emu::load_relaxed(&p->z),
            emu::load_relaxed(&p->w)};
}
inline void store_relaxed(uint4 *p, uint4 v) {
    __atomic_store_n(&p->x, v.x, __ATOMIC_RELAXED);
    emu::maybe_yield();
    __atomic_store_n(&p->y, v.y, __ATOMIC_RELAXED);
    __atomic_store_n(&p->z, v.z, __ATOMIC_RELAXED);
    __atomic_store_n(&p->w, v.w, __ATOMIC_RELAXED);
    emu::maybe_yield();
}
#else
GRU_DEVICE void store_release(unsigned *p, unsigned v) {
    asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
GRU_DEVICE uint4 load_relaxed(const uint4 *p) {
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}
GRU_DEVICE void store_relaxed(uint4 *p, uint4 v) {
    asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y),
                 "r"(v.z), "r"(v.w)
                 : "memory");
}
#endif
} // namespace gpu_probe
#endif
