/* cuda_ptx.cuh: one wrapper for every PTX instruction that kernels use, and beside it its stand-in for the emulator (CUDA_EMU);
 * and the two macros that declare shared memory. */
#ifndef GRU_CUDA_PTX_CUH
#define GRU_CUDA_PTX_CUH
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>
#if defined(CUDA_EMU)
#include "mma.h"
#endif

#define GRU_DEVICE __device__ __forceinline__
#if defined(CUDA_EMU)
#define GRU_UNROLL
#else
#define GRU_UNROLL _Pragma("unroll")
#endif

// The statement behind GRU_FAULT_POINT(name) is left out in a copy that tests/mutation makes: a test must notice it.
#define GRU_FAULT_POINT(name)

// GRU_SHARED(float, sums, [8][16]); is an array of the block; GRU_DYNAMIC_SHARED(float, rows); the launch's
// bytes.
#if defined(CUDA_EMU)
#define GRU_SHARED(T, name, dims) \
    static char name##_key;       \
    using name##_type = T dims;   \
    name##_type &name = *static_cast<name##_type *>(emu::block_shared(&name##_key, sizeof(name##_type)))
#define GRU_DYNAMIC_SHARED(T, name) T *const name = static_cast<T *>(emu::dynamic_shared())
#define PTX inline
#else
#define GRU_SHARED(T, name, dims) __shared__ __align__(16) T name dims
#define GRU_DYNAMIC_SHARED(T, name)                                      \
    extern __shared__ __align__(128) unsigned char gru_dynamic_shared[]; \
    T *const name = reinterpret_cast<T *>(gru_dynamic_shared)
#define PTX __device__ __forceinline__
#endif

#if defined(CUDA_EMU)
// ---- order ----
PTX unsigned load_acquire(const unsigned *p) {
    return emu::load_acquire(p);
}
PTX void add_release(unsigned *p, unsigned v) {
    emu::add_release(p, v);
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
PTX void cluster_arrive_shared(EMU_SITE) {
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
// ---- arithmetic ----
PTX float tanh_approx(float x) {
    return emu::tanh_approx(x);
}
PTX uint32_t tf32_round(float x) {
    return emu::tf32_from_f32(x);
}
PTX void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_SITE) {
    emu::mma(emu::Operand::F16, d, a, b, file, line);
}
PTX void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_SITE) {
    emu::mma(emu::Operand::BF16, d, a, b, file, line);
}
PTX void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_SITE) {
    emu::mma(emu::Operand::TF32, d, a, b, file, line);
}
// ---- memory ----
PTX void load_matrix(uint32_t (&r)[4], const void *row, EMU_SITE) {
    emu::load_matrix(r, row, file, line);
}
PTX uint4 load_stream(const uint4 *p) {
    return *p;
}
PTX uint4 load_shared_stream(const uint4 *p) {
    return *p;
}
PTX void copy_async16(void *shared, const void *global, EMU_SITE) {
    emu::copy_async(shared, global, 16, 16, file, line);
}
PTX void copy_async_commit() {
    emu::copy_async_commit();
}
template <int LEFT> PTX void copy_async_wait() {
    emu::copy_async_wait(LEFT);
}

#else
PTX unsigned load_acquire(const unsigned *p) {
    unsigned v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
PTX void add_release(unsigned *p, unsigned v) {
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
PTX void spin_pause() {}
PTX float tanh_approx(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// Read once per launch: kept out of L1. Not .nc: ptxas moves such loads after griddepcontrol.wait, where they wait too.
PTX uint4 load_stream(const uint4 *p) {
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
// Read by two warps of the block, soon after each other: the second finds it in L1.
PTX uint4 load_shared_stream(const uint4 *p) {
    uint4 v;
    asm volatile("ld.global.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
PTX uint32_t tf32_round(float x) {
    uint32_t y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}
#define MMA(NAME, SHAPE)                                                                                \
    PTX void NAME(float(&d)[4], const uint32_t(&a)[4], const uint32_t(&b)[2]) {                         \
        asm volatile("mma.sync.aligned." SHAPE " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                   \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));               \
    }
MMA(mma_f16, "m16n8k16.row.col.f32.f16.f16.f32")
MMA(mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA(mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef MMA
PTX void load_matrix(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}
PTX void copy_async16(void *shared, const void *global) {
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
        "l"(global)
        : "memory");
}
PTX void copy_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int LEFT> PTX void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
/* Devices before 9.0 have neither dependent launches nor clusters; the host asks for none. */
PTX void dependency_wait() {}
PTX void dependency_trigger() {}
PTX void cluster_arrive() {}
PTX void cluster_arrive_shared() {}
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
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
// Orders accesses to shared memory alone. A plain arrival also waits until stores to global memory are visible to all.
PTX void cluster_arrive_shared() {
    asm volatile("fence.release.sync_restrict::shared::cta.cluster;\n\t"
                 "barrier.cluster.arrive.relaxed;" ::
                     : "memory");
}
PTX void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
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

// 16-bit stores as plain integers: the checker does not see the store of a class that a call returns.
PTX void store_bits16(void *p, unsigned short bits) {
    *static_cast<unsigned short *>(p) = bits;
}
#undef PTX
#endif
