/* test_cuda_device_check.c: a device that computes wrong numbers is found before a context takes it, and named. */
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "api/device_check.h"
#include "control.h"
#include "support/tester.h"

static gru_status open_context(int32_t backend, uint32_t flags, gru_context **context) {
    gru_context_config config = GRU_INIT;
    config.backend = backend, config.flags = flags, config.threads = 1;
    *context = NULL;
    return gru_context_create(&config, context);
}

/* What the engines of a small layer of this context say. */
static const char *reasons(gru_context *context) {
    static const float zeros[3 * 4 * 4];
    static char text[2048];
    const gru_layer_config config = {.inputs = 4, .hidden = 4};
    const gru_weights weights = {.W = zeros, .R = zeros};
    gru_layer *layer;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    (void)snprintf(text, sizeof text, "%s", gru_engine_reasons(layer, NULL));
    gru_layer_release(layer);
    return text;
}

/* While a stream is recorded nothing can be loaded: AUTO takes the CPU. */
static void record_meanwhile(void) {
    gru_context *context;
    cudaStream_t stream;
    cudaGraph_t graph;
    CHECK(!cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    CHECK(!cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin");
    REQUIRE(open_context(GRU_BACKEND_AUTO, 0, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_context_backend(context) == GRU_BACKEND_CPU, "backend %d", gru_context_backend(context));
    gru_context_release(context);
    (void)cudaStreamEndCapture(stream, &graph);
    (void)cudaGetLastError();
    CHECK(!cudaStreamDestroy(stream), "stream");
}

/* A device without memory is an error, as it is without the check. */
static void fail_allocation(int which) {
    const uint64_t before = emu_allocations();
    gru_context *context;
    emu_option.fail_allocation = which;
    const gru_status status = open_context(GRU_BACKEND_AUTO, 0, &context);
    CHECK(status == GRU_OUT_OF_MEMORY && !context && emu_option.fail_allocation == 0,
          "allocation %d: %s \"%s\"", which, gru_status_name(status), gru_last_error());
    emu_option.fail_allocation = 0;
    CHECK(emu_allocations() == before, "allocation %d: something is left", which);
}

/* Failures that are no wrong numbers are no verdict; the first check that comes to an end is the last. */
TEST(device_check, is_made_once) {
    gru_context *context;
    gru_forget_device_checks();
    const uint64_t allocations = emu_allocations(), before = emu_launches();
    REQUIRE(open_context(GRU_BACKEND_CUDA, 0, &context) == GRU_OK, "%s", gru_last_error());
    gru_context_release(context);
    CHECK(emu_launches() == before, "a context that did not ask for the check ran kernels");
    record_meanwhile();
    for (int which = 1; which < 60; which += 19) fail_allocation(which);
    (void)gru_wait(NULL, NULL);
    const uint64_t failed = emu_launches();
    REQUIRE(open_context(GRU_BACKEND_AUTO, 0, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_context_backend(context) == GRU_BACKEND_CUDA, "AUTO took backend %d",
          gru_context_backend(context));
    CHECK(strcmp(gru_last_error(), "context is NULL") == 0, "it left the sentence \"%s\"", gru_last_error());
    const uint64_t made = emu_launches();
    CHECK(made > failed + 100, "only %llu launches", (unsigned long long)(made - failed));
    gru_context_release(context);
    CHECK(emu_allocations() == allocations, "something is left");
    REQUIRE(open_context(GRU_BACKEND_CUDA, GRU_CHECK_DEVICE, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(emu_launches() == made, "the check was made again");
    gru_context_release(context);
}

/* Each arithmetic alone is wrong: AUTO takes the CPU in silence and the reasons name it; a context that asks for the check fails; one
 * that does not gets the device. */
TEST(device_check, wrong_numbers_are_found) {
    static const char *const names[] = {" in f16: ", " in bf16: ", " in TF32: ", " in f32: "};
    const emu_options options = emu_option;
    if (emu_is_checker) SKIP("wrong numbers are the same in the plain build");
    for (int i = 0; i < 4; i++) {
        gru_context *context;
        gru_forget_device_checks();
        emu_option.wrong_products = 1 << i;
        (void)gru_wait(NULL, NULL);
        REQUIRE(open_context(GRU_BACKEND_AUTO, 0, &context) == GRU_OK, "%s", gru_last_error());
        CHECK(gru_context_backend(context) == GRU_BACKEND_CPU, "%s is wrong, and AUTO took the device",
              names[i]);
        CHECK(strcmp(gru_last_error(), "context is NULL") == 0, "it left the sentence \"%s\"",
              gru_last_error());
        const char *text = reasons(context);
        CHECK(strstr(text, "cuda_stepwise: the check of cuda device 0 failed: cuda_") &&
                  strstr(text, names[i]),
              "\"%s\" is missing in: %s", names[i], text);
        gru_context_release(context);
        CHECK(open_context(GRU_BACKEND_CUDA, GRU_CHECK_DEVICE, &context) == GRU_DEVICE_FAILED && !context &&
                  strstr(gru_last_error(), names[i]),
              "%s: \"%s\"", names[i], gru_last_error());
        REQUIRE(open_context(GRU_BACKEND_CUDA, 0, &context) == GRU_OK, "%s", gru_last_error());
        gru_context_release(context);
    }
    emu_option = options;
    gru_forget_device_checks();
}
