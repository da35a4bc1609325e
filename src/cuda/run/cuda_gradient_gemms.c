/* cuda_gradient_gemms.c: the matrix products of the backward pass, chunk by chunk, and what becomes of their sums.
 *
 * Sums over rows go through the workspace: so the products have the alignment and the padding that they like, whatever the
 * caller's gradients have, and what is added to them is rounded once. */
#include "core/error.h"
#include "cuda_backward.h"
#include "cuda/layer/cuda_gemm.h"

void *gru_cuda_row(const gru_cuda_direction *dir, size_t offset, int64_t row, int64_t numbers) {
    const size_t element = gru_type_bytes(dir->job->layer->config.weight_type);
    return (char *)gru_cuda_workspace_ptr(dir->job->run, offset) + (size_t)(row * numbers) * element;
}

static float *floats(const gru_cuda_direction *dir, size_t offset) {
    return gru_cuda_workspace_ptr(dir->job->run, offset);
}

static gru_status multiply(const gru_cuda_direction *dir, int which, gru_cuda_gemm_args factors) {
    factors.workspace = gru_cuda_workspace_ptr(dir->job->run, dir->workspace->gemms);
    return gru_cuda_gemm_run(dir->device, gru_cuda_layer_of(dir->job->layer)->gemms[which], &factors,
                             dir->stream);
}

/* ---- data ---- */

static const void *transposed(const gru_cuda_direction *dir, size_t part, int64_t row, int64_t numbers) {
    return gru_cuda_row(dir, dir->workspace->transposed + part, row, numbers);
}

gru_status gru_cuda_recur(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk) {
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&dir->job->layer->config);
    const gru_cuda_gemm_args factors = {.in = gru_cuda_row(dir, dir->workspace->states, 0, 0),
                                        .in_stride = dir->units,
                                        .weights = transposed(dir, layout.R, 0, 0),
                                        .rows = chunk->rows,
                                        .out = floats(dir, dir->workspace->recurrent)};
    return multiply(dir, GRU_CUDA_GEMM_C, factors);
}

gru_status gru_cuda_recur_reset(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk) {
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&dir->job->layer->config);
    const int64_t first = chunk->s * dir->job->run->N;
    const gru_cuda_gemm_args factors = {
        .in = gru_cuda_row(dir, dir->workspace->reset_states, first, dir->units),
        .in_stride = dir->units,
        .weights = transposed(dir, layout.R, GATE_N * dir->units, dir->units),
        .rows = chunk->rows,
        .out = floats(dir, dir->workspace->recurrent) + GATE_N * dir->units};
    return multiply(dir, GRU_CUDA_GEMM_RESET_C, factors);
}

/* Plane `plane` of the chunk's gate gradients. */
static const void *plane_of(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk, int64_t plane) {
    const int64_t row = chunk->s * dir->job->run->N * dir->planes + plane;
    return gru_cuda_row(dir, dir->workspace->gradients, row, dir->units);
}

gru_status gru_cuda_input_gradient(const gru_cuda_direction *dir, const gru_cuda_sequence *sequence,
                                   const gru_cuda_chunk *chunk) {
    const gru_layer_config *config = &dir->job->layer->config;
    if (!dir->job->gradients->dx.data) return GRU_OK;
    float *rows = floats(dir, dir->workspace->projected);
    const gru_cuda_gemm_args factors = {.in = plane_of(dir, chunk, 0),
                                        .in_stride = dir->planes * dir->units,
                                        .weights =
                                            transposed(dir, gru_cuda_transposed_layout_of(config).W, 0, 0),
                                        .rows = chunk->rows,
                                        .out = rows};
    const gru_cuda_scatter scatter = {.forward = *sequence,
                                      .s = chunk->s,
                                      .steps = chunk->steps,
                                      .rows = rows,
                                      .pitch = dir->pitch,
                                      .inputs = config->inputs,
                                      .dx = dir->job->gradients->dx};
    GRU_TRY(multiply(dir, GRU_CUDA_GEMM_DX, factors));
    return gru_cuda_status(dir->device, gru_cuda_launch_scatter(&scatter, dir->stream),
                           "launching the gradient of inputs");
}

/* ---- weights ---- */

static gru_status sum_W(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk) {
    const gru_cuda_x_rows x = gru_cuda_x_of(dir->job, dir->gathered, chunk->s, chunk->steps);
    const gru_cuda_gemm_args factors = {.in = x.data,
                                        .in_stride = x.stride,
                                        .weights = plane_of(dir, chunk, 0),
                                        .left_stride = dir->planes * dir->units,
                                        .rows = chunk->rows,
                                        .add = !chunk->first,
                                        .out = floats(dir, dir->workspace->W_sums)};
    return multiply(dir, GRU_CUDA_GEMM_DW, factors);
}

static gru_status sum_R(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk) {
    const int32_t reset = dir->job->layer->config.reset_mode;
    const int64_t first = chunk->s * dir->job->run->N;
    gru_cuda_gemm_args factors = {.in = gru_cuda_row(dir, dir->workspace->states, 0, 0),
                                  .in_stride = dir->units,
                                  .weights = plane_of(dir, chunk, 0),
                                  .left_stride = dir->planes * dir->units,
                                  .rows = chunk->rows,
                                  .add = !chunk->first,
                                  .out = floats(dir, dir->workspace->R_sums)};
    GRU_TRY(multiply(dir, GRU_CUDA_GEMM_DR, factors));
    if (reset == GRU_RESET_ALL) return GRU_OK;
    factors.weights = plane_of(dir, chunk, reset == GRU_RESET_AFTER ? GRU_CUDA_DC_N : GATE_N);
    if (reset == GRU_RESET_BEFORE)
        factors.in = gru_cuda_row(dir, dir->workspace->reset_states, first, dir->units);
    factors.out += GATE_N * dir->units * dir->units;
    return multiply(dir, GRU_CUDA_GEMM_CANDIDATE_DR, factors);
}

gru_status gru_cuda_sum_gradients(const gru_cuda_direction *dir, const gru_cuda_chunk *chunk) {
    if (dir->job->gradients->dW && dir->job->layer->config.inputs > 0) GRU_TRY(sum_W(dir, chunk));
    return dir->job->gradients->dR ? sum_R(dir, chunk) : GRU_OK;
}

static int overwrites(const gru_cuda_direction *dir) {
    return (dir->job->gradients->parts & GRU_GRAD_OVERWRITE) != 0;
}

/* Sums of [gate][units][pitch] into [3H][K]. */
static gru_status add_sums(const gru_cuda_direction *dir, size_t offset, int64_t pitch, int32_t K,
                           void *gradient) {
    const gru_cuda_weight_sums sums = {.sums = floats(dir, offset),
                                       .pitch = pitch,
                                       .H = dir->job->layer->config.hidden,
                                       .K = K,
                                       .count = GATES,
                                       .loss_scale = dir->job->gradients->loss_scale,
                                       .overwrite = overwrites(dir),
                                       .gradient = gradient};
    if (!gradient || K == 0) return GRU_OK;
    return gru_cuda_status(dir->device, gru_cuda_launch_weight_sums(&sums, dir->stream),
                           "launching the gradients of weights");
}

static gru_status add_biases(const gru_cuda_direction *dir) {
    const gru_gradients *g = dir->job->gradients;
    const gru_cuda_layer *prepared = gru_cuda_layer_of(dir->job->layer);
    const gru_cuda_bias_sums sums = {.rows = gru_cuda_row(dir, dir->workspace->gradients, 0, 0),
                                     .count = dir->job->run->T * dir->job->run->N,
                                     .H = dir->job->layer->config.hidden,
                                     .reset_mode = dir->job->layer->config.reset_mode,
                                     .partial_sums = floats(dir, dir->workspace->bias_partial_sums),
                                     .loss_scale = g->loss_scale,
                                     .overwrite = overwrites(dir),
                                     .dbW = g->dbW,
                                     .dbR = g->dbR};
    if (!g->dbW && !g->dbR) return GRU_OK;
    return gru_cuda_status(dir->device, gru_cuda_launch_bias_sums(prepared->compute_type, &sums, dir->stream),
                           "launching the gradients of biases");
}

/* Of no rows the sums are zeros. */
static gru_status set_zeros(const gru_cuda_direction *dir) {
    const gru_gradients *g = dir->job->gradients;
    const size_t rows = GATES * (size_t)dir->job->layer->config.hidden * sizeof(float);
    const struct {
        void *data;
        size_t bytes;
    } each[] = {{g->dW, rows * (size_t)dir->job->layer->config.inputs},
                {g->dR, rows * (size_t)dir->job->layer->config.hidden},
                {g->dbW, rows},
                {g->dbR, rows}};
    for (size_t i = 0; overwrites(dir) && i < sizeof each / sizeof *each; i++)
        if (each[i].data)
            GRU_CUDA_TRY(dir->device, cudaMemsetAsync(each[i].data, 0, each[i].bytes, dir->stream),
                         "clearing the gradients of weights");
    return GRU_OK;
}

gru_status gru_cuda_store_gradients(const gru_cuda_direction *dir) {
    const gru_gradients *g = dir->job->gradients;
    const gru_layer_config *config = &dir->job->layer->config;
    if (dir->job->run->T * dir->job->run->N == 0) return set_zeros(dir);
    GRU_TRY(add_sums(dir, dir->workspace->W_sums, dir->pitch, config->inputs, g->dW));
    GRU_TRY(add_sums(dir, dir->workspace->R_sums, dir->units, config->hidden, g->dR));
    return add_biases(dir);
}
