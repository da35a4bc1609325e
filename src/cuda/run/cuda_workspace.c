/* cuda_workspace.c: divides a workspace. */
#include "cuda_workspace.h"

#include "cuda/layer/cuda_gemm.h"
#include "cuda_cost_model.h"

/* Takes the bytes behind what was taken so far. */
static size_t take(size_t *taken, size_t bytes) {
    const size_t begin = *taken;
    *taken = gru_size_plus(begin, gru_cuda_align(bytes));
    return begin;
}

static size_t batch_octets(int64_t N) {
    return (size_t)(N / GRU_CUDA_OCTET + (N % GRU_CUDA_OCTET != 0));
}

/* At least the rows of one step; else as many as fit the chunk, and no more than there are. */
static int64_t chunk_rows(const gru_layer_config *config, int64_t T, int64_t N) {
    const int64_t forced = gru_cuda_override.chunk_rows, most = forced ? forced : gru_cuda_chunk_rows(config);
    return N > most ? N : N > 0 && T > most / N ? most : T * N;
}

static int64_t chunk_steps(int64_t rows, int64_t N) {
    return N > 0 && rows > N ? rows / N : 1;
}

/* ---- forward ---- */

static void take_projection(gru_cuda_workspace *w, const gru_layer *layer) {
    const gru_layer_config *config = &layer->config;
    const gru_cuda_gemm *projection = gru_cuda_layer_of(layer)->gemms[GRU_CUDA_GEMM_A];
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t pitch = (size_t)gru_cuda_input_pitch(config->inputs, config->weight_type);
    w->chunk_rows = gru_cuda_gemm_rows(projection, w->chunk_rows);
    w->rows = take(&w->bytes, gru_size_times((size_t)w->chunk_rows, pitch * element));
    w->projected =
        take(&w->bytes, gru_size_times((size_t)w->chunk_rows,
                                       (size_t)gru_cuda_projected_row(config->hidden) * sizeof(float)));
    w->gemms = take(&w->bytes, gru_cuda_gemm_workspace(projection, w->chunk_rows));
}

gru_cuda_workspace gru_cuda_workspace_of(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    const size_t octets = batch_octets(N);
    const size_t groups = (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    const size_t tiles = gru_size_times(octets, groups * GRU_CUDA_FRAGMENT_BYTES);
    const size_t units =
        gru_size_times((size_t)N, (size_t)gru_cuda_unit_octets(config->hidden) * 8 * sizeof(float));
    gru_cuda_workspace w = {0};
    w.exchange[0] = take(&w.bytes, tiles);
    w.exchange[1] = take(&w.bytes, tiles);
    if (config->reset_mode == GRU_RESET_BEFORE) {
        w.exchange_reset = take(&w.bytes, tiles);
        w.update_gate = take(&w.bytes, units);
        w.barrier_counter = take(&w.bytes, gru_size_times(octets, sizeof(uint32_t)));
    }
    w.state = take(&w.bytes, units);
    w.chunk_rows = chunk_rows(config, T, N);
    w.steps = chunk_steps(w.chunk_rows, N);
    if (gru_cuda_layer_of(layer)->gemms[GRU_CUDA_GEMM_A] && w.bytes != SIZE_MAX) take_projection(&w, layer);
    return w;
}

/* ---- backward ---- */

/* Numbers of `element` bytes in so many rows. */
static size_t take_rows(size_t *taken, int64_t rows, int64_t row, size_t element) {
    return take(taken, gru_size_times((size_t)rows, (size_t)row * element));
}

/* What a chunk needs, and comes and goes with it. */
static void take_chunk(gru_cuda_backward_workspace *w, const gru_layer_config *config, int64_t rows) {
    const size_t element = gru_type_bytes(config->weight_type);
    const int64_t pitch = config->inputs ? gru_cuda_input_pitch(config->inputs, config->weight_type) : 0;
    const int64_t projected = config->inputs ? gru_cuda_projected_row(config->hidden) : 0;
    const int64_t units = gru_cuda_unit_pitch(config->hidden);
    w->x_rows = take_rows(&w->bytes, rows, pitch, element);
    w->states = take_rows(&w->bytes, rows, units, element);
    w->projected = take_rows(&w->bytes, rows, pitch > projected ? pitch : projected, sizeof(float));
    w->recurrent = take_rows(&w->bytes, rows, GATES * units, sizeof(float));
    w->attention = take_rows(&w->bytes, rows, gru_cuda_unit_octets(config->hidden), sizeof(float));
}

/* What outlives chunks: all gate gradients, and sums over them. */
static void take_whole(gru_cuda_backward_workspace *w, const gru_layer_config *config, int64_t rows) {
    const size_t element = gru_type_bytes(config->weight_type);
    const int64_t pitch = config->inputs ? gru_cuda_input_pitch(config->inputs, config->weight_type) : 0;
    const int64_t units = gru_cuda_unit_pitch(config->hidden);
    const int64_t gradients = gru_cuda_gradient_planes(config->reset_mode) * units;
    w->gradients = take_rows(&w->bytes, rows, gradients, element);
    if (config->reset_mode == GRU_RESET_BEFORE) w->reset_states = take_rows(&w->bytes, rows, units, element);
    w->W_sums = take_rows(&w->bytes, GATES * units, pitch, sizeof(float));
    w->R_sums = take_rows(&w->bytes, GATES * units, units, sizeof(float));
    w->bias_partial_sums = take_rows(&w->bytes, GRU_CUDA_SUM_SPLITS, gradients, sizeof(float));
}

gru_cuda_backward_workspace gru_cuda_backward_workspace_of(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    gru_cuda_gemm *const *gemms = gru_cuda_layer_of(layer)->gemms;
    const int64_t chunk = chunk_rows(config, T, N),
                  padded = gru_cuda_gemm_rows(gemms[GRU_CUDA_GEMM_C], chunk);
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    const size_t groups = GATES * (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    const size_t tiles = gru_size_times(batch_octets(N), groups * GRU_CUDA_FRAGMENT_BYTES);
    size_t most = 0;
    gru_cuda_backward_workspace w = {.steps = chunk_steps(chunk, N)};
    w.padding = gru_cuda_gemm_rows(gemms[GRU_CUDA_GEMM_C], 1) - 1;
    w.transposed = take(&w.bytes, gru_cuda_transposed_layout_of(config).bytes);
    w.exchange[0] = take(&w.bytes, tiles);
    w.exchange[1] = take(&w.bytes, tiles);
    w.direct = take_rows(&w.bytes, N, gru_cuda_unit_pitch(config->hidden), sizeof(float));
    w.restart_sum = take_rows(&w.bytes, N, gru_cuda_unit_pitch(config->hidden), sizeof(float));
    w.barrier_counter = take(&w.bytes, gru_size_times(batch_octets(N), sizeof(uint32_t)));
    if (rows > (size_t)(INT64_MAX - w.padding)) w.bytes = SIZE_MAX;
    if (w.bytes == SIZE_MAX) return w;
    take_chunk(&w, config, padded);
    take_whole(&w, config, (int64_t)rows + w.padding);
    for (int i = 0; i < GRU_CUDA_GEMMS; i++) {
        const size_t bytes = gemms[i] ? gru_cuda_gemm_workspace(gemms[i], padded) : 0;
        if (bytes > most) most = bytes;
    }
    w.gemms = take(&w.bytes, most);
    return w;
}
