/* cpu_backend.c: the CPU backend: its memory and its threads. */
#include "cpu_backend.h"

#include <string.h>

#include "core/check_range.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "cpu_between_layers.h"
#include "cpu_layout.h"
#include "cpu_pack.h"
#include "cpu_processors.h"
#include "cpu_reserve.h"
#include "cpu_threads.h"

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* gru_free does not know the size that the allocator of the caller must get: it is stored in the line before the memory. */
enum { SIZE_LINE = 64 };

static gru_status cpu_allocate(gru_context *context, size_t bytes, void **memory) {
    const size_t whole = gru_size_plus(bytes, SIZE_LINE);
    char *block = gru_host_allocate(context, whole, "a buffer");
    if (!block) return GRU_OUT_OF_MEMORY;
    memcpy(block, &whole, sizeof whole);
    *memory = block + SIZE_LINE;
    return GRU_OK;
}

static void cpu_release(gru_context *context, void *memory) {
    char *block = (char *)memory - SIZE_LINE;
    size_t whole;
    memcpy(&whole, block, sizeof whole);
    gru_host_free(context, block, whole);
}

/* A program that passes a stream takes this context for a CUDA context. */
static gru_status check_no_stream(const void *stream) {
    if (!stream) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "stream is %p, but the context is a CPU, which has none: NULL", stream);
}

static gru_status cpu_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream) {
    (void)context;
    GRU_TRY(check_no_stream(stream));
    memmove(to, from, bytes);
    return GRU_OK;
}

static gru_status cpu_nothing_pending(gru_context *context, void *stream) {
    (void)context;
    return check_no_stream(stream);
}

static int32_t default_threads(void) {
    const int32_t processors = gru_processors(), quota = gru_processor_quota("");
    return quota < processors ? quota : processors;
}

/* The device of a CPU context is its pool of threads: NULL with one thread or with the caller's own threads. */
static gru_status cpu_open(gru_context *context) {
    gru_context_config *config = &context->config;
    gru_pool *pool = NULL;
    if (config->threads == 0) config->threads = default_threads();
    if (config->threads > 1 && !config->parallel) GRU_TRY(gru_pool_create(context, config->threads, &pool));
    context->device = pool;
    config->threads = gru_pool_threads(context);
    return GRU_OK;
}

static void cpu_close(gru_context *context) {
    gru_pool_release(context->device);
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

static size_t cpu_packed_bytes(const gru_layer_config *config) {
    return gru_cpu_packed_layout_of(config).bytes;
}

static gru_status cpu_check_weights(const gru_layer *layer, const gru_weights *weights) {
    return gru_check_weights_range(&layer->config, weights);
}

static gru_status cpu_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream) {
    GRU_TRY(check_no_stream(stream));
    gru_cpu_pack(&layer->config, weights, packed);
    return GRU_OK;
}

static gru_packed_number cpu_packed_number(const gru_layer_config *config, gru_packed_part part, int32_t gate,
                                           int32_t unit, int32_t k) {
    const gru_cpu_packed_layout layout = gru_cpu_packed_layout_of(config);
    const int is_bias = part == GRU_PACKED_BW || part == GRU_PACKED_BR, recurrent = part == GRU_PACKED_R;
    const int split = recurrent && config->reset_mode == GRU_RESET_BEFORE;
    const size_t K = (size_t)(recurrent ? config->hidden : config->inputs);
    const size_t starts[] = {layout.W, layout.R, layout.bW, layout.bR};
    gru_packed_number number = {.type = config->weight_type};
    if (is_bias && number.type != GRU_F64) number.type = GRU_F32;
    number.scale =
        (recurrent ? layout.sR : layout.sW) + gru_cpu_bias_index(gate, (size_t)unit) * sizeof(float);
    const size_t index = is_bias ? gru_cpu_bias_index(gate, (size_t)unit)
                                 : gru_cpu_weight_index(number.type, split, K, gate, (size_t)unit, (size_t)k);
    number.byte = starts[part] + index * gru_type_bytes(number.type);
    return number;
}

const gru_backend gru_backend_cpu = {
    .id = GRU_BACKEND_CPU,
    .name = "cpu",
    .host_memory = 1,
    .open = cpu_open,
    .close = cpu_close,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .copy = cpu_copy,
    .wait = cpu_nothing_pending,
    .check = cpu_nothing_pending,
    .combine = gru_cpu_combine,
    .apply_dropout = gru_cpu_apply_dropout,
    .packed_bytes = cpu_packed_bytes,
    .reserve_bytes = gru_cpu_reserve_bytes,
    .check_reserve = gru_cpu_reserve_check,
    .check_weights = cpu_check_weights,
    .pack = cpu_pack,
    .packed_number = cpu_packed_number,
};
