/* onnx_gru.c: layers for the directions of a GRU node, made at its first run, and runs of them. */
#include "onnx_gru.h"

#include <pthread.h>

#include "scratch.h"

struct onnx_gru {
    onnx_gru_config config;
    gru_context *context;
    pthread_mutex_t making;
    atomic_int is_made;
    gru_layer *layers[2];
    scratch scratch;
};

gru_status onnx_gru_create(const onnx_gru_config *config, onnx_gru **gru) {
    const gru_context_config cpu = {.backend = GRU_BACKEND_CPU, .threads = config->threads};
    *gru = calloc(1, sizeof **gru);
    if (!*gru) return GRU_OUT_OF_MEMORY;
    (*gru)->config = *config;
    pthread_mutex_init(&(*gru)->making, NULL);
    const gru_status status = gru_context_create(&cpu, &(*gru)->context);
    if (status != GRU_OK) {
        onnx_gru_release(*gru);
        *gru = NULL;
    }
    return status;
}

void onnx_gru_release(onnx_gru *gru) {
    if (!gru) return;
    gru_layer_release(gru->layers[0]);
    gru_layer_release(gru->layers[1]);
    gru_context_release(gru->context);
    pthread_mutex_destroy(&gru->making);
    free(gru->scratch.block);
    free(gru);
}

const onnx_gru_config *onnx_gru_described(const onnx_gru *gru) {
    return &gru->config;
}

/* ---- weights ---- */

/* Gives a function the weights of direction d in libgru's order. */
typedef gru_status (*take_weights)(onnx_gru *gru, int32_t d, const gru_layer_config *shape,
                                   const gru_weights *weights, void *to);

static gru_status make_layer(onnx_gru *gru, int32_t d, const gru_layer_config *shape,
                             const gru_weights *weights, void *to) {
    (void)to;
    return gru_layer_create(gru->context, shape, weights, &gru->layers[d]);
}

static gru_status pack(onnx_gru *gru, int32_t d, const gru_layer_config *shape, const gru_weights *weights,
                       void *to) {
    (void)shape;
    return gru_layer_pack(gru->layers[d], weights, to, NULL);
}

/* shape: with the layer's inputs. gru_import() refuses weights of another number. */
static gru_status with_weights(onnx_gru *gru, int32_t d, const gru_layer_config *shape,
                               const onnx_gru_run *run, take_weights take, void *to) {
    const size_t H = (size_t)shape->hidden, W = 3 * H * (size_t)shape->inputs, R = 3 * H * H;
    const size_t given = 3 * H * (size_t)run->I;
    float *numbers = malloc((W + R + 6 * H) * sizeof *numbers);
    if (!numbers) return GRU_OUT_OF_MEMORY;
    const gru_framework_weights from = {.order = GRU_ORDER_ONNX,
                                        .reset_mode = shape->reset_mode,
                                        .arrays = {run->W + (size_t)d * given, run->R + (size_t)d * R,
                                                   run->B ? run->B + (size_t)d * 6 * H : NULL},
                                        .counts = {given, R, run->B ? 6 * H : 0}};
    const gru_native_weights native = {
        .W = numbers, .R = numbers + W, .bW = numbers + W + R, .bR = numbers + W + R + 3 * H};
    const gru_weights weights = {.W = native.W, .R = native.R, .bW = native.bW, .bR = native.bR};
    gru_status status = gru_import(&from, shape, &native);
    if (status == GRU_OK) status = take(gru, d, shape, &weights, to);
    free(numbers);
    return status;
}

/* Layers are made at the first run, which tells the number of inputs. Constant weights are packed into them. */
static gru_status make_layers(onnx_gru *gru, const onnx_gru_run *run) {
    gru_status status = GRU_OK;
    for (int32_t d = 0; d < gru->config.count && status == GRU_OK; d++) {
        if (gru->layers[d]) continue;
        gru_layer_config shape = gru->config.directions[d];
        shape.inputs = (int32_t)run->I;
        status = gru->config.constant ? with_weights(gru, d, &shape, run, make_layer, NULL)
                                      : gru_layer_create(gru->context, &shape, NULL, &gru->layers[d]);
    }
    return status;
}

static gru_status prepare(onnx_gru *gru, const onnx_gru_run *run) {
    if (atomic_load(&gru->is_made)) return GRU_OK;
    pthread_mutex_lock(&gru->making);
    const gru_status status = make_layers(gru, run);
    if (status == GRU_OK) atomic_store(&gru->is_made, 1);
    pthread_mutex_unlock(&gru->making);
    return status;
}

/* ---- a run ---- */

static gru_run direction_of(const onnx_gru *gru, const onnx_gru_run *run, int32_t d) {
    const int64_t H = gru->config.directions[0].hidden, D = gru->config.count, T = run->T, N = run->N;
    gru_run made = {.T = T, .N = N, .lengths = run->lengths, .x.data = run->x};
    const int64_t first = gru->config.batch_first ? d * H : d * N * H;
    made.h0 = run->h0 ? run->h0 + first : NULL;
    made.hT = run->hT ? run->hT + first : NULL;
    made.y.data = run->y ? run->y + first : NULL;
    made.y.time_stride = D * N * H, made.y.batch_stride = H;
    if (gru->config.batch_first) {
        made.x.time_stride = run->I, made.x.batch_stride = T * run->I;
        made.y.time_stride = D * H, made.y.batch_stride = T * D * H;
        made.h0_stride = made.hT_stride = D * H;
    }
    return made;
}

/* Packs the weights of this run into memory. */
static gru_status pack_run(onnx_gru *gru, const onnx_gru_run *run, int32_t d, void *to) {
    gru_layer_config shape;
    const gru_status status = gru_layer_describe(gru->layers[d], &shape);
    return status == GRU_OK ? with_weights(gru, d, &shape, run, pack, to) : status;
}

static gru_status forward(onnx_gru *gru, const onnx_gru_run *run, int32_t d) {
    gru_sizes sizes;
    gru_run made = direction_of(gru, run, d);
    gru_status status = gru_layer_sizes(gru->layers[d], run->T, run->N, &sizes);
    if (status != GRU_OK) return status;
    const size_t packed = gru->config.constant ? 0 : (sizes.packed + 63) / 64 * 64;
    char *memory = scratch_take(&gru->scratch, packed + sizes.workspace);
    if (!memory) return GRU_OUT_OF_MEMORY;
    made.workspace = memory + packed, made.workspace_size = sizes.workspace;
    if (!gru->config.constant) {
        made.packed = memory;
        status = pack_run(gru, run, d, memory);
    }
    if (status == GRU_OK) status = gru_layer_forward(gru->layers[d], &made);
    scratch_give_back(&gru->scratch, memory);
    return status;
}

gru_status onnx_gru_forward(onnx_gru *gru, const onnx_gru_run *run) {
    gru_status status = prepare(gru, run);
    for (int32_t d = 0; d < gru->config.count && status == GRU_OK; d++) status = forward(gru, run, d);
    return status;
}
