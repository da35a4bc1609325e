/* cuda_layer.c: loads kernels and prepares GEMMs when a layer is created, so that no run has to load or allocate anything. */
#include "cuda_layer.h"

#include <string.h>

#include "core/host_memory.h"
#include "cuda/kernels/cuda_backward_kernels.h"
#include "cuda_gemm_prepare.h"

gru_cuda_compute_type gru_cuda_compute_type_of(const gru_cuda_device *device,
                                               const gru_layer_config *config) {
    switch (config->weight_type) {
    case GRU_F16:
        return GRU_CUDA_F16;
    case GRU_BF16:
        return GRU_CUDA_BF16;
    default:
        return device->tf32 ? GRU_CUDA_TF32 : GRU_CUDA_F32;
    }
}

const char *gru_cuda_declines_streaming(const gru_cuda_device *device, const gru_layer_config *config) {
    if (config->reset_mode == GRU_RESET_BEFORE)
        return "reset BEFORE has two products that wait for each other";
    if (config->inputs == 0) return "a layer without inputs has no product of x";
    if (device->invariant)
        return "its sums have another order than those of longer calls, and the context asks for "
               "GRU_BATCH_INVARIANT";
    return NULL;
}

/* ---- kernels ---- */

/* What every layer and every call needs, the steps of forward excepted. */
static cudaError_t load_shared(const gru_layer *layer, gru_cuda_compute_type compute_type) {
    cudaError_t error = gru_cuda_load_pack();
    if (!error) error = gru_cuda_load_combine();
    if (!error) error = gru_cuda_load_dropout();
    if (!error) error = gru_cuda_load_timeline();
    if (!error) error = gru_cuda_load_prologue(compute_type);
    if (!error && layer->context->config.flags & GRU_CHECK_WEIGHTS) error = gru_cuda_load_weight_checksum();
    if (!error) error = gru_cuda_load_backward(compute_type);
    return error;
}

static cudaError_t load_streaming(const gru_layer *layer, gru_cuda_layer *prepared) {
    const gru_layer_config *config = &layer->config;
    if (gru_cuda_declines_streaming(gru_cuda_device_of(layer->context), config)) return cudaSuccess;
    return gru_cuda_load_streaming(prepared->compute_type,
                                   gru_cuda_groups(config->inputs, config->weight_type) +
                                       gru_cuda_groups(config->hidden, config->weight_type),
                                   prepared->streaming_blocks);
}

/* The steps of all engines that can run this variant, forward and backward: cuda_engine.c says which. */
static cudaError_t load_steps(const gru_layer *layer, gru_cuda_layer *prepared) {
    const gru_cuda_compute_type compute_type = prepared->compute_type;
    cudaError_t error = gru_cuda_load_step(compute_type, layer->config.reset_mode);
    if (!error) error = load_streaming(layer, prepared);
    if (!error) error = gru_cuda_load_backward_step(compute_type);
    if (layer->config.reset_mode == GRU_RESET_BEFORE) {
        if (!error) error = gru_cuda_load_step_fused(compute_type, &prepared->occupancy);
        if (!error) error = gru_cuda_load_backward_step_fused(compute_type, &prepared->backward_occupancy);
    } else if (!gru_cuda_device_of(layer->context)->invariant) {
        if (!error) error = gru_cuda_load_step_large(compute_type, &prepared->occupancy);
        if (!error) error = gru_cuda_load_backward_step_large(compute_type, &prepared->backward_occupancy);
    }
    return error;
}

static gru_status load_kernels(const gru_layer *layer, gru_cuda_layer *prepared) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    cudaError_t error = load_shared(layer, prepared->compute_type);
    if (!error) error = load_steps(layer, prepared);
    return gru_cuda_status(device, error, "loading kernels");
}

/* ---- GEMMs ---- */

static gru_status create_gemms(gru_layer *layer, gru_cuda_layer *prepared) {
    const gru_layer_config *config = &layer->config;
    const gru_cuda_compute_type compute_type = prepared->compute_type;
    const int before = config->reset_mode == GRU_RESET_BEFORE, x = config->inputs > 0;
    const int own_candidate = config->reset_mode != GRU_RESET_ALL; /* dR of n has operands of its own */
    const int64_t pitch = gru_cuda_input_pitch(config->inputs, config->weight_type);
    const int64_t units = gru_cuda_unit_pitch(config->hidden), all = GATES * units;
    const int64_t projected = gru_cuda_projected_row(config->hidden);
    const struct {
        int wanted;
        gru_cuda_gemm_shape shape;
    } each[GRU_CUDA_GEMMS] = {
        {x, {"the projection", compute_type, GRU_CUDA_GEMM_PROJECT, pitch, projected, projected, 1}},
        {1, {"R h", compute_type, GRU_CUDA_GEMM_PROJECT, units, before ? GATE_N * units : all, all, 0}},
        {before, {"R (r h)", compute_type, GRU_CUDA_GEMM_PROJECT, units, units, all, 0}},
        {x, {"the gradient of inputs", compute_type, GRU_CUDA_GEMM_BACK, all, pitch, pitch, 0}},
        {x, {"the gradient of W", compute_type, GRU_CUDA_GEMM_SUM_ROWS, pitch, all, pitch, 0}},
        {1,
         {"the gradient of R", compute_type, GRU_CUDA_GEMM_SUM_ROWS, units,
          own_candidate ? GATE_N * units : all, units, 0}},
        {own_candidate,
         {"the gradient of R_n", compute_type, GRU_CUDA_GEMM_SUM_ROWS, units, units, units, 0}},
    };
    for (int i = 0; i < GRU_CUDA_GEMMS; i++)
        if (each[i].wanted)
            GRU_TRY(gru_cuda_gemm_create(layer, &each[i].shape, prepared->fixed_rows, &prepared->gemms[i]));
    return GRU_OK;
}

static void release_gemms(gru_layer *layer, gru_cuda_layer *prepared) {
    for (int i = 0; i < GRU_CUDA_GEMMS; i++) {
        gru_cuda_gemm_release(layer, prepared->gemms[i]);
        prepared->gemms[i] = NULL;
    }
}

static int is_served(const gru_cuda_layer *prepared, int first, int last) {
    for (int i = first; i <= last; i++)
        if (prepared->gemms[i] && prepared->gemms[i]->buckets == 0) return 0;
    return 1;
}

/* Products of any number of rows, or (GRU_BATCH_INVARIANT) of a fixed one. Where cuBLASLt has no algorithm for that, another
 * fixed number is tried, as large as possible. Where nothing serves all products over rows, the projection suffices, and the
 * layer has no backward pass. */
static gru_status prepare_gemms(gru_layer *layer, gru_cuda_layer *prepared) {
    static const int over_rows[] = {GRU_CUDA_GEMM_DX, GRU_CUDA_GEMM_A}; /* from the projection up to here */
    const int32_t largest = 256, any = 0,
                  first = gru_cuda_device_of(layer->context)->invariant ? largest : any;
    for (int needed = 0; needed < 2; needed++) {
        int32_t rows = first;
        do {
            prepared->fixed_rows = rows;
            GRU_TRY(create_gemms(layer, prepared));
            prepared->has_backward = is_served(prepared, GRU_CUDA_GEMM_A, GRU_CUDA_GEMMS - 1);
            if (is_served(prepared, GRU_CUDA_GEMM_A, over_rows[needed])) return GRU_OK;
            release_gemms(layer, prepared);
            rows = rows == any ? largest : rows / 2;
        } while (rows > 0);
    }
    return gru_fail(GRU_UNSUPPORTED, "cuBLASLt has no algorithm for the projection of %d inputs and %d units",
                    layer->config.inputs, layer->config.hidden);
}

/* ---- the whole ---- */

gru_status gru_cuda_prepare(gru_layer *layer) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    gru_cuda_layer *prepared =
        gru_host_allocate(layer->context, sizeof *prepared, "the prepared state of a layer");
    if (!prepared) return GRU_OUT_OF_MEMORY;
    memset(prepared, 0, sizeof *prepared);
    prepared->compute_type = gru_cuda_compute_type_of(device, &layer->config);
    layer->prepared = prepared;
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    gru_status status = load_kernels(layer, prepared);
    if (status == GRU_OK) status = prepare_gemms(layer, prepared);
    gru_cuda_leave(device, previous);
    return status;
}

void gru_cuda_destroy_prepared(gru_layer *layer) {
    gru_cuda_layer *prepared = layer->prepared;
    if (!prepared) return;
    release_gemms(layer, prepared);
    gru_host_free(layer->context, prepared, sizeof *prepared);
    layer->prepared = NULL;
}
