/* cuda_workspace.c: divides a workspace. */
#include "cuda_workspace.h"

#include "cuda_gemm.h"

/* Takes the bytes behind what was taken so far. */
static size_t take(gru_cuda_workspace *w, size_t bytes) {
    const size_t begin = w->bytes;
    w->bytes = gru_size_plus(begin, gru_cuda_align(bytes));
    return begin;
}

static void take_projection(gru_cuda_workspace *w, const gru_layer *layer) {
    const gru_layer_config *config = &layer->config;
    const gru_cuda_gemm *projection = gru_cuda_layer_of(layer)->projection;
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t pitch = (size_t)gru_cuda_input_pitch(config->inputs, config->weight_type);
    w->chunk_rows = gru_cuda_gemm_rows(projection, w->chunk_rows);
    w->rows = take(w, gru_size_times((size_t)w->chunk_rows, pitch * element));
    w->projected = take(w, gru_size_times((size_t)w->chunk_rows,
                                          (size_t)gru_cuda_projected_row(config->hidden) * sizeof(float)));
    w->products = take(w, gru_cuda_gemm_workspace(projection, w->chunk_rows));
}

gru_cuda_workspace gru_cuda_workspace_of(const gru_layer *layer, int64_t T, int64_t N) {
    const gru_layer_config *config = &layer->config;
    const size_t octets = (size_t)(N / GRU_CUDA_OCTET + (N % GRU_CUDA_OCTET != 0));
    const size_t groups = (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    const size_t tiles = gru_size_times(octets, groups * GRU_CUDA_TILE_BYTES);
    const size_t units =
        gru_size_times((size_t)N, (size_t)gru_cuda_unit_octets(config->hidden) * 8 * sizeof(float));
    const int64_t most = gru_cuda_chunk_rows(config);
    gru_cuda_workspace w = {0};
    w.exchange[0] = take(&w, tiles);
    w.exchange[1] = take(&w, tiles);
    if (config->reset == GRU_RESET_BEFORE) {
        w.exchange_reset = take(&w, tiles);
        w.update_gate = take(&w, units);
        w.arrived = take(&w, gru_size_times(octets, sizeof(uint32_t)));
    }
    w.state = take(&w, units);
    /* at least one step; else as many as fit the chunk, and no more than there are */
    w.chunk_rows = N > most ? N : N > 0 && T > most / N ? most : T * N;
    w.steps = N > 0 && w.chunk_rows > N ? w.chunk_rows / N : 1;
    if (gru_cuda_layer_of(layer)->projection && w.bytes != SIZE_MAX) take_projection(&w, layer);
    return w;
}
