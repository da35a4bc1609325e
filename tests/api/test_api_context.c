/* test_api_context.c: every argument of contexts and memory, wrong in every way; nothing may have been written. */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/problem.h"
#include "support/refusal.h"

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void *fresh_thread(void *first_sentence) {
    (void)snprintf(first_sentence, 80, "%s", gru_last_error());
    (void)gru_allocate(NULL, 1, NULL);
    return NULL;
}

TEST(api_context, sentences_belong_to_their_thread) {
    char first[80] = "not yet asked", mine[80];
    pthread_t thread;
    gru_context *context = tester_context(NULL, 1);
    (void)gru_wait(NULL, NULL);
    (void)snprintf(mine, sizeof mine, "%s", gru_last_error());
    REQUIRE(pthread_create(&thread, NULL, fresh_thread, first) == 0, "no thread");
    (void)pthread_join(thread, NULL);
    CHECK(first[0] == '\0', "a fresh thread's sentence is \"%s\"", first);
    CHECK(gru_wait(context, NULL) == GRU_OK && strcmp(mine, gru_last_error()) == 0,
          "success or another thread changed \"%s\" to \"%s\"", mine, gru_last_error());
    gru_context_release(context);
}

TEST(api_context, names_and_numbers) {
    static const char *const names[] = {
        "GRU_OK",        "GRU_BAD_ARGUMENT",  "GRU_BAD_DATA",      "GRU_UNSUPPORTED", "GRU_NOT_BUILT",
        "GRU_NO_DEVICE", "GRU_OUT_OF_MEMORY", "GRU_DEVICE_FAILED", "GRU_IO"};
    for (int i = 0; i <= GRU_IO; i++)
        CHECK(strcmp(gru_status_name(i), names[i]) == 0, "%d is named %s", i, gru_status_name(i));
    const gru_status strange[] = {-1, 9, INT_MAX, INT_MIN};
    for (int i = 0; i < 4; i++)
        CHECK(strcmp(gru_status_name(strange[i]), "unknown") == 0, "%d is named %s", strange[i],
              gru_status_name(strange[i]));
    CHECK(gru_version() == GRU_VERSION_MAJOR * 10000 + GRU_VERSION_MINOR * 100 + GRU_VERSION_PATCH, "%d",
          gru_version());
    CHECK(gru_engine_at(0) && !gru_engine_at(-1) && !gru_engine_at(1000) && !gru_engine_at(INT_MIN),
          "engine names");
    CHECK(*gru_engine_name(NULL, NULL) == '\0' && *gru_engine_reasons(NULL, NULL) == '\0',
          "engines of no layer");
    CHECK(gru_context_backend(NULL) == GRU_BACKEND_AUTO, "backend of no context");
}

/* ---- contexts ----------------------------------------------------------------------------------------------------- */

static void *no_allocate(void *user, size_t bytes, size_t alignment, int32_t device) {
    (void)user, (void)bytes, (void)alignment, (void)device;
    return NULL;
}

static void no_release(void *user, void *memory, size_t bytes, int32_t device) {
    (void)user, (void)memory, (void)bytes, (void)device;
}

static void context_refused(const gru_context_config *config, gru_status expected, const char *what,
                            const char *name, const char *value) {
    gru_context *const before = (gru_context *)(uintptr_t)0x5a5a5a00;
    gru_context *context = before;
    check_refusal(gru_context_create(config, &context), expected, what, name, value);
    CHECK(context == before, "%s: *context was written", what);
}

#define CONTEXT_REFUSED(change, expected, name, value)                  \
    do {                                                                \
        gru_context_config config = GRU_INIT;                           \
        change;                                                         \
        context_refused(&config, (expected), #change, (name), (value)); \
    } while (0)

TEST(api_context, contexts) {
    REFUSED(gru_context_create(NULL, NULL), "context", "NULL");
    CONTEXT_REFUSED(config.backend = -1, GRU_BAD_ARGUMENT, "config.backend", "-1");
    CONTEXT_REFUSED(config.backend = 3, GRU_BAD_ARGUMENT, "config.backend", "3");
    CONTEXT_REFUSED(config.device = -1, GRU_BAD_ARGUMENT, "config.device", "-1");
    CONTEXT_REFUSED(config.threads = -1, GRU_BAD_ARGUMENT, "config.threads", "-1");
    CONTEXT_REFUSED(config.threads = INT_MAX, GRU_BAD_ARGUMENT, "config.threads", "2147483647");
    CONTEXT_REFUSED(config.flags = 64, GRU_BAD_ARGUMENT, "config.flags", "0x40");
    CONTEXT_REFUSED(config.flags = UINT32_MAX, GRU_BAD_ARGUMENT, "config.flags", "0xffffffff");
    CONTEXT_REFUSED(config.allocator.allocate = no_allocate, GRU_BAD_ARGUMENT, "config.allocator", "both");
    CONTEXT_REFUSED(config.allocator.release = no_release, GRU_BAD_ARGUMENT, "config.allocator", "both");
    CONTEXT_REFUSED(config.engine = "", GRU_BAD_ARGUMENT, "config.engine", "\"\"");
    CONTEXT_REFUSED(config.engine = "cpu_magic", GRU_BAD_ARGUMENT, "config.engine", "cpu_magic");
    CONTEXT_REFUSED((config.engine = "cpu_reference", config.backend = GRU_BACKEND_CUDA), GRU_BAD_ARGUMENT,
                    "config.engine", "cpu_reference");
    for (int i = 0; i < 8; i++)
        CONTEXT_REFUSED(config.reserved[i] = 3, GRU_BAD_ARGUMENT, "config.reserved", "3");
    gru_context_config cuda = GRU_INIT;
    gru_context *context = NULL;
    cuda.backend = GRU_BACKEND_CUDA;
    const gru_status status = gru_context_create(&cuda, &context);
    CHECK(status == GRU_OK || status == GRU_NO_DEVICE ||
              (status == GRU_NOT_BUILT && strstr(gru_last_error(), "CUDA")),
          "%s: \"%s\"", gru_status_name(status), gru_last_error());
    gru_context_release(context);
    gru_context_release(NULL);
}

/* Blocks that are aligned to 8 bytes only, and how many of them are out. */
static void *give_misaligned(void *user, size_t bytes, size_t alignment, int32_t device) {
    (void)device;
    char *block = aligned_alloc(alignment, bytes + alignment);
    ++*(int *)user;
    return block + 8;
}

static void take_misaligned(void *user, void *memory, size_t bytes, int32_t device) {
    (void)bytes, (void)device;
    --*(int *)user;
    free((char *)memory - 8);
}

TEST(api_context, an_allocator_that_does_not_align) {
    int blocks = 0;
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU;
    config.allocator = (gru_allocator){give_misaligned, take_misaligned, &blocks};
    context_refused(&config, GRU_OUT_OF_MEMORY, "misaligned memory", "config.allocator.allocate returned",
                    "expected a multiple of 64");
    CHECK(blocks == 0, "%d blocks are left", blocks);
}

TEST(api_context, memory) {
    gru_context *context = tester_context(NULL, 1);
    void *const before = context;
    void *memory = before;
    char from[4] = {1, 2, 3, 4}, to[4] = {0};
    REFUSED(gru_allocate(NULL, 8, &memory), "context", "NULL");
    REFUSED(gru_allocate(context, 8, NULL), "memory", "NULL");
    check_refusal(gru_allocate(context, SIZE_MAX, &memory), GRU_OUT_OF_MEMORY, "all addresses", "memory",
                  "bytes");
    check_refusal(gru_allocate(context, SIZE_MAX / 2, &memory), GRU_OUT_OF_MEMORY, "half of them", "memory",
                  "bytes");
    CHECK(memory == before, "a failed gru_allocate wrote its result");
    REFUSED(gru_copy(NULL, to, from, 4, NULL), "context", "NULL");
    REFUSED(gru_copy(context, NULL, from, 4, NULL), "to", "NULL");
    REFUSED(gru_copy(context, to, NULL, 4, NULL), "from", "NULL");
    REFUSED(gru_copy(context, to, from, 4, to), "stream", "CPU");
    CHECK(to[0] == 0 && to[3] == 0, "a failed gru_copy wrote");
    REFUSED(gru_wait(NULL, NULL), "context", "NULL");
    REFUSED(gru_wait(context, to), "stream", "CPU");
    REFUSED(gru_context_check(NULL, NULL), "context", "NULL");
    REFUSED(gru_context_check(context, to), "stream", "CPU");
    CHECK(gru_copy(context, NULL, NULL, 0, NULL) == GRU_OK, "copying nothing: %s", gru_last_error());
    CHECK(gru_copy(context, to, from, 4, NULL) == GRU_OK && to[3] == 4, "gru_copy did not copy");
    CHECK(gru_allocate(context, 0, &memory) == GRU_OK && memory != before, "no bytes: %s", gru_last_error());
    gru_free(context, memory);
    CHECK(gru_allocate(context, 100, &memory) == GRU_OK && (uintptr_t)memory % 64 == 0, "100 bytes at %p",
          memory);
    memset(memory, 1, 100);
    gru_free(context, memory);
    gru_free(context, NULL);
    gru_free(NULL, NULL);
    gru_context_release(context);
}
