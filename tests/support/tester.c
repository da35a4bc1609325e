/* tester.c: guarded buffers, reproducible numbers and engines by name for all tests. */
#include "tester.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu_features.h"
#include "core/number.h"

long tester_checks;
tester_device_facts tester_device;

/* Tests ask for more memory than there is, and the library has to live with the answer: NULL, not an abort. */
#if defined(__SANITIZE_ADDRESS__)
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
#elif defined(__SANITIZE_THREAD__)
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}
#endif

/* GRU_TEST_HIDE="avx512", or "avx2 avx512": the tests run as on a processor without these. */
void tester_hide_also(uint32_t features) {
    const char *names = getenv("GRU_TEST_HIDE");
    if (names && strstr(names, "avx2")) features |= GRU_CPU_AVX2;
    if (names && strstr(names, "avx512"))
        features |= GRU_CPU_AVX512 | GRU_CPU_AVX512_VNNI | GRU_CPU_AVX512_BF16;
    gru_cpu_features_hide(features);
}

__attribute__((constructor)) static void hide_features(void) {
    tester_hide_also(0);
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

const int tester_engine_numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

size_t tester_engine_count(void) {
    const size_t most = sizeof tester_engine_numbers / sizeof *tester_engine_numbers;
    size_t count = 0;
    while (count < most && gru_engine_at((int32_t)count)) count++;
    return count;
}

/* Layers of one unit, one for each reset. */
static gru_status create_smallest_layers(gru_context *context) {
    const float weights_of_one[3] = {0, 0, 0};
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_status status = GRU_OK;
    config.inputs = config.hidden = 1;
    weights.W = weights.R = weights_of_one;
    for (config.reset_mode = GRU_RESET_AFTER; status == GRU_OK && config.reset_mode <= GRU_RESET_ALL;
         config.reset_mode++) {
        gru_layer *layer = NULL;
        status = gru_layer_create(context, &config, &weights, &layer);
        gru_layer_release(layer);
    }
    return status;
}

const char *tester_engine_missing(const char *engine) {
    static char sentence[1024];
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.engine = engine;
    config.threads = 1;
    gru_status status = gru_context_create(&config, &context);
    if (status == GRU_OK) status = create_smallest_layers(context);
    gru_context_release(context);
    if (status == GRU_OK) return NULL;
    (void)snprintf(sentence, sizeof sentence, "%s", gru_last_error());
    return sentence;
}

gru_context *tester_context(const char *engine, int32_t threads) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = engine ? GRU_BACKEND_AUTO : GRU_BACKEND_CPU; /* a named engine implies its backend */
    config.engine = engine;
    config.threads = threads;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

gru_context *tester_invariant_context(const char *engine) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.engine = engine;
    config.threads = 1;
    config.flags = GRU_BATCH_INVARIANT;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

gru_context *tester_device_context(uint32_t flags) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CUDA;
    config.flags = flags;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

#define SHAPE(T, N, I, H, why) {T, N, I, H, why},
const shape tester_shapes[] = {
#include "test_shapes.def"
};
#undef SHAPE
const int tester_shape_count = sizeof tester_shapes / sizeof *tester_shapes;

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

/* A block: this head in a line of its own, then a guard line, then the memory, then a guard of the same length at its very
 * last byte. Blocks are linked, so that tester_buffer finds them. */
typedef struct head {
    size_t bytes;
    struct head *before, *after;
} head;
enum { LINE = TESTER_GUARD, GUARD = 0xA5 };

static head blocks = {0, &blocks, &blocks};
static pthread_mutex_t blocks_mutex = PTHREAD_MUTEX_INITIALIZER;

static void link_block(head *block) {
    pthread_mutex_lock(&blocks_mutex);
    block->before = &blocks, block->after = blocks.after;
    block->after->before = blocks.after = block;
    pthread_mutex_unlock(&blocks_mutex);
}

static void unlink_block(head *block) {
    pthread_mutex_lock(&blocks_mutex);
    block->before->after = block->after;
    block->after->before = block->before;
    pthread_mutex_unlock(&blocks_mutex);
}

static char *memory_of(head *block) {
    return (char *)block + 2 * LINE;
}

static head *head_of(const void *memory) {
    return (head *)((uintptr_t)memory - 2 * LINE);
}

/* Buffers lie so far apart that a small one, put where another begins, reaches no third. */
enum { APART = 4096 };

void *tester_allocate(size_t bytes) {
    head *block = bytes < SIZE_MAX / 2 ? aligned_alloc(LINE, gru_size_lines(bytes + 3 * LINE + APART)) : NULL;
    REQUIRE(block, "no memory for a test buffer of %zu bytes", bytes);
    block->bytes = bytes;
    char *memory = memory_of(block);
    memset(memory - LINE, GUARD, LINE);
    memset(memory, 0xFF, bytes);
    memset(memory + bytes, GUARD, LINE);
    link_block(block);
    return memory;
}

void *tester_buffer(const void *address, size_t *bytes) {
    void *found = NULL;
    pthread_mutex_lock(&blocks_mutex);
    for (head *block = blocks.after; block != &blocks && !found; block = block->after) {
        if ((uintptr_t)address - (uintptr_t)memory_of(block) > block->bytes) continue;
        found = memory_of(block);
        *bytes = block->bytes;
    }
    pthread_mutex_unlock(&blocks_mutex);
    return found;
}

void *tester_copy(const void *memory, size_t bytes) {
    void *copy = tester_allocate(bytes);
    memcpy(copy, memory, bytes);
    return copy;
}

static int all_bytes(const unsigned char *memory, size_t bytes, int value) {
    for (size_t i = 0; i < bytes; i++)
        if (memory[i] != value) return 0;
    return 1;
}

int tester_intact(const void *memory) {
    const unsigned char *data = memory;
    return all_bytes(data - LINE, LINE, GUARD) && all_bytes(data + head_of(memory)->bytes, LINE, GUARD);
}

int tester_untouched(const void *memory, size_t bytes) {
    return all_bytes(memory, bytes, 0xFF);
}

void tester_free(void *memory) {
    if (!memory) return;
    CHECK(tester_intact(memory), "something was written outside the buffer at %p", memory);
    unlink_block(head_of(memory));
    free(head_of(memory));
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

int tester_takes(uint64_t i) {
    const char *shard = getenv("GRU_TEST_SHARD");
    char *slash = NULL;
    const uint64_t k = shard ? strtoull(shard, &slash, 10) : 0;
    const uint64_t n = slash && *slash == '/' ? strtoull(slash + 1, NULL, 10) : 1;
    const char *seed = getenv("GRU_EMU_SEED");
    const uint64_t turn = seed ? strtoull(seed, NULL, 10) : 0;
    return n <= 1 || i % n == (k + turn) % n;
}

uint64_t tester_random(uint64_t seed, uint64_t i) {
    /* splitmix64 (Steele, Lea, Flood 2014), its constants */
    uint64_t x = seed * 0xd1342543de82ef95u + (i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

double tester_uniform(uint64_t seed, uint64_t i) {
    return (double)(tester_random(seed, i) >> 11) * 0x1p-52 - 1;
}

void tester_fill(void *data, int32_t type, size_t count, double range, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        const double value = range * tester_uniform(seed, i);
        if (type == GRU_INT8)
            ((int8_t *)data)[i] = (int8_t)value;
        else
            gru_store_double(data, type, i, value);
    }
}

uint64_t tester_hash(uint64_t hash, const void *memory, size_t bytes) {
    const unsigned char *data = memory;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash;
}
