/* cpu_engine.c: the fast CPU engines, one for each instruction set. */
#include "cpu_engine.h"

#include "cpu_backend.h"
#include "cpu_backward.h"
#include "cpu_features.h"
#include "cpu_forward.h"
#include "cpu_isa.h"
#include "cpu_schedule.h"
#include "cpu_streaming.h"

/* The engines differ in their kernels alone: same variants, same packed weights, same bits. */
static const char *declines(const gru_engine *self, const gru_context *context,
                            const gru_layer_config *config) {
    const gru_cpu_isa *isa = self->impl;
    (void)context, (void)config;
    return gru_cpu_features() & isa->feature ? NULL : isa->missing;
}

/* A streaming step needs no schedule, which would take as long as its arithmetic. */
static const char *plan_call(const gru_job *jobs, gru_plan *plan) {
    const gru_layer *layer = jobs[0].layer;
    const gru_run *run = jobs[0].run;
    gru_cpu_call_plan *own = (gru_cpu_call_plan *)(void *)plan->own;
    own->streaming = plan->pass == GRU_PASS_FORWARD && gru_cpu_streaming_fits(layer, run);
    if (own->streaming) return NULL;
    own->apart = gru_cpu_worth_jobs(jobs, plan->count);
    own->schedule = gru_cpu_schedule_for(run->T, run->N, layer->config.inputs, layer->config.hidden,
                                         layer->context->config.threads);
    return NULL;
}

/* ---- each pass in f32 or in f64 ---- */

static int is_f64(const gru_layer *layer) {
    return layer->config.io_type == GRU_F64;
}

static size_t forward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    return is_f64(layer) ? gru_cpu_forward_workspace_f64(layer, T, N)
                         : gru_cpu_forward_workspace(layer, T, N);
}

static size_t backward_workspace(const gru_layer *layer, int64_t T, int64_t N) {
    return is_f64(layer) ? gru_cpu_backward_workspace_f64(layer, T, N)
                         : gru_cpu_backward_workspace(layer, T, N);
}

static gru_status forward(const gru_job *jobs, const gru_plan *plan) {
    if (!gru_cpu_plan_of(plan)->streaming)
        return is_f64(jobs[0].layer) ? gru_cpu_forward_f64(jobs, plan) : gru_cpu_forward(jobs, plan);
    for (int32_t i = 0; i < plan->count; i++)
        gru_cpu_streaming_step(plan->engine, jobs[i].layer, jobs[i].run);
    return GRU_OK;
}

static gru_status backward(const gru_job *jobs, const gru_plan *plan) {
    return is_f64(jobs[0].layer) ? gru_cpu_backward_f64(jobs, plan) : gru_cpu_backward(jobs, plan);
}

static const gru_engine_pass passes[GRU_PASSES] = {
    [GRU_PASS_FORWARD] = {forward_workspace, plan_call, forward},
    [GRU_PASS_BACKWARD] = {backward_workspace, plan_call, backward},
};

/* ---- the engines ---- */

/* What the second compilation of cpu_kernels.h calls gru_cpu_kernels. */
struct gru_cpu_kernels_f64;
extern const struct gru_cpu_kernels_f64 gru_cpu_kernels_scalar_f64, gru_cpu_kernels_avx2_f64,
    gru_cpu_kernels_avx512_f64, gru_cpu_kernels_neon_f64;

/* The C library's fma in software takes 150 ns, where cpu_reference needs 5 for a product and a sum. */
static const char *scalar_declines(const gru_engine *self, const gru_context *context,
                                   const gru_layer_config *config) {
#if !defined(__FP_FAST_FMA)
    if (config->io_type == GRU_F64 && !context->config.engine)
        return "without an instruction for fused multiply-add it runs f64 only where the context names it";
#endif
    return declines(self, context, config);
}

static const gru_cpu_isa scalar = {
    .kernels = &gru_cpu_kernels_scalar,
    .kernels_f64 = &gru_cpu_kernels_scalar_f64,
    .int8 = &gru_cpu_int8_scalar,
};
const gru_engine gru_engine_cpu_scalar = {
    .name = "cpu_scalar",
    .backend = &gru_backend_cpu,
    .impl = &scalar,
    .passes = passes,
    .any_size = 1,
    .has_f64 = 1,
    .has_int8 = 1,
    .declines = scalar_declines,
    .prepare_step = gru_cpu_prepare_step,
};

#if defined(__x86_64__)
static const gru_cpu_isa avx2 = {
    .kernels = &gru_cpu_kernels_avx2,
    .kernels_f64 = &gru_cpu_kernels_avx2_f64,
    .int8 = &gru_cpu_int8_avx2,
    .feature = GRU_CPU_AVX2,
    .missing = "this processor has no AVX2 with FMA and F16C",
};
const gru_engine gru_engine_cpu_avx2 = {
    .name = "cpu_avx2",
    .backend = &gru_backend_cpu,
    .impl = &avx2,
    .passes = passes,
    .any_size = 1,
    .has_f64 = 1,
    .has_int8 = 1,
    .declines = declines,
    .prepare_step = gru_cpu_prepare_step,
};

static const gru_cpu_isa avx512 = {
    .kernels = &gru_cpu_kernels_avx512,
    .kernels_f64 = &gru_cpu_kernels_avx512_f64,
    .int8 = &gru_cpu_int8_avx512,
    .int8_dots = &gru_cpu_int8_avx512_vnni,
    .int8_dots_feature = GRU_CPU_AVX512_VNNI,
    .bf16 = &gru_cpu_bf16_avx512,
    .bf16_feature = GRU_CPU_AVX512_BF16,
    .feature = GRU_CPU_AVX512,
    .missing = "this processor has no AVX-512 with AVX512BW",
};
const gru_engine gru_engine_cpu_avx512 = {
    .name = "cpu_avx512",
    .backend = &gru_backend_cpu,
    .impl = &avx512,
    .passes = passes,
    .any_size = 1,
    .has_f64 = 1,
    .has_int8 = 1,
    .declines = declines,
    .prepare_step = gru_cpu_prepare_step,
};

#elif defined(__aarch64__)
static const gru_cpu_isa neon = {
    .kernels = &gru_cpu_kernels_neon,
    .kernels_f64 = &gru_cpu_kernels_neon_f64,
    .int8 = &gru_cpu_int8_neon,
    .feature = GRU_CPU_NEON,
    .missing = "NEON is hidden",
};
const gru_engine gru_engine_cpu_neon = {
    .name = "cpu_neon",
    .backend = &gru_backend_cpu,
    .impl = &neon,
    .passes = passes,
    .any_size = 1,
    .has_f64 = 1,
    .has_int8 = 1,
    .declines = declines,
    .prepare_step = gru_cpu_prepare_step,
};
#endif
