/* test_cuda_neighbours.c: what contexts leave alone and expect of others: devices, errors of the application, other kernels, and
 * the host's memory. */
#include <cuda_runtime_api.h>

#include "control.h"
#include "core/context.h"
#include "cuda/device/cuda_blaslt.h"
#include "cuda/run/cuda_check_run.h"
#include "support/tester.h"

#include "context_fixture.h"

/* A thread that never chose a device works on device 1: device 0 gets no context, which would cost memory there. */
TEST(cuda_neighbours, no_context_on_other_devices) {
    const emu_options before = emu_option;
    int current = -1;
    emu_option.devices = 2;
    emu_option.contexts = 0;
    fixture f;
    make_fixture(&f, 0, 1);
    CHECK(gru_layer_forward(f.layer, &f.run) == GRU_OK && gru_context_check(f.context, NULL) == GRU_OK, "%s",
          gru_last_error());
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 0, "the current device is %d", current);
    free_fixture(&f);
    CHECK(emu_option.contexts == 2, "contexts on devices of the mask %u", emu_option.contexts);
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 0, "the current device is %d", current);
    emu_option = before;
}

/* What the application did wrong before is neither ours nor forgotten. */
TEST(cuda_neighbours, older_errors_of_the_application) {
    gru_context *context = must_open(0, 0);
    void *memory = NULL;
    CHECK(cudaSetDevice(7) == cudaErrorInvalidDevice, "there are devices enough");
    check_sentence("cuBLASLt", gru_cuda_blas_status(context->device, CUBLAS_STATUS_INVALID_VALUE, "a GEMM"),
                   GRU_DEVICE_FAILED, "CUBLAS_STATUS_INVALID_VALUE; the context can still be used");
    CHECK(gru_allocate(context, 64, &memory) == GRU_OK, "%s", gru_last_error());
    CHECK(cudaGetLastError() == cudaErrorInvalidDevice, "the application's error is gone");
    gru_free(context, memory);
    gru_context_release(context);
}

/* All kernels of a layer divide L1 and shared memory alike, or the launches of a sequence could not overlap. */
TEST(cuda_neighbours, one_carve_out) {
    gru_context *context = must_open(GRU_CHECK_WEIGHTS, 0);
    gru_layer *layer;
    REQUIRE(make_layer(context, &layer) == GRU_OK, "%s", gru_last_error());
    CHECK(emu_loaded() > 10 && emu_carveouts() == 1, "%d carve-outs of %llu kernels", emu_carveouts(),
          (unsigned long long)emu_loaded());
    gru_layer_release(layer);
    gru_context_release(context);
}

/* Where the device has the host's page tables, any memory of the process is reached, and nothing else. */
TEST(cuda_neighbours, memory_of_a_device_with_page_tables_of_the_host) {
    const emu_options before = emu_option;
    static float host[64];
    emu_option.pageable = 1;
    fixture f;
    make_fixture(&f, 0, 0);
    f.run.x.data = host;
    CHECK(gru_cuda_check_run(f.layer, &f.run) == GRU_OK, "%s", gru_last_error());
    f.run.x.data = (const void *)(uintptr_t)4096;
    check_sentence("no memory", gru_layer_forward(f.layer, &f.run), GRU_BAD_ARGUMENT,
                   "run.x is 0x1000, where this process has no memory");
    free_fixture(&f);
    emu_option = before;
}
