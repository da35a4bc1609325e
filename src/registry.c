/* registry.c: the list of backends and engines, best first: the only file that names them all. */
#include "registry.h"

#include "cpu/cpu_backend.h"
#include "cpu/cpu_engine.h"
#if defined(GRU_HAVE_CUDA)
#include "cuda/cuda_engine.h"
#endif

static const gru_backend *const backends[] = {
#if defined(GRU_HAVE_CUDA)
    &gru_backend_cuda,
#endif
    &gru_backend_cpu,
};

static const gru_engine *const engines[] = {
#if defined(GRU_HAVE_CUDA)
    &gru_engine_cuda_streaming,    &gru_engine_cuda_large_batch,
    &gru_engine_cuda_fused_before, &gru_engine_cuda_stepwise,
#endif
#if defined(__x86_64__)
    &gru_engine_cpu_avx512,        &gru_engine_cpu_avx2,
#elif defined(__aarch64__)
    &gru_engine_cpu_neon,
#endif
    &gru_engine_cpu_scalar,        &gru_engine_cpu_reference,
};

const gru_backend *gru_registry_backend(int32_t index) {
    const int32_t count = (int32_t)(sizeof backends / sizeof *backends);
    return index >= 0 && index < count ? backends[index] : NULL;
}

const gru_engine *gru_registry_engine(int32_t index) {
    const int32_t count = (int32_t)(sizeof engines / sizeof *engines);
    return index >= 0 && index < count ? engines[index] : NULL;
}

const gru_engine *gru_registry_reference(void) {
    return &gru_engine_cpu_reference;
}
