/* cuda_workspace.c: divides a workspace. */
#include "cuda_workspace.h"

#include "core/timeline.h"
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
static int64_t chunk_rows(const gru_layer *layer, int64_t T, int64_t N) {
    const int64_t bytes = gru_cuda_device_of(layer->context)->chunk_bytes;
    const int64_t forced = gru_cuda_override.chunk_rows,
                  most = forced ? forced : gru_cuda_chunk_rows(&layer->config, bytes);
    return N > most ? N : N > 0 && T > most / N ? most : T * N;
}

static int64_t chunk_steps(int64_t rows, int64_t N) {
    return N > 0 && rows > N ? rows / N : 1;
}

/* ---- forward ---- */

static void take_projection(gru_cuda_workspace *ws, const gru_layer *layer) {
    const gru_layer_config *config = &layer->config;
    const gru_cuda_gemm *projection = gru_cuda_layer_of(layer)->gemms[GRU_CUDA_GEMM_A];
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t pitch = (size_t)gru_cuda_input_pitch(config->inputs, config->weight_type);
    ws->chunk_rows = gru_cuda_gemm_rows(projection, ws->chunk_rows);
    ws->rows = take(&ws->bytes, gru_size_times((size_t)ws->chunk_rows, pitch * element));
    ws->projected =
        take(&ws->bytes, gru_size_times((size_t)ws->chunk_rows,
                                        (size_t)gru_cuda_projected_row(config->hidden) * sizeof(float)));
    ws->gemms = take(&ws->bytes, gru_cuda_gemm_workspace(projection, ws->chunk_rows));
}

gru_cuda_workspace gru_cuda_workspace_of(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    const size_t octets = batch_octets(N);
    const size_t groups = (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    const size_t tiles = gru_size_times(octets, groups * GRU_CUDA_FRAGMENT_BYTES);
    const size_t units =
        gru_size_times((size_t)N, (size_t)gru_cuda_unit_octets(config->hidden) * 8 * sizeof(float));
    gru_cuda_workspace ws = {0};
    ws.exchange[0] = take(&ws.bytes, tiles);
    ws.exchange[1] = take(&ws.bytes, tiles);
    if (config->reset_mode == GRU_RESET_BEFORE) {
        ws.exchange_reset = take(&ws.bytes, tiles);
        ws.update_gate = take(&ws.bytes, units);
        ws.barrier_counter = take(&ws.bytes, gru_size_times(octets, sizeof(uint32_t)));
    }
    ws.state = take(&ws.bytes, units);
    ws.timeline = take(&ws.bytes, gru_timeline_bytes(T, N));
    ws.chunk_rows = chunk_rows(layer, T, N);
    ws.steps = chunk_steps(ws.chunk_rows, N);
    if (gru_cuda_layer_of(layer)->gemms[GRU_CUDA_GEMM_A] && ws.bytes != SIZE_MAX) take_projection(&ws, layer);
    return ws;
}

/* ---- backward ---- */

/* Numbers of `element` bytes in so many rows. */
static size_t take_rows(size_t *taken, int64_t rows, int64_t row, size_t element) {
    return take(taken, gru_size_times((size_t)rows, (size_t)row * element));
}

/* What a chunk needs, and comes and goes with it. */
static void take_chunk(gru_cuda_backward_workspace *ws, const gru_layer_config *config, int64_t rows) {
    const size_t element = gru_type_bytes(config->weight_type);
    const int64_t pitch = config->inputs ? gru_cuda_input_pitch(config->inputs, config->weight_type) : 0;
    const int64_t projected = config->inputs ? gru_cuda_projected_row(config->hidden) : 0;
    const int64_t units = gru_cuda_unit_pitch(config->hidden);
    ws->x_rows = take_rows(&ws->bytes, rows, pitch, element);
    ws->states = take_rows(&ws->bytes, rows, units, element);
    ws->projected = take_rows(&ws->bytes, rows, pitch > projected ? pitch : projected, sizeof(float));
    ws->recurrent = take_rows(&ws->bytes, rows, GATES * units, sizeof(float));
    ws->attention = take_rows(&ws->bytes, rows, gru_cuda_unit_octets(config->hidden), sizeof(float));
}

/* What outlives chunks: all gate gradients, and sums over them. */
static void take_whole(gru_cuda_backward_workspace *ws, const gru_layer_config *config, int64_t rows) {
    const size_t element = gru_type_bytes(config->weight_type);
    const int64_t pitch = config->inputs ? gru_cuda_input_pitch(config->inputs, config->weight_type) : 0;
    const int64_t units = gru_cuda_unit_pitch(config->hidden);
    const int64_t gradients = gru_cuda_gradient_planes(config->reset_mode) * units;
    ws->gradients = take_rows(&ws->bytes, rows, gradients, element);
    if (config->reset_mode == GRU_RESET_BEFORE)
        ws->reset_states = take_rows(&ws->bytes, rows, units, element);
    ws->W_sums = take_rows(&ws->bytes, GATES * units, pitch, sizeof(float));
    ws->R_sums = take_rows(&ws->bytes, GATES * units, units, sizeof(float));
    ws->bias_partial_sums = take_rows(&ws->bytes, GRU_CUDA_SUM_SPLITS, gradients, sizeof(float));
}

gru_cuda_backward_workspace gru_cuda_backward_workspace_of(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    gru_cuda_gemm *const *gemms = gru_cuda_layer_of(layer)->gemms;
    const int64_t chunk = chunk_rows(layer, T, N), padded = gru_cuda_gemm_rows(gemms[GRU_CUDA_GEMM_C], chunk);
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    const size_t groups = GATES * (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    const size_t tiles = gru_size_times(batch_octets(N), groups * GRU_CUDA_FRAGMENT_BYTES);
    size_t most = 0;
    gru_cuda_backward_workspace ws = {.steps = chunk_steps(chunk, N)};
    ws.padding = gru_cuda_gemm_rows(gemms[GRU_CUDA_GEMM_C], 1) - 1;
    ws.transposed = take(&ws.bytes, gru_cuda_transposed_layout_of(config).bytes);
    ws.exchange[0] = take(&ws.bytes, tiles);
    ws.exchange[1] = take(&ws.bytes, tiles);
    ws.direct = take_rows(&ws.bytes, N, gru_cuda_unit_pitch(config->hidden), sizeof(float));
    ws.timeline = take(&ws.bytes, gru_timeline_bytes(T, N));
    ws.restart_sum = take_rows(&ws.bytes, N, gru_cuda_unit_pitch(config->hidden), sizeof(float));
    ws.barrier_counter = take(&ws.bytes, gru_size_times(batch_octets(N), sizeof(uint32_t)));
    if (rows > (size_t)(INT64_MAX - ws.padding)) ws.bytes = SIZE_MAX;
    if (ws.bytes == SIZE_MAX) return ws;
    take_chunk(&ws, config, padded);
    take_whole(&ws, config, (int64_t)rows + ws.padding);
    for (int i = 0; i < GRU_CUDA_GEMMS; i++) {
        const size_t bytes = gemms[i] ? gru_cuda_gemm_workspace(gemms[i], padded) : 0;
        if (bytes > most) most = bytes;
    }
    ws.gemms = take(&ws.bytes, most);
    return ws;
}
