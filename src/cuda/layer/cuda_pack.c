/* cuda_pack.c: packs a layer's weights on the device. Host weights are copied piece by piece through the staging area of the
 * packed memory, in stream order, so that nothing is allocated and nothing waits. */
#include "cuda_pack.h"

#include "core/check_range.h"
#include "cuda/device/cuda_pointer_check.h"
#include "cuda_layer.h"

/* One of W, R and the biases. */
typedef struct matrix {
    gru_cuda_matrix kind;
    const void *data;   /* [3H][K]; NULL: zeros */
    const float *scale; /* [3H] of int8; else NULL */
    int32_t type, K;
    size_t offset; /* in packed */
} matrix;

typedef struct packing {
    gru_cuda_device *device;
    const gru_layer_config *config;
    gru_cuda_packed_layout layout;
    char *packed;
    int on_device;
    cudaStream_t stream;
} packing;

/* ---- sides ---- */

static gru_status check_on_host(gru_cuda_device *device, const char *name, const void *data) {
    struct cudaPointerAttributes attributes;
    if (!data) return GRU_OK;
    GRU_CUDA_TRY(device, cudaPointerGetAttributes(&attributes, data), "querying the weights' pointer");
    if (attributes.type != cudaMemoryTypeDevice) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT,
                    "%s is %p, memory of CUDA device %d; expected host memory, as weights.on_device is 0",
                    name, data, attributes.device);
}

static gru_status check_sides(gru_cuda_device *device, const gru_weights *weights) {
    const struct {
        const char *name;
        const void *data;
    } arrays[] = {{"weights.W", weights->W},
                  {"weights.R", weights->R},
                  {"weights.bW", weights->bW},
                  {"weights.bR", weights->bR},
                  {"weights.W_scale", weights->W_scale},
                  {"weights.R_scale", weights->R_scale}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        GRU_TRY((weights->on_device ? gru_cuda_check_memory : check_on_host)(device, arrays[i].name,
                                                                             arrays[i].data));
    return GRU_OK;
}

/* ---- rows ---- */

static gru_status copy_to_staging(const packing *p, size_t at, const void *from, size_t bytes) {
    return gru_cuda_status(
        p->device,
        cudaMemcpyAsync(p->packed + p->layout.staging + at, from, bytes, cudaMemcpyHostToDevice, p->stream),
        "copying weights");
}

/* Copies the rows of a piece to staging, and lets the piece read them there. */
static gru_status stage(const packing *p, const matrix *m, gru_cuda_pack *piece) {
    const size_t row = (size_t)m->K * gru_type_bytes(m->type), count = (size_t)piece->count;
    const size_t scales = (count * row + sizeof(float) - 1) / sizeof(float) * sizeof(float);
    GRU_TRY(copy_to_staging(p, 0, piece->rows, count * row));
    if (piece->scale) GRU_TRY(copy_to_staging(p, scales, piece->scale, count * sizeof(float)));
    piece->rows = p->packed + p->layout.staging;
    if (piece->scale) piece->scale = (const float *)(const void *)(p->packed + p->layout.staging + scales);
    return GRU_OK;
}

/* Rows of one piece. Staging has space for a row of f64 and 8 bytes more, so for a row of any type with its scale. */
static int32_t rows_of_piece(const packing *p, const matrix *m) {
    const int32_t all = GATES * p->config->hidden;
    const size_t row = (size_t)m->K * gru_type_bytes(m->type) + (m->scale ? sizeof(float) : 0);
    const size_t fit = (p->layout.staging_bytes - sizeof(float)) / row;
    return p->on_device || fit > (size_t)all ? all : (int32_t)fit;
}

static gru_status pack_matrix(const packing *p, const matrix *m) {
    if (!m->data || m->K == 0) return GRU_OK;
    const int32_t all = GATES * p->config->hidden, most = rows_of_piece(p, m);
    const size_t row = (size_t)m->K * gru_type_bytes(m->type);
    for (int32_t first = 0; first < all; first += most) {
        gru_cuda_pack piece = {.matrix = m->kind,
                               .compute_type = gru_cuda_compute_type_of(p->device, p->config),
                               .H = p->config->hidden,
                               .K = m->K,
                               .first = first,
                               .count = all - first < most ? all - first : most,
                               .rows = (const char *)m->data + (size_t)first * row,
                               .type = m->type,
                               .scale = m->scale ? m->scale + first : NULL,
                               .packed = p->packed + m->offset};
        if (!p->on_device) GRU_TRY(stage(p, m, &piece));
        GRU_CUDA_TRY(p->device, gru_cuda_launch_pack(&piece, p->stream), "launching the packing of weights");
    }
    return GRU_OK;
}

static gru_status pack_all(const packing *p, const gru_weights *w) {
    const int32_t bias_type = w->type == GRU_INT8 ? GRU_F32 : w->type;
    const int32_t I = p->config->inputs, H = p->config->hidden;
    const matrix matrices[] = {
        {GRU_CUDA_BIAS, w->bW, NULL, bias_type, 1, p->layout.bW},
        {GRU_CUDA_BIAS, w->bR, NULL, bias_type, 1, p->layout.bR},
        {GRU_CUDA_INPUT_WEIGHTS, w->W, w->W_scale, w->type, I, p->layout.W},
        {GRU_CUDA_RECURRENT_WEIGHTS, w->R, w->R_scale, w->type, H, p->layout.R},
    };
    GRU_TRY(gru_cuda_check_memory(p->device, "packed", p->packed));
    GRU_CUDA_TRY(p->device, cudaMemsetAsync(p->packed, 0, p->layout.staging, p->stream),
                 "clearing packed weights");
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) GRU_TRY(pack_matrix(p, &matrices[i]));
    return GRU_OK;
}

gru_status gru_cuda_check_weights(const gru_layer *layer, const gru_weights *weights) {
    gru_cuda_device *device = gru_cuda_device_of(layer->context);
    int previous;
    GRU_TRY(gru_cuda_enter(device, &previous));
    gru_status status = check_sides(device, weights);
    if (status == GRU_OK) status = gru_check_weights_range(&layer->config, weights);
    gru_cuda_leave(device, previous);
    return status;
}

gru_status gru_cuda_pack_weights(const gru_layer *layer, const gru_weights *weights, void *packed,
                                 void *stream) {
    const packing p = {.device = gru_cuda_device_of(layer->context),
                       .config = &layer->config,
                       .layout = gru_cuda_packed_layout_of(&layer->config),
                       .packed = packed,
                       .on_device = weights->on_device,
                       .stream = gru_cuda_stream(stream)};
    int previous;
    GRU_TRY(gru_cuda_enter(p.device, &previous));
    const gru_status status = pack_all(&p, weights);
    gru_cuda_leave(p.device, previous);
    return status;
}
