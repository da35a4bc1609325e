/* cpu_backend.c: the CPU backend: its memory and its threads. */
#include "cpu_backend.h"

#include <string.h>

#include "core/error.h"
#include "core/host_memory.h"
#include "cpu_between_layers.h"
#include "cpu_layout.h"
#include "cpu_pack.h"
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

/* The device of a CPU context is its pool of threads: NULL with one thread or with the caller's own threads. */
static gru_status cpu_open(gru_context *context) {
    gru_context_config *config = &context->config;
    gru_pool *pool = NULL;
    if (config->threads == 0) config->threads = gru_processors();
    if (config->threads > 1 && !config->parallel) GRU_TRY(gru_pool_create(context, config->threads, &pool));
    context->device = pool;
    return GRU_OK;
}

static void cpu_close(gru_context *context) {
    gru_pool_release(context->device);
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

static size_t cpu_packed_bytes(const gru_layer_config *config) {
    return gru_cpu_packed_layout_of(config).bytes;
}

static gru_status cpu_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream) {
    GRU_TRY(check_no_stream(stream));
    gru_cpu_pack(&layer->config, weights, packed);
    return GRU_OK;
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
    .add_tensors = gru_cpu_add_tensors,
    .apply_dropout = gru_cpu_apply_dropout,
    .packed_bytes = cpu_packed_bytes,
    .reserve_bytes = gru_cpu_reserve_bytes,
    .check_reserve = gru_cpu_reserve_check,
    .pack = cpu_pack,
};
