/* cuda_layer.c: what a layer prepares at its creation, so that no run has to find, load or allocate anything. */
#include <string.h>

#include "../error.h"
#include "cuda_gemm.h"

gru_cuda_math gru_cuda_math_of(const gru_cuda_machine *machine, const gru_layer_config *config) {
    switch (config->weight_type) {
    case GRU_F16:
        return GRU_CUDA_F16;
    case GRU_BF16:
        return GRU_CUDA_BF16;
    default:
        return machine->tf32 ? GRU_CUDA_TF32 : GRU_CUDA_F32;
    }
}

static cudaError_t load_engine(const gru_engine *engine, int32_t reset, gru_cuda_layer *prepared) {
    if (engine == &gru_engine_cuda_hop) return gru_cuda_load_hop(prepared->math, &prepared->room);
    if (engine == &gru_engine_cuda_tile) return gru_cuda_load_tile(prepared->math, &prepared->room);
    return gru_cuda_load_stepwise(prepared->math, reset);
}

static gru_status load_kernels(const gru_layer *layer, gru_cuda_layer *prepared) {
    static const char what[] = "loading kernels";
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    GRU_CUDA_TRY(machine, gru_cuda_load_pack(), what);
    GRU_CUDA_TRY(machine, gru_cuda_load_add(), what);
    GRU_CUDA_TRY(machine, gru_cuda_load_dropout(), what);
    GRU_CUDA_TRY(machine, gru_cuda_load_prologue(prepared->math), what);
    if (layer->context->config.flags & GRU_CHECK_WEIGHTS)
        GRU_CUDA_TRY(machine, gru_cuda_load_weights_sum(), what);
    for (int32_t i = 0; i < layer->engine_count; i++)
        GRU_CUDA_TRY(machine, load_engine(layer->engines[i], layer->config.reset, prepared), what);
    return GRU_OK;
}

static gru_status prepare_projection(gru_layer *layer, gru_cuda_layer *prepared) {
    const gru_layer_config *config = &layer->config;
    const gru_cuda_gemm_form form = {"the projection", GRU_CUDA_GEMM_PROJECT,
                                     gru_cuda_input_pitch(config->inputs, config->weight_type),
                                     gru_cuda_projected_row(config->hidden)};
    return gru_cuda_gemm_create(layer, &form, &prepared->projection);
}

gru_status gru_cuda_prepare(gru_layer *layer) {
    gru_cuda_machine *machine = gru_cuda_machine_of(layer->context);
    gru_cuda_layer *prepared = gru_host_allocate(layer->context, sizeof *prepared, "what a layer prepares");
    if (!prepared) return GRU_OUT_OF_MEMORY;
    memset(prepared, 0, sizeof *prepared);
    prepared->math = gru_cuda_math_of(machine, &layer->config);
    layer->prepared = prepared;
    int previous;
    GRU_TRY(gru_cuda_enter(machine, &previous));
    gru_status status = load_kernels(layer, prepared);
    if (status == GRU_OK && layer->config.inputs > 0) status = prepare_projection(layer, prepared);
    gru_cuda_leave(machine, previous);
    return status;
}

void gru_cuda_forget(gru_layer *layer) {
    gru_cuda_layer *prepared = layer->prepared;
    if (!prepared) return;
    gru_cuda_gemm_release(layer, prepared->projection);
    gru_host_free(layer->context, prepared, sizeof *prepared);
    layer->prepared = NULL;
}
