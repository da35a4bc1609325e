/* on_device.c: what a GPU brings to each test: a stream, and its errors, which fail the test. */
#include <cuda_runtime_api.h>

#include "control.h"
#include "support/tester.h"

emu_options emu_option = {.seed = 1}; /* which cases are drawn */
const int emu_is_checker = 0;

uint64_t emu_launches(void) {
    return 0; /* nobody counts them */
}

static void begin(void) {
    static cudaStream_t stream;
    if (!stream)
        (void)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); /* orders nothing by itself */
    tester_device.stream = stream;
}

static const char *end(void) {
    const cudaError_t error = cudaDeviceSynchronize();
    return error == cudaSuccess ? "" : cudaGetErrorString(error);
}

__attribute__((constructor)) static void describe_machine(void) {
    tester_device.begin = begin;
    tester_device.end = end;
}
