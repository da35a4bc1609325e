/* cpu_engine.c: the fast CPU engines, one for each instruction set. */
#include "cpu_engine.h"

#include "cpu_backend.h"
#include "cpu_backward.h"
#include "cpu_features.h"
#include "cpu_forward.h"

/* The engines differ in their kernels alone: same variants, same packed weights, same bits. */
static const char *declines_feature(uint32_t feature, const char *missing) {
    return gru_cpu_features() & feature ? NULL : missing;
}

#define ENGINE(isa, declined)                                                                       \
    static const char *isa##_declines(const gru_context *context, const gru_layer_config *config) { \
        (void)context;                                                                              \
        (void)config;                                                                               \
        return declined;                                                                            \
    }                                                                                               \
    static gru_status isa##_forward(const gru_job *jobs, int32_t count) {                           \
        return gru_cpu_forward(&gru_cpu_kernels_##isa, jobs, count);                                \
    }                                                                                               \
    static gru_status isa##_backward(const gru_job *jobs, int32_t count) {                          \
        return gru_cpu_backward(&gru_cpu_kernels_##isa, jobs, count);                               \
    }                                                                                               \
    const gru_engine gru_engine_cpu_##isa = {                                                       \
        .name = "cpu_" #isa,                                                                        \
        .backend = &gru_backend_cpu,                                                                \
        .declines = isa##_declines,                                                                 \
        .workspace = gru_cpu_forward_workspace,                                                     \
        .backward_workspace = gru_cpu_backward_workspace,                                           \
        .forward = isa##_forward,                                                                   \
        .backward = isa##_backward,                                                                 \
    };

ENGINE(scalar, NULL)
#if defined(__x86_64__)
ENGINE(avx2, declines_feature(GRU_CPU_AVX2, "this processor has no AVX2 with FMA and F16C"))
ENGINE(avx512, declines_feature(GRU_CPU_AVX512, "this processor has no AVX-512"))
#elif defined(__aarch64__)
ENGINE(neon, declines_feature(GRU_CPU_NEON, "NEON is hidden"))
#endif
