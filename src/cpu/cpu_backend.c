/* cpu_backend.c: the CPU backend: memory, threads, and the mark on a training reserve. */
#include "cpu_engine.h"

#include <string.h>

#include "core/error.h"
#include "cpu_kernels.h"
#include "cpu_threads.h"

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* gru_free is not told the size that the caller's allocator wants back, so it stands in the line before the memory. */
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

/* A stream here is a program that takes this context for another machine's. */
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

/* The machine of a CPU context is its pool of threads; none with one thread or with the caller's own. */
static gru_status cpu_open(gru_context *context) {
    gru_context_config *config = &context->config;
    gru_pool *pool = NULL;
    if (config->threads == 0) config->threads = gru_processors();
    if (config->threads > 1 && !config->parallel) GRU_TRY(gru_pool_create(context, config->threads, &pool));
    context->machine = pool;
    return GRU_OK;
}

static void cpu_close(gru_context *context) {
    gru_pool_release(context->machine);
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

static size_t cpu_packed_bytes(const gru_layer_config *config) {
    return gru_cpu_packed_parts(config).bytes;
}

static gru_status cpu_pack(const gru_layer *layer, const gru_weights *weights, void *packed, void *stream) {
    GRU_TRY(check_no_stream(stream));
    gru_cpu_pack(&layer->config, weights, packed);
    return GRU_OK;
}

/* ---- reserve --------------------------------------------------------------------------------------------------- */

static uint64_t weights_sum(const gru_layer *layer, const gru_run *run) {
    const uint32_t *words = gru_run_packed(layer, run);
    uint64_t sum = 0;
    for (size_t i = 0; i < layer->packed_bytes / sizeof *words; i++) sum += gru_weights_term(words[i], i);
    return gru_weights_whole(sum);
}

static int checks_weights(const gru_layer *layer) {
    return (layer->context->config.flags & GRU_CHECK_WEIGHTS) != 0;
}

/* Numbers of one row of one step. */
static size_t kept_numbers(const gru_layer_config *config) {
    return config->io_type == GRU_F64 ? 0 : gru_cpu_panels(config->hidden) * PANEL * KEPT;
}

size_t gru_cpu_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N) {
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    return gru_size_plus(gru_size_lines(gru_reserve_bytes(config, T, N)),
                         gru_size_times(rows, kept_numbers(config) * sizeof(float)));
}

float *gru_cpu_reserve_kept(const gru_layer *layer, const gru_run *run, int64_t s, int64_t n) {
    const size_t behind = gru_size_lines(gru_reserve_bytes(&layer->config, run->T, run->N));
    const size_t row = (size_t)s * (size_t)run->N + (size_t)n;
    return (float *)(void *)((char *)run->reserve + behind) + row * kept_numbers(&layer->config);
}

void gru_cpu_reserve_sign(const gru_layer *layer, const gru_run *run, int kept) {
    if (run->mode == GRU_INFERENCE) return;
    gru_reserve_head head = gru_reserve_head_of(&layer->config, run);
    head.kept = kept ? 1 : 0;
    if (checks_weights(layer)) head.weights = weights_sum(layer, run), head.machine = GRU_BACKEND_CPU;
    memcpy(run->reserve, &head, sizeof head);
}

int gru_cpu_reserve_has_kept(const gru_run *run) {
    gru_reserve_head head;
    memcpy(&head, run->reserve, sizeof head);
    return head.kept == 1;
}

gru_status gru_cpu_reserve_check(const gru_layer *layer, const gru_run *run) {
    gru_reserve_head head;
    memcpy(&head, run->reserve, sizeof head);
    if (head.mark != gru_reserve_mark(&layer->config))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.reserve was not written by a training run of a layer like this one");
    if (head.T != run->T || head.N != run->N)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "run.reserve was written with T %lld and N %lld, but run has T %lld and N %lld",
                        (long long)head.T, (long long)head.N, (long long)run->T, (long long)run->N);
    if (checks_weights(layer) && head.weights && /* else no need to read them */
        gru_weights_differ(head.weights, head.machine, weights_sum(layer, run), GRU_BACKEND_CPU))
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "run.reserve was made with other weights: the layer was updated, or run.packed changed, "
            "between forward and backward");
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
    .add = gru_cpu_add,
    .drop = gru_cpu_drop,
    .packed_bytes = cpu_packed_bytes,
    .reserve_bytes = gru_cpu_reserve_bytes,
    .check_reserve = gru_cpu_reserve_check,
    .pack = cpu_pack,
};
