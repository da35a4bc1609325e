/* test_cuda_context.c: contexts and layers on machines where something is missing, full, lost or busy, and whose memory and
 * streams a run may use. */
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "cuda/device/cuda_blaslt.h"
#include "cuda/run/cuda_check_run.h"
#include "gru/stack.h"
#include "support/tester.h"

#include "context_fixture.h"

/* ---- machines without a device ---- */

/* Opens a context on the machine as it is set up now, which must fail, and as AUTO, which must be the CPU in silence. */
static void check_no_device(const char *what, int32_t device, gru_status expected, const char *words) {
    gru_context_config config = GRU_INIT;
    gru_context *context;
    const uint64_t before = emu_allocations();
    check_sentence(what, open_context(0, device, &context), expected, words);
    CHECK(!context && emu_allocations() == before, "%s: something is left", what);
    (void)gru_wait(NULL, NULL);
    char sentence[256];
    (void)snprintf(sentence, sizeof sentence, "%s", gru_last_error());
    config.device = device;
    config.threads = 1;
    const gru_status status = gru_context_create(&config, &context);
    CHECK(status == GRU_OK && gru_context_backend(context) == GRU_BACKEND_CPU, "%s: AUTO: %s \"%s\"", what,
          gru_status_name(status), gru_last_error());
    CHECK(strcmp(sentence, gru_last_error()) == 0, "%s: AUTO left the sentence \"%s\"", what,
          gru_last_error());
    gru_context_release(context);
    CHECK(cudaGetLastError() == cudaSuccess, "%s: an error is left with the runtime", what);
}

TEST(cuda_context, no_device) {
    const emu_options before = emu_option;
    emu_option.driver_version = 0;
    check_no_device("no driver", 0, GRU_NO_DEVICE, "no NVIDIA driver");
    emu_option.driver_version = 12040;
    check_no_device("an old driver", 0, GRU_NO_DEVICE, "for CUDA 12.4, expected 13.0");
    emu_option = before;
    emu_option.devices = 0;
    check_no_device("no device", 0, GRU_NO_DEVICE, "no CUDA device");
    emu_option.devices = 2;
    check_no_device("a number too large", 2, GRU_NO_DEVICE, "config.device is 2, expected 0 to 1");
    emu_option = before;
    emu_option.compute_capability = 75;
    check_no_device("an old device", 0, GRU_NO_DEVICE, "compute capability 7.5, expected 8.0");
    emu_option = before;
    gru_context *context = must_open(0, 0);
    CHECK(gru_context_backend(context) == GRU_BACKEND_CUDA, "backend %d", gru_context_backend(context));
    gru_context_release(context);
}

TEST(cuda_context, auto_takes_the_device) {
    gru_context *context = NULL;
    (void)gru_wait(NULL, NULL);
    REQUIRE(gru_context_create(NULL, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_context_backend(context) == GRU_BACKEND_CUDA, "backend %d", gru_context_backend(context));
    CHECK(strcmp(gru_last_error(), "context is NULL") == 0, "it left the sentence \"%s\"", gru_last_error());
    gru_context_release(context);
}

TEST(cuda_context, no_cublaslt) {
    const char *before = gru_cuda_blas_file;
    gru_cuda_blas_file = "libnosuchfile.so.99";
    check_no_device("no such file", 0, GRU_NO_DEVICE, "libnosuchfile.so.99 cannot be loaded");
    gru_cuda_blas_file = "libm.so.6";
    check_no_device("another library", 0, GRU_NO_DEVICE, "libm.so.6 has no function cublasLtCreate");
    gru_cuda_blas_file = before;
    const emu_options options = emu_option;
    emu_option.cublaslt_version = 120805;
    check_no_device("another version", 0, GRU_NO_DEVICE, "is version 12.8, expected 13");
    emu_option = options;
}

/* ---- memory ---- */

typedef struct ledger {
    long calls, fail_at, live[2]; /* [1]: of the device */
    size_t bytes[2];
    int wrong;
} ledger;

static void *ledger_allocate(void *user, size_t bytes, size_t alignment, int32_t device) {
    ledger *l = user;
    void *memory = NULL;
    if (l->calls++ == l->fail_at) return NULL;
    if (device)
        (void)cudaMalloc(&memory, bytes);
    else
        memory = aligned_alloc(alignment, bytes);
    if (bytes % alignment || (uintptr_t)memory % alignment) l->wrong = 1;
    l->live[device != 0]++;
    l->bytes[device != 0] += bytes;
    return memory;
}

static void ledger_release(void *user, void *memory, size_t bytes, int32_t device) {
    ledger *l = user;
    l->live[device != 0]--;
    l->bytes[device != 0] -= bytes;
    if (device)
        (void)cudaFree(memory);
    else
        free(memory);
}

/* A context, a buffer and a layer; given back whatever fails. */
static gru_status build(ledger *l) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    gru_layer *layer = NULL;
    void *memory = NULL;
    config.backend = GRU_BACKEND_CUDA;
    if (l) {
        config.allocator.allocate = ledger_allocate;
        config.allocator.release = ledger_release;
        config.allocator.user = l;
    }
    gru_status status = gru_context_create(&config, &context);
    if (status == GRU_OK) status = gru_allocate(context, 1000, &memory);
    if (status == GRU_OK) status = make_layer(context, &layer);
    gru_free(context, memory);
    gru_layer_release(layer);
    gru_context_release(context);
    return status;
}

TEST(cuda_context, each_allocation_may_fail) {
    ledger whole = {.fail_at = -1};
    REQUIRE(build(&whole) == GRU_OK, "%s", gru_last_error());
    CHECK(whole.calls > 8 && whole.live[0] == 0 && whole.live[1] == 0 && whole.bytes[0] == 0 &&
              whole.bytes[1] == 0,
          "of %ld allocations %ld of the host and %ld of the device are left", whole.calls, whole.live[0],
          whole.live[1]);
    CHECK(!whole.wrong, "a size or an address that is no multiple of its alignment");
    for (long k = 0; k < whole.calls; k++) {
        ledger l = {.fail_at = k};
        const gru_status status = build(&l);
        CHECK(status == GRU_OUT_OF_MEMORY && strstr(gru_last_error(), "bytes"), "allocation %ld: %s, \"%s\"",
              k, gru_status_name(status), gru_last_error());
        CHECK(l.live[0] == 0 && l.live[1] == 0, "allocation %ld failed, %ld and %ld others are left", k,
              l.live[0], l.live[1]);
    }
}

TEST(cuda_context, each_allocation_of_the_device_may_fail) {
    const uint64_t before = emu_allocations();
    int failed = 0;
    for (int k = 1; k < 100; k++) {
        emu_option.fail_allocation = k;
        const gru_status status = build(NULL);
        const int reached = emu_option.fail_allocation == 0;
        emu_option.fail_allocation = 0;
        CHECK(emu_allocations() == before, "allocation %d: something is left", k);
        if (!reached) break;
        failed++;
        check_sentence("device memory", status, GRU_OUT_OF_MEMORY, "bytes");
        CHECK(cudaGetLastError() == cudaSuccess, "allocation %d: an error is left with the runtime", k);
    }
    CHECK(failed >= 4, "only %d allocations of the device", failed);
}

TEST(cuda_context, memory) {
    gru_context *context = must_open(0, 0);
    void *memory = NULL, *none = NULL;
    float in[3] = {1, 2, 3}, out[3] = {0};
    check_sentence("all there is", gru_allocate(context, SIZE_MAX, &memory), GRU_OUT_OF_MEMORY, "bytes");
    check_sentence("much", gru_allocate(context, (size_t)1 << 40, &memory), GRU_OUT_OF_MEMORY,
                   "1099511627776");
    CHECK(!memory && gru_allocate(context, 0, &none) == GRU_OK && none, "no bytes: %s", gru_last_error());
    REQUIRE(gru_allocate(context, sizeof in, &memory) == GRU_OK, "%s", gru_last_error());
    CHECK((uintptr_t)memory % GRU_CUDA_ALIGN == 0, "%p", memory);
    CHECK(gru_copy(context, memory, in, sizeof in, NULL) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_copy(context, out, memory, sizeof in, NULL) == GRU_OK && gru_wait(context, NULL) == GRU_OK &&
              out[2] == 3,
          "there and back: %g", (double)out[2]);
    gru_free(context, memory);
    gru_free(context, none);
    gru_context_release(context);
}

/* ---- devices and streams ---- */

TEST(cuda_context, the_current_device_stays) {
    const emu_options before = emu_option;
    int current = -1;
    emu_option.devices = 3;
    CHECK(cudaSetDevice(2) == cudaSuccess, "device 2");
    fixture f;
    make_fixture(&f, 0, 1);
    struct cudaPointerAttributes facts;
    CHECK(cudaPointerGetAttributes(&facts, f.memory) == cudaSuccess && facts.device == 1,
          "memory of device %d", facts.device);
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_context_check(f.context, NULL) == GRU_OK, "%s",
          gru_last_error());
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 2, "the current device is %d", current);
    free_fixture(&f);
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 2, "the current device is %d", current);
    gru_context *context;
    emu_option.compute_capability = 70;
    check_sentence("an old device", open_context(0, 1, &context), GRU_NO_DEVICE, "device 1");
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 2, "the current device is %d", current);
    CHECK(cudaSetDevice(0) == cudaSuccess, "device 0");
    emu_option = before;
}

TEST(cuda_context, streams) {
    const emu_options before = emu_option;
    cudaStream_t mine, other;
    fixture f;
    emu_option.devices = 2;
    make_fixture(&f, 0, 1);
    CHECK(!cudaStreamCreate(&other) && !cudaSetDevice(1) &&
              !cudaStreamCreateWithFlags(&mine, cudaStreamNonBlocking) && !cudaSetDevice(0),
          "streams");
    f.run.stream = mine;
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_wait(f.context, mine) == GRU_OK, "%s",
          gru_last_error());
    f.run.stream = other;
    check_sentence("another device's", gru_layer_forward(f.layer, &f.run), GRU_BAD_ARGUMENT,
                   "of CUDA device 0, expected one of CUDA device 1");
    f.run.stream = &f;
    check_sentence("no stream", gru_layer_forward(f.layer, &f.run), GRU_BAD_ARGUMENT, "run.stream is ");
    f.run.stream = cudaStreamLegacy;
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_wait(f.context, cudaStreamLegacy) == GRU_OK,
          "%s", gru_last_error());
    CHECK(!cudaStreamDestroy(mine) && !cudaStreamDestroy(other), "streams");
    free_fixture(&f);
    emu_option = before;
}

/* ---- whose memory ---- */

TEST(cuda_context, memory_that_runs_may_use) {
    const emu_options before = emu_option;
    emu_option.devices = 2;
    fixture f, trusting;
    make_fixture(&f, 0, 0);
    make_fixture(&trusting, GRU_SKIP_POINTER_CHECKS, 0);
    _Alignas(64) static char host[1 << 12];
    void *elsewhere, *pinned, *managed;
    CHECK(!cudaSetDevice(1) && !cudaMalloc(&elsewhere, 1 << 12) && !cudaSetDevice(0), "device 1");
    CHECK(!cudaMallocHost(&pinned, 1 << 12) && !cudaMallocManaged(&managed, 1 << 12, cudaMemAttachGlobal),
          "memory");
#define REFUSED(field, value, words)                                                      \
    do {                                                                                  \
        fixture bad = f;                                                                  \
        bad.run.field = (value);                                                          \
        check_sentence(#field, gru_layer_forward(f.layer, &bad.run), GRU_BAD_ARGUMENT,    \
                       "run." words " is 0x");                                            \
        check_sentence(#field, gru_layer_forward(f.layer, &bad.run), GRU_BAD_ARGUMENT,    \
                       "memory of CUDA device");                                          \
        bad.layer = trusting.layer;                                                       \
        CHECK(gru_cuda_check_run(bad.layer, &bad.run) == GRU_OK, "%s", gru_last_error()); \
    } while (0)
    REFUSED(x.data, host, "x");
    REFUSED(x.data, elsewhere, "x");
    REFUSED(y.data, host, "y");
    REFUSED(h0, host, "h0");
    REFUSED(hT, elsewhere, "hT");
    REFUSED(h_restart, host, "h_restart");
    REFUSED(lengths, (const int32_t *)(void *)host, "lengths");
    REFUSED(restart.data, host, "restart");
    REFUSED(attention.data, host, "attention");
    REFUSED(packed, host, "packed");
    REFUSED(workspace, (gru_layer_sizes(f.layer, 0, 0, &(gru_sizes){0}), bad.run.T = bad.run.N = 0, host),
            "workspace");
#undef REFUSED
    f.run.slot_count = N;
    f.run.h0_slots = (const int32_t *)(void *)host;
    check_sentence("h0_slots", gru_layer_forward(f.layer, &f.run), GRU_BAD_ARGUMENT, "run.h0_slots is 0x");
    f.run.h0_slots = NULL;
    f.run.hT_slots = (const int32_t *)(void *)host;
    check_sentence("hT_slots", gru_layer_forward(f.layer, &f.run), GRU_BAD_ARGUMENT, "run.hT_slots is 0x");
    f.run.hT_slots = NULL, f.run.slot_count = 0;
    memset(pinned, 0, 1 << 12);
    memset(managed, 0, 1 << 12);
    f.run.x.data = pinned;
    f.run.hT = managed;
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_wait(f.context, NULL) == GRU_OK,
          "pinned and managed memory: %s", gru_last_error());
    CHECK(!cudaFree(elsewhere) && !cudaFreeHost(pinned) && !cudaFree(managed), "memory");
    free_fixture(&f);
    free_fixture(&trusting);
    emu_option = before;
}

/* Every cell of a stack goes through the same checks, before any of them runs. */
TEST(cuda_context, stacks_may_use_the_same_memory) {
    fixture f;
    gru_stack_layer layers[2];
    gru_stack_config config = GRU_INIT;
    gru_stack_run run = GRU_INIT;
    gru_stack *stack = NULL;
    gru_sizes need = GRU_INIT;
    const void *h0[2] = {NULL, zeros};
    make_fixture(&f, 0, 0);
    memset(layers, 0, sizeof layers);
    for (int k = 0; k < 2; k++) {
        layers[k].config.inputs = k ? H : I, layers[k].config.hidden = H;
        layers[k].weights[0].W = layers[k].weights[0].R = zeros;
    }
    config.count = 2, config.layers = layers;
    REQUIRE(gru_stack_create(f.context, &config, &stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sizes(stack, T, N, &need) == GRU_OK, "%s", gru_last_error());
    run.data = f.run;
    run.data.h0 = run.data.hT = NULL;
    run.data.workspace_size = need.workspace;
    REQUIRE(gru_allocate(f.context, need.workspace, &run.data.workspace) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_forward(stack, &run) == GRU_OK && gru_wait(f.context, NULL) == GRU_OK, "%s",
          gru_last_error());
    const uint64_t launches = emu_launches();
    run.h0 = h0;
    check_sentence("h0 of the second cell", gru_stack_forward(stack, &run), GRU_BAD_ARGUMENT,
                   "layer 1: run.h0 is 0x");
    run.h0 = NULL;
    float y[T * N * H];
    run.data.y.data = y;
    check_sentence("y of the stack", gru_stack_forward(stack, &run), GRU_BAD_ARGUMENT,
                   "layer 1: run.y is 0x");
    CHECK(gru_wait(f.context, NULL) == GRU_OK && emu_launches() == launches,
          "a refused run launched something");
    gru_free(f.context, run.data.workspace);
    gru_stack_release(stack);
    free_fixture(&f);
}

/* ---- what kernels find ---- */

TEST(cuda_context, lengths_and_slots_are_reported) {
    fixture f;
    void *memory;
    const int32_t numbers[N] = {1, T + 5}, good[N] = {0, 1};
    make_fixture(&f, 0, 0);
    REQUIRE(gru_allocate(f.context, sizeof numbers, &memory) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_copy(f.context, memory, numbers, sizeof numbers, NULL) == GRU_OK, "%s", gru_last_error());
    f.run.lengths = memory;
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK, "%s", gru_last_error());
    check_sentence("lengths", gru_context_check(f.context, NULL), GRU_BAD_DATA,
                   "run.lengths[1] was 7, expected 0 to T, which was 2");
    CHECK(gru_context_check(f.context, NULL) == GRU_OK, "the second check: %s", gru_last_error());
    f.run.lengths = NULL;
    f.run.slot_count = N;
    f.run.hT_slots = memory;
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK, "%s", gru_last_error());
    check_sentence("slots", gru_context_check(f.context, NULL), GRU_BAD_DATA,
                   "run.hT_slots[1] was 7, expected 0 to 1, below slot_count");
    CHECK(gru_copy(f.context, memory, good, sizeof good, NULL) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_context_check(f.context, NULL) == GRU_OK, "%s",
          gru_last_error());
    gru_free(f.context, memory);
    free_fixture(&f);
}

TEST(cuda_context, a_fault_loses_the_context) {
    fixture f, second;
    void *small;
    gru_layer *layer;
    make_fixture(&f, 0, 0);
    make_fixture(&second, 0, 0);
    REQUIRE(gru_allocate(f.context, 256, &small) == GRU_OK, "%s", gru_last_error());
    f.run.hT = (char *)small + 256 - H * sizeof(float); /* room for one row of N */
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK, "%s", gru_last_error());
    check_sentence("the fault", gru_wait(f.context, NULL), GRU_DEVICE_FAILED, "the context is lost");
    check_sentence("forward", gru_layer_forward(f.layer, &f.run), GRU_DEVICE_FAILED, "in an earlier call");
    check_sentence("allocate", gru_allocate(f.context, 1, &small), GRU_DEVICE_FAILED, "in an earlier call");
    check_sentence("check", gru_context_check(f.context, NULL), GRU_DEVICE_FAILED, "in an earlier call");
    check_sentence("layer", make_layer(f.context, &layer), GRU_DEVICE_FAILED, "in an earlier call");
    check_sentence("another context", gru_wait(second.context, NULL), GRU_DEVICE_FAILED,
                   "the context is lost");
    gru_free(f.context, small);
    free_fixture(&f);
    free_fixture(&second);
    CHECK(strstr(emu_take_findings(), "outside an allocation"), "the emulator found nothing");
}

/* ---- recordings ---- */

TEST(cuda_context, no_layer_in_a_recording) {
    gru_context *context = must_open(0, 0);
    gru_layer *layer;
    cudaStream_t stream;
    cudaGraph_t graph;
    const uint64_t before = emu_allocations();
    CHECK(!cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    CHECK(!cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin");
    check_sentence("a layer", make_layer(context, &layer), GRU_DEVICE_FAILED,
                   "the context can still be used");
    CHECK(strstr(gru_last_error(), "cudaErrorStreamCapture"), "%s", gru_last_error());
    CHECK(!layer && emu_allocations() == before, "something is left");
    CHECK(cudaPeekAtLastError() == cudaSuccess, "an error is left with the runtime");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated, "the recording goes on");
    (void)cudaGetLastError();
    CHECK(make_layer(context, &layer) == GRU_OK, "afterwards: %s", gru_last_error());
    CHECK(!cudaStreamDestroy(stream), "stream");
    gru_layer_release(layer);
    gru_context_release(context);
}
