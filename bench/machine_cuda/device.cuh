// device.cuh: the instructions that these measurements need and CUDA C++ does not name, each beside its twin
// for the emulator of tests/emu (CUDA_EMU).  SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_MACHINE_DEVICE_CUH
#define BENCH_MACHINE_DEVICE_CUH
#include <cuda_runtime.h>
#include <stdint.h>
#if defined(CUDA_EMU)
#include <mma.h> // the emulator's
#endif

// MACHINE_SHARED(float, sums, [8]); is an array of the block; MACHINE_DYNAMIC_SHARED(float, rows); the
// launch's bytes.
#if defined(CUDA_EMU)
#define MACHINE_SHARED(T, name, dims) \
    static char name##_key;           \
    using name##_type = T dims;       \
    name##_type &name = *static_cast<name##_type *>(emu::block_shared(&name##_key, sizeof(name##_type)))
#define MACHINE_DYNAMIC_SHARED(T, name) T *const name = static_cast<T *>(emu::dynamic_shared())
#define PTX inline
#else
#define MACHINE_SHARED(T, name, dims) __shared__ __align__(16) T name dims
#define MACHINE_DYNAMIC_SHARED(T, name)                                      \
    extern __shared__ __align__(128) unsigned char machine_dynamic_shared[]; \
    T *const name = reinterpret_cast<T *>(machine_dynamic_shared)
#define PTX __device__ __forceinline__
#endif

namespace machine {
#if defined(CUDA_EMU)
PTX unsigned load_acquire(const unsigned *p) {
    return emu::load_acquire(p);
}
PTX void store_release(unsigned *p, unsigned v) {
    emu::store_release(p, v);
}
// Four words, each of them whole; not all four at once.
PTX uint4 load_relaxed(const uint4 *p) {
    return {emu::load_relaxed(&p->x), emu::load_relaxed(&p->y), emu::load_relaxed(&p->z),
            emu::load_relaxed(&p->w)};
}
PTX void store_relaxed(uint4 *p, uint4 v) {
    __atomic_store_n(&p->x, v.x, __ATOMIC_RELAXED);
    emu::maybe_yield();
    __atomic_store_n(&p->y, v.y, __ATOMIC_RELAXED);
    __atomic_store_n(&p->z, v.z, __ATOMIC_RELAXED);
    __atomic_store_n(&p->w, v.w, __ATOMIC_RELAXED);
    emu::maybe_yield();
}
PTX void spin_pause() {
    emu::spin_pause();
}
PTX void dependency_wait() {
    emu::dependency_wait();
}
PTX void dependency_trigger() {
    emu::dependency_trigger();
}
PTX void cluster_arrive(EMU_SITE) {
    emu::cluster_arrive(file, line);
}
PTX void cluster_wait(EMU_SITE) {
    emu::cluster_wait(file, line);
}
PTX unsigned cluster_rank() {
    return emu::self->cluster_rank;
}
template <class T> PTX T *cluster_map(T *p, unsigned rank) {
    return static_cast<T *>(emu::map_shared_rank(p, rank));
}
PTX void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_SITE) {
    emu::mma(emu::Operand::BF16, d, a, b, file, line);
}
PTX uint4 load_stream(const uint4 *p) {
    return *p;
}
#else
PTX unsigned load_acquire(const unsigned *p) {
    unsigned v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
PTX void store_release(unsigned *p, unsigned v) {
    asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
PTX uint4 load_relaxed(const uint4 *p) {
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}
PTX void store_relaxed(uint4 *p, uint4 v) {
    asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y),
                 "r"(v.z), "r"(v.w)
                 : "memory");
}
PTX void spin_pause() {}
PTX uint4 load_stream(const uint4 *p) { // volatile: read again in each round; not kept in L1
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
PTX void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#if defined(__CUDA_ARCH__) && \
    __CUDA_ARCH__ < 900 // neither dependent launches nor clusters: never launched there
PTX void dependency_wait() {}
PTX void dependency_trigger() {}
PTX void cluster_arrive() {}
PTX void cluster_wait() {}
PTX unsigned cluster_rank() {
    return 0;
}
template <class T> PTX T *cluster_map(T *p, unsigned) {
    return p;
}
#else
PTX void dependency_wait() {
    asm volatile("griddepcontrol.wait;" ::: "memory");
}
PTX void dependency_trigger() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
PTX void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
PTX void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
PTX unsigned cluster_rank() {
    unsigned r;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}
template <class T> PTX T *cluster_map(T *p, unsigned rank) {
    uint64_t mapped;
    asm("mapa.u64 %0, %1, %2;" : "=l"(mapped) : "l"((uint64_t)p), "r"(rank));
    return (T *)mapped;
}
#endif
#endif
} // namespace machine
#undef PTX
#endif
