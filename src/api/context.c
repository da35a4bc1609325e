/* context.c: creates contexts, counts their references, and offers their memory functions. */
#include "core/context.h"

#include <stdio.h>
#include <string.h>

#include "check_view.h"
#include "device_check.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "registry.h"

enum { MAX_THREADS = 1024 };

static gru_status check_config(const gru_context_config *config) {
    if (config->backend < GRU_BACKEND_AUTO || config->backend > GRU_BACKEND_CUDA)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.backend is %d, expected GRU_BACKEND_AUTO, _CPU or _CUDA (0 to 2)",
                        config->backend);
    if (config->device < 0)
        return gru_fail(GRU_BAD_ARGUMENT, "config.device is %d, expected 0 or more", config->device);
    if (config->threads < 0 || config->threads > MAX_THREADS)
        return gru_fail(GRU_BAD_ARGUMENT, "config.threads is %d, expected 0 to %d", config->threads,
                        MAX_THREADS);
    const uint32_t known = GRU_ALLOW_TF32 | GRU_BATCH_INVARIANT | GRU_SKIP_POINTER_CHECKS |
                           GRU_CHECK_WEIGHTS | GRU_CHECK_DEVICE | GRU_ALLOW_BF16;
    if (config->flags & ~known)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.flags is 0x%x, expected GRU_ALLOW_TF32 | GRU_BATCH_INVARIANT | "
                        "GRU_SKIP_POINTER_CHECKS | GRU_CHECK_WEIGHTS | GRU_CHECK_DEVICE | "
                        "GRU_ALLOW_BF16 at most",
                        config->flags);
    if (!config->allocator.allocate != !config->allocator.release)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.allocator has only one of allocate and release, expected both or none");
    return gru_check_reserved("config", config->reserved, 8);
}

static const gru_engine *engine_by_name(const char *name) {
    const gru_engine *engine;
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL; i++)
        if (strcmp(engine->name, name) == 0) return engine;
    return NULL;
}

static gru_status name_engine(gru_context *context) {
    if (!context->config.engine) return GRU_OK;
    const gru_engine *engine = engine_by_name(context->config.engine);
    if (!engine)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.engine is \"%.40s\", expected a name that gru_engine_at gives",
                        context->config.engine);
    if (context->config.backend == GRU_BACKEND_AUTO) context->config.backend = engine->backend->id;
    if (context->config.backend != engine->backend->id)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.engine is \"%s\", which does not belong to config.backend %d", engine->name,
                        context->config.backend);
    (void)snprintf(context->engine_name, sizeof context->engine_name, "%s", engine->name);
    context->config.engine = context->engine_name;
    return GRU_OK;
}

/* check: only if the device computes what the reference computes. */
static gru_status open_one(gru_context *context, const gru_backend *backend, int check) {
    context->backend = backend;
    context->config.backend = backend->id;
    gru_status status = backend->open(context);
    if (status != GRU_OK || !check) return status;
    status = gru_check_device(context);
    if (status != GRU_OK) backend->close(context);
    return status;
}

/* Opens the first backend that opens and passes its check. Out of memory is an error, not a reason to try the next backend: the device exists. */
static gru_status open_any(gru_context *context) {
    const gru_backend *backend;
    gru_status status = GRU_NOT_BUILT;
    char before[1024]; /* the sentence of a backend that does not open is no failure of this call */
    (void)snprintf(before, sizeof before, "%s", gru_last_error());
    for (int32_t i = 0; (backend = gru_registry_backend(i)) != NULL; i++) {
        status = open_one(context, backend, 1);
        if (status == GRU_OK && i > 0) (void)gru_fail(status, "%s", before);
        if (status == GRU_OK || status == GRU_OUT_OF_MEMORY) break;
        (void)snprintf(context->passed_over, sizeof context->passed_over, "%s", gru_last_error());
    }
    return status;
}

/* Opens the backend that the configuration asks for. */
static gru_status open_backend(gru_context *context) {
    const int32_t wanted = context->config.backend;
    const gru_backend *backend;
    if (wanted == GRU_BACKEND_AUTO) return open_any(context);
    for (int32_t i = 0; (backend = gru_registry_backend(i)) != NULL; i++)
        if (backend->id == wanted)
            return open_one(context, backend, (context->config.flags & GRU_CHECK_DEVICE) != 0);
    return gru_fail(GRU_NOT_BUILT,
                    "config.backend is GRU_BACKEND_CUDA, but this library was built without CUDA");
}

/* The context itself also comes from its allocator. */
static gru_context *allocate_context(const gru_context_config *config) {
    gru_context shell;
    memset(&shell, 0, sizeof shell);
    shell.config.allocator = config->allocator;
    gru_context *context = gru_host_allocate(&shell, sizeof *context, "the context");
    if (context) memset(context, 0, sizeof *context);
    return context;
}

static void free_context(gru_context *context) {
    const gru_context shell = {.config.allocator = context->config.allocator};
    gru_host_free(&shell, context, sizeof *context);
}

gru_status gru_context_create(const gru_context_config *config, gru_context **context) {
    static const gru_context_config defaults = GRU_INIT;
    if (!context)
        return gru_fail(GRU_BAD_ARGUMENT, "context is NULL, expected a pointer to store the new context");
    if (!config) config = &defaults;
    GRU_TRY(check_config(config));
    gru_context *result = allocate_context(config);
    if (!result) return GRU_OUT_OF_MEMORY;
    atomic_init(&result->references, 1);
    result->config = *config;
    gru_status status = name_engine(result);
    if (status == GRU_OK) status = open_backend(result);
    if (status != GRU_OK) {
        free_context(result);
        return status;
    }
    *context = result;
    return GRU_OK;
}

void gru_context_release(gru_context *context) {
    if (!context) return;
    /* acquire and release: the thread that closes the context sees what all other holders wrote */
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) return;
    context->backend->close(context);
    free_context(context);
}

int32_t gru_context_backend(const gru_context *context) {
    return context ? context->config.backend : GRU_BACKEND_AUTO;
}

int32_t gru_context_threads(const gru_context *context) {
    return context && context->config.backend == GRU_BACKEND_CPU ? context->config.threads : 0;
}

gru_status gru_context_check(gru_context *context, void *stream) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    return context->backend->check(context, stream);
}

gru_status gru_allocate(gru_context *context, size_t bytes, void **memory) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!memory) return gru_fail(GRU_BAD_ARGUMENT, "memory is NULL, expected a pointer to store the address");
    return context->backend->allocate(context, bytes, memory);
}

void gru_free(gru_context *context, void *memory) {
    if (context && memory) context->backend->release(context, memory);
}

gru_status gru_copy(gru_context *context, void *to, const void *from, size_t bytes, void *stream) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (bytes == 0) return GRU_OK;
    if (!to || !from)
        return gru_fail(GRU_BAD_ARGUMENT, "%s is NULL, expected %zu bytes", to ? "from" : "to", bytes);
    return context->backend->copy(context, to, from, bytes, stream);
}

gru_status gru_wait(gru_context *context, void *stream) {
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    return context->backend->wait(context, stream);
}
