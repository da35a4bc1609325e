/* cuda_gradient_gemms.c: the matrix products of the backward pass, chunk by chunk, and what becomes of their sums.
 *
 * Sums over rows go through the workspace: so the products have the alignment and the padding that they like, whatever the
 * caller's gradients have, and what is added to them is rounded once. */
#include "core/error.h"
#include "cuda_backward.h"
#include "cuda/layer/cuda_gemm.h"

void *gru_cuda_row(const gru_cuda_direction *d, size_t offset, int64_t row, int64_t numbers) {
    const size_t element = gru_type_bytes(d->job->layer->config.weight_type);
    return (char *)gru_cuda_workspace_ptr(d->job->run, offset) + (size_t)(row * numbers) * element;
}

static float *floats(const gru_cuda_direction *d, size_t offset) {
    return gru_cuda_workspace_ptr(d->job->run, offset);
}

static gru_status multiply(const gru_cuda_direction *d, int which, gru_cuda_gemm_args factors) {
    factors.workspace = gru_cuda_workspace_ptr(d->job->run, d->workspace->gemms);
    return gru_cuda_gemm_run(d->device, gru_cuda_layer_of(d->job->layer)->gemms[which], &factors, d->stream);
}

/* ---- data ---- */

static const void *transposed(const gru_cuda_direction *d, size_t part, int64_t row, int64_t numbers) {
    return gru_cuda_row(d, d->workspace->transposed + part, row, numbers);
}

gru_status gru_cuda_recur(const gru_cuda_direction *d, const gru_cuda_chunk *chunk) {
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&d->job->layer->config);
    const gru_cuda_gemm_args factors = {.in = gru_cuda_row(d, d->workspace->states, 0, 0),
                                        .in_stride = d->units,
                                        .weights = transposed(d, layout.R, 0, 0),
                                        .rows = chunk->rows,
                                        .out = floats(d, d->workspace->recurrent)};
    return multiply(d, GRU_CUDA_GEMM_C, factors);
}

gru_status gru_cuda_recur_reset(const gru_cuda_direction *d, const gru_cuda_chunk *chunk) {
    const gru_cuda_transposed_layout layout = gru_cuda_transposed_layout_of(&d->job->layer->config);
    const int64_t first = chunk->s * d->job->run->N;
    const gru_cuda_gemm_args factors = {.in = gru_cuda_row(d, d->workspace->reset_states, first, d->units),
                                        .in_stride = d->units,
                                        .weights = transposed(d, layout.R, GATE_N * d->units, d->units),
                                        .rows = chunk->rows,
                                        .out = floats(d, d->workspace->recurrent) + GATE_N * d->units};
    return multiply(d, GRU_CUDA_GEMM_RESET_C, factors);
}

/* Plane `plane` of the chunk's gate gradients. */
static const void *plane_of(const gru_cuda_direction *d, const gru_cuda_chunk *chunk, int64_t plane) {
    const int64_t row = chunk->s * d->job->run->N * d->planes + plane;
    return gru_cuda_row(d, d->workspace->gradients, row, d->units);
}

gru_status gru_cuda_input_gradient(const gru_cuda_direction *d, const gru_cuda_sequence *sequence,
                                   const gru_cuda_chunk *chunk) {
    const gru_layer_config *config = &d->job->layer->config;
    if (!d->job->gradients->dx.data) return GRU_OK;
    float *rows = floats(d, d->workspace->projected);
    const gru_cuda_gemm_args factors = {.in = plane_of(d, chunk, 0),
                                        .in_stride = d->planes * d->units,
                                        .weights =
                                            transposed(d, gru_cuda_transposed_layout_of(config).W, 0, 0),
                                        .rows = chunk->rows,
                                        .out = rows};
    const gru_cuda_scatter scatter = {.forward = *sequence,
                                      .s = chunk->s,
                                      .steps = chunk->steps,
                                      .rows = rows,
                                      .pitch = d->pitch,
                                      .inputs = config->inputs,
                                      .dx = d->job->gradients->dx};
    GRU_TRY(multiply(d, GRU_CUDA_GEMM_DX, factors));
    return gru_cuda_status(d->device, gru_cuda_launch_scatter(&scatter, d->stream),
                           "launching the gradient of inputs");
}

/* ---- weights ---- */

static gru_status sum_W(const gru_cuda_direction *d, const gru_cuda_chunk *chunk) {
    const gru_cuda_x_rows x = gru_cuda_x_of(d->job, d->gathered, chunk->s, chunk->steps);
    const gru_cuda_gemm_args factors = {.in = x.data,
                                        .in_stride = x.stride,
                                        .weights = plane_of(d, chunk, 0),
                                        .left_stride = d->planes * d->units,
                                        .rows = chunk->rows,
                                        .add = !chunk->first,
                                        .out = floats(d, d->workspace->W_sums)};
    return multiply(d, GRU_CUDA_GEMM_DW, factors);
}

static gru_status sum_R(const gru_cuda_direction *d, const gru_cuda_chunk *chunk) {
    const int32_t reset = d->job->layer->config.reset_mode;
    const int64_t first = chunk->s * d->job->run->N;
    gru_cuda_gemm_args factors = {.in = gru_cuda_row(d, d->workspace->states, 0, 0),
                                  .in_stride = d->units,
                                  .weights = plane_of(d, chunk, 0),
                                  .left_stride = d->planes * d->units,
                                  .rows = chunk->rows,
                                  .add = !chunk->first,
                                  .out = floats(d, d->workspace->R_sums)};
    GRU_TRY(multiply(d, GRU_CUDA_GEMM_DR, factors));
    if (reset == GRU_RESET_ALL) return GRU_OK;
    factors.weights = plane_of(d, chunk, reset == GRU_RESET_AFTER ? GRU_CUDA_DC_N : GATE_N);
    if (reset == GRU_RESET_BEFORE) factors.in = gru_cuda_row(d, d->workspace->reset_states, first, d->units);
    factors.out += GATE_N * d->units * d->units;
    return multiply(d, GRU_CUDA_GEMM_CANDIDATE_DR, factors);
}

gru_status gru_cuda_sum_gradients(const gru_cuda_direction *d, const gru_cuda_chunk *chunk) {
    if (d->job->gradients->dW && d->job->layer->config.inputs > 0) GRU_TRY(sum_W(d, chunk));
    return d->job->gradients->dR ? sum_R(d, chunk) : GRU_OK;
}

static int overwrites(const gru_cuda_direction *d) {
    return (d->job->gradients->parts & GRU_GRAD_OVERWRITE) != 0;
}

/* Sums of [gate][units][pitch] into [3H][K]. */
static gru_status add_sums(const gru_cuda_direction *d, size_t offset, int64_t pitch, int32_t K,
                           void *gradient) {
    const gru_cuda_weight_sums sums = {.sums = floats(d, offset),
                                       .pitch = pitch,
                                       .H = d->job->layer->config.hidden,
                                       .K = K,
                                       .count = GATES,
                                       .loss_scale = d->job->gradients->loss_scale,
                                       .overwrite = overwrites(d),
                                       .gradient = gradient};
    if (!gradient || K == 0) return GRU_OK;
    return gru_cuda_status(d->device, gru_cuda_launch_weight_sums(&sums, d->stream),
                           "launching the gradients of weights");
}

static gru_status add_biases(const gru_cuda_direction *d) {
    const gru_gradients *g = d->job->gradients;
    const gru_cuda_layer *prepared = gru_cuda_layer_of(d->job->layer);
    const gru_cuda_bias_sums sums = {.rows = gru_cuda_row(d, d->workspace->gradients, 0, 0),
                                     .count = d->job->run->T * d->job->run->N,
                                     .H = d->job->layer->config.hidden,
                                     .reset_mode = d->job->layer->config.reset_mode,
                                     .parts = floats(d, d->workspace->bias_partial_sums),
                                     .loss_scale = g->loss_scale,
                                     .overwrite = overwrites(d),
                                     .dbW = g->dbW,
                                     .dbR = g->dbR};
    if (!g->dbW && !g->dbR) return GRU_OK;
    return gru_cuda_status(d->device, gru_cuda_launch_bias_sums(prepared->compute_type, &sums, d->stream),
                           "launching the gradients of biases");
}

/* Of no rows the sums are zeros. */
static gru_status set_zeros(const gru_cuda_direction *d) {
    const gru_gradients *g = d->job->gradients;
    const size_t rows = GATES * (size_t)d->job->layer->config.hidden * sizeof(float);
    const struct {
        void *data;
        size_t bytes;
    } each[] = {{g->dW, rows * (size_t)d->job->layer->config.inputs},
                {g->dR, rows * (size_t)d->job->layer->config.hidden},
                {g->dbW, rows},
                {g->dbR, rows}};
    for (size_t i = 0; overwrites(d) && i < sizeof each / sizeof *each; i++)
        if (each[i].data)
            GRU_CUDA_TRY(d->device, cudaMemsetAsync(each[i].data, 0, each[i].bytes, d->stream),
                         "clearing the gradients of weights");
    return GRU_OK;
}

gru_status gru_cuda_store_gradients(const gru_cuda_direction *d) {
    const gru_gradients *g = d->job->gradients;
    const gru_layer_config *config = &d->job->layer->config;
    if (d->job->run->T * d->job->run->N == 0) return set_zeros(d);
    GRU_TRY(add_sums(d, d->workspace->W_sums, d->pitch, config->inputs, g->dW));
    GRU_TRY(add_sums(d, d->workspace->R_sums, d->units, config->hidden, g->dR));
    return add_biases(d);
}
