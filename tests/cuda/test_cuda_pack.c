/* test_cuda_pack.c: packed weights of every type, given on either side, against the layout computed number by number here;
 * and weights on the wrong side. */
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "core/layer.h"
#include "cuda/layer/cuda_packed_layout.h"
#include "core/number.h"
#include "support/tester.h"

static const struct {
    int32_t weight_type;
    uint32_t flags;
    const char *name;
} compute_types[] = {
    {GRU_F32, 0, "f32"}, {GRU_F32, GRU_ALLOW_TF32, "tf32"}, {GRU_F16, 0, "f16"}, {GRU_BF16, 0, "bf16"}};

enum { COMPUTE_TYPES = sizeof compute_types / sizeof *compute_types, TYPES = GRU_INT8 + 1, ARRAYS = 6 };

/* ---- weights ---- */

/* W, R, bW, bR, W_scale, R_scale of one type, on the host. */
typedef struct given {
    gru_weights weights;
    void *array[ARRAYS];
    size_t bytes[ARRAYS];
} given;

static void add_array(given *g, int i, int32_t type, size_t count, uint64_t seed) {
    g->bytes[i] = count * gru_type_bytes(type);
    g->array[i] = tester_allocate(g->bytes[i]);
    tester_fill(g->array[i], type, count, type == GRU_INT8 ? 127 : 2, seed);
}

static void point(given *g, void *const array[ARRAYS]) {
    g->weights.W = array[0], g->weights.R = array[1];
    g->weights.bW = array[2], g->weights.bR = array[3];
    g->weights.W_scale = array[4], g->weights.R_scale = array[5];
}

static given make_weights(int32_t type, int32_t inputs, int32_t hidden, uint64_t seed) {
    const size_t I = (size_t)inputs, H = (size_t)hidden;
    const int32_t bias = type == GRU_INT8 ? GRU_F32 : type;
    given g = {.weights = {.type = type}};
    if (I) add_array(&g, 0, type, 3 * H * I, seed);
    add_array(&g, 1, type, 3 * H * H, seed + 1);
    add_array(&g, 2, bias, 3 * H, seed + 2);
    if (seed % 2) add_array(&g, 3, bias, 3 * H, seed + 3); /* else NULL: zeros */
    if (type == GRU_INT8 && I) add_array(&g, 4, GRU_F32, 3 * H, seed + 4);
    if (type == GRU_INT8) add_array(&g, 5, GRU_F32, 3 * H, seed + 5);
    point(&g, g.array);
    return g;
}

static void free_weights(given *g) {
    for (int i = 0; i < ARRAYS; i++) tester_free(g->array[i]);
}

/* The same weights in memory of the device; array: to be given back. */
static gru_weights on_device(gru_context *context, const given *g, void *array[ARRAYS]) {
    given copy = *g;
    for (int i = 0; i < ARRAYS; i++) {
        array[i] = NULL;
        if (!g->array[i]) continue;
        REQUIRE(gru_allocate(context, g->bytes[i], &array[i]) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_copy(context, array[i], g->array[i], g->bytes[i], NULL) == GRU_OK, "%s",
                gru_last_error());
    }
    point(&copy, array);
    copy.weights.on_device = 1;
    return copy.weights;
}

/* ---- the layout once more ---- */

/* As cvt.rna.tf32 rounds: to nearest, ties away from zero. */
static float tf32(float value) {
    return gru_float_from_bits((gru_bits_from_float(value) + 0x1000u) & ~0x1fffu);
}

static void put(char *part, int compute_type, size_t index, float value) {
    gru_store_float(part, compute_types[compute_type].weight_type, index,
                    compute_types[compute_type].flags ? tf32(value) : value);
}

static float number(const void *data, int32_t type, const float *scale, size_t row, size_t columns,
                    size_t k) {
    const size_t i = row * columns + k;
    return type == GRU_INT8 ? (float)((const int8_t *)data)[i] * scale[row] : gru_load_float(data, type, i);
}

/* All layout but staging. */
static char *expected_layout(const given *g, int compute_type, int32_t inputs, int32_t hidden, size_t bytes,
                             const gru_cuda_packed_layout *layout) {
    char *packed = calloc(1, bytes);
    const size_t I = (size_t)inputs, H = (size_t)hidden;
    const size_t element = gru_type_bytes(compute_types[compute_type].weight_type), line = 16 / element,
                 group = 64 / element;
    const size_t pitch = (I + line - 1) / line * line, groups = (H + group - 1) / group;
    const int32_t bias = g->weights.type == GRU_INT8 ? GRU_F32 : g->weights.type;
    for (size_t row = 0; row < 3 * H; row++) {
        const size_t gate = row / H, unit = row % H, octet = unit / 8,
                     place = (octet * 3 + gate) * 8 + unit % 8;
        if (g->weights.bW)
            ((float *)(void *)(packed + layout->bW))[place] = gru_load_float(g->weights.bW, bias, row);
        if (g->weights.bR)
            ((float *)(void *)(packed + layout->bR))[place] = gru_load_float(g->weights.bR, bias, row);
        for (size_t i = 0; i < I; i++)
            put(packed + layout->W, compute_type, place * pitch + i,
                number(g->weights.W, g->weights.type, g->weights.W_scale, row, I, i));
        for (size_t k = 0; k < H; k++)
            put(packed + layout->R, compute_type,
                (((octet * groups + k / group) * 3 + gate) * 8 + unit % 8) * group + k % group,
                number(g->weights.R, g->weights.type, g->weights.R_scale, row, H, k));
    }
    return packed;
}

/* ---- comparing ---- */

static gru_layer *open_layer(gru_context *context, int compute_type, int32_t inputs, int32_t hidden,
                             const gru_weights *weights) {
    gru_layer_config config = GRU_INIT;
    gru_layer *layer = NULL;
    config.inputs = inputs, config.hidden = hidden;
    config.weight_type = compute_types[compute_type].weight_type;
    REQUIRE(gru_layer_create(context, &config, weights, &layer) == GRU_OK, "%s", gru_last_error());
    return layer;
}

static void check_packed(gru_context *context, const gru_layer *layer, const void *packed, const given *g,
                         int compute_type, const char *how) {
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(&layer->config);
    const int32_t I = layer->config.inputs, H = layer->config.hidden;
    char *seen = malloc(layout.staging),
         *wanted = expected_layout(g, compute_type, I, H, layout.staging, &layout);
    CHECK(layer->packed_bytes == layout.bytes, "%zu bytes, expected %zu", layer->packed_bytes, layout.bytes);
    REQUIRE(gru_copy(context, seen, packed, layout.staging, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, NULL) == GRU_OK, "%s", gru_last_error());
    size_t at = 0;
    while (at < layout.staging && seen[at] == wanted[at]) at++;
    CHECK(at == layout.staging, "%s as %s, %s, I %d, H %d: byte %zu differs (W %zu, R %zu)",
          gru_type_name(g->weights.type), compute_types[compute_type].name, how, I, H, at, layout.W,
          layout.R);
    free(seen);
    free(wanted);
}

/* One set of weights by every way into packed memory. */
static void pack_every_way(gru_context *context, int compute_type, int32_t type, int32_t inputs,
                           int32_t hidden, uint64_t seed) {
    given first = make_weights(type, inputs, hidden, seed),
          second = make_weights(type, inputs, hidden, seed + 7);
    void *array[ARRAYS], *packed = NULL;
    gru_layer *layer = open_layer(context, compute_type, inputs, hidden, &first.weights);
    check_packed(context, layer, layer->packed, &first, compute_type, "created from the host");
    const gru_weights there = on_device(context, &second, array);
    CHECK(gru_layer_update(layer, &there, NULL) == GRU_OK, "%s", gru_last_error());
    check_packed(context, layer, layer->packed, &second, compute_type, "updated from the device");
    CHECK(gru_layer_update(layer, &first.weights, NULL) == GRU_OK, "%s", gru_last_error());
    check_packed(context, layer, layer->packed, &first, compute_type, "updated from the host");
    REQUIRE(gru_allocate(context, layer->packed_bytes, &packed) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_layer_pack(layer, &there, packed, NULL) == GRU_OK, "%s", gru_last_error());
    check_packed(context, layer, packed, &second, compute_type, "packed from the device");
    gru_free(context, packed);
    for (int i = 0; i < ARRAYS; i++) gru_free(context, array[i]);
    gru_layer_release(layer);
    free_weights(&first);
    free_weights(&second);
}

TEST(cuda_pack, every_type) {
    static const int32_t sizes[][2] = {{1, 1}, {3, 5}, {8, 16}, {0, 7}, {33, 17}, {20, 40}};
    for (int compute_type = 0; compute_type < COMPUTE_TYPES; compute_type++) {
        gru_context *context = tester_device_context(compute_types[compute_type].flags);
        for (int32_t type = 0; type < TYPES; type++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                pack_every_way(context, compute_type, type, sizes[s][0], sizes[s][1],
                               10 * s + (uint64_t)type);
        gru_context_release(context);
    }
}

TEST(cuda_pack, weights_that_travel_in_pieces) {
    gru_context *context = tester_device_context(0);
    pack_every_way(context, 2, GRU_F64, 130, 255, 3);
    given scaled = make_weights(GRU_INT8, 1100, 330, 4);
    gru_layer *layer = open_layer(context, 0, 1100, 330, &scaled.weights);
    check_packed(context, layer, layer->packed, &scaled, 0, "created in pieces");
    gru_layer_release(layer);
    free_weights(&scaled);
    gru_context_release(context);
}

/* Pinned memory is read when the stream comes to it: a creation that did not wait would pack what is there later. */
TEST(cuda_pack, weights_are_read_when_the_layer_is_there) {
    gru_context *context = tester_device_context(0);
    given g = make_weights(GRU_F32, 6, 10, 1);
    void *pinned[ARRAYS] = {NULL};
    for (int i = 0; i < ARRAYS; i++) {
        if (!g.array[i]) continue;
        REQUIRE(cudaMallocHost(&pinned[i], g.bytes[i]) == cudaSuccess, "no pinned memory");
        memcpy(pinned[i], g.array[i], g.bytes[i]);
    }
    given moved = g;
    point(&moved, pinned);
    gru_layer *layer = open_layer(context, 0, 6, 10, &moved.weights);
    for (int i = 0; i < ARRAYS; i++)
        if (pinned[i]) memset(pinned[i], 0xFF, g.bytes[i]);
    check_packed(context, layer, layer->packed, &g, 0, "created from pinned memory");
    for (int i = 0; i < ARRAYS; i++) CHECK(cudaFreeHost(pinned[i]) == cudaSuccess, "pinned memory");
    gru_layer_release(layer);
    gru_context_release(context);
    free_weights(&g);
}

/* ---- sides ---- */

static void check_refused(gru_layer *layer, const gru_weights *weights, const char *name, const char *words) {
    const gru_status status = gru_layer_update(layer, weights, NULL);
    CHECK(status == GRU_BAD_ARGUMENT && strstr(gru_last_error(), name) && strstr(gru_last_error(), words),
          "%s \"%s\", expected \"%s\" and \"%s\"", gru_status_name(status), gru_last_error(), name, words);
}

TEST(cuda_pack, the_wrong_side) {
    gru_context *context = tester_device_context(0);
    given g = make_weights(GRU_INT8, 3, 5, 1), f = make_weights(GRU_F32, 3, 5, 2);
    void *array[ARRAYS];
    gru_layer *layer = open_layer(context, 0, 3, 5, &f.weights);
    const gru_weights there = on_device(context, &g, array);
    static const char *const names[ARRAYS] = {"weights.W is ",  "weights.R is ",       "weights.bW is ",
                                              "weights.bR is ", "weights.W_scale is ", "weights.R_scale is "};
    for (int i = 0; i < ARRAYS; i++) {
        void *mixed[ARRAYS];
        given bad = g;
        memcpy(mixed, array, sizeof mixed);
        mixed[i] = g.array[i];
        point(&bad, mixed);
        bad.weights.on_device = 1;
        check_refused(layer, &bad.weights, names[i], "host memory; expected memory of CUDA device 0");
        memcpy(mixed, g.array, sizeof mixed);
        mixed[i] = array[i];
        point(&bad, mixed);
        bad.weights.on_device = 0;
        check_refused(layer, &bad.weights, names[i], "memory of CUDA device 0; expected host memory");
    }
    void *host = tester_allocate(layer->packed_bytes);
    CHECK(gru_layer_pack(layer, &there, host, NULL) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "packed is "),
          "%s", gru_last_error());
    CHECK(tester_untouched(host, layer->packed_bytes), "host memory was written");
    check_packed(context, layer, layer->packed, &f, 0, "after refusals");
    tester_free(host);
    for (int i = 0; i < ARRAYS; i++) gru_free(context, array[i]);
    gru_layer_release(layer);
    gru_context_release(context);
    free_weights(&g);
    free_weights(&f);
}

/* ---- recordings ---- */

TEST(cuda_pack, an_update_is_recorded) {
    gru_context *context = tester_device_context(0);
    given old = make_weights(GRU_F32, 9, 20, 1), new = make_weights(GRU_F32, 9, 20, 3);
    void *array[ARRAYS];
    gru_layer *layer = open_layer(context, 3, 9, 20, &old.weights);
    const gru_weights there = on_device(context, &old, array);
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    const uint64_t loaded = emu_loaded(), allocated = emu_allocations();
    CHECK(gru_wait(context, NULL) == GRU_OK && !cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
          "stream");
    CHECK(!cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin");
    CHECK(gru_layer_update(layer, &there, stream) == GRU_OK, "%s", gru_last_error());
    CHECK(!cudaStreamEndCapture(stream, &graph) && !cudaGraphInstantiate(&ready, graph, 0),
          "the recording broke");
    CHECK(emu_loaded() == loaded && emu_allocations() == allocated, "an update loads or allocates");
    for (int i = 0; i < ARRAYS; i++)
        if (array[i])
            CHECK(gru_copy(context, array[i], new.array[i], new.bytes[i], stream) == GRU_OK, "copy");
    check_packed(context, layer, layer->packed, &old, 3, "before the replay");
    CHECK(!cudaGraphLaunch(ready, stream) && gru_wait(context, stream) == GRU_OK, "%s", gru_last_error());
    check_packed(context, layer, layer->packed, &new, 3, "after the replay");
    CHECK(!cudaGraphExecDestroy(ready) && !cudaGraphDestroy(graph) && !cudaStreamDestroy(stream), "ends");
    for (int i = 0; i < ARRAYS; i++) gru_free(context, array[i]);
    gru_layer_release(layer);
    gru_context_release(context);
    free_weights(&old);
    free_weights(&new);
}
