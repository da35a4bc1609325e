/* on_emulator.c: what the emulator brings to each test: a seed, a stream, and its findings, which fail the test. */
#include <cuda_runtime_api.h>
#include <stdlib.h>

#include "control.h"
#include "support/tester.h"

/* GRU_EMU_SEED=3: the order of threads and streams; every fourth seed keeps first in, first out, another last in.
 * GRU_EMU_MOODS=1: the seed also draws the algorithms of cuBLASLt. GRU_EMU_DEVICE=80: a device of compute capability 8.0. */
static void begin(void) {
    static cudaStream_t stream;
    const char *given = getenv("GRU_EMU_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    emu_option.seed = seed;
    emu_option.order = seed % 4 == 2   ? EMU_FIRST_IN_FIRST_OUT
                       : seed % 4 == 3 ? EMU_LAST_IN_FIRST_OUT
                                       : EMU_RANDOM;
    emu_option.cublaslt_moods = getenv("GRU_EMU_MOODS") ? emu_moods_of(seed) : 0;
    emu_option.verbose = getenv("GRU_EMU_VERBOSE") != NULL;
    if (getenv("GRU_EMU_DEVICE")) emu_option.compute_capability = atoi(getenv("GRU_EMU_DEVICE"));
    if (!stream) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); /* orders nothing by itself */
    tester_device.stream = stream;
}

static const char *end(void) {
    static char text[4096]; /* the first of what may be thousands */
    (void)cudaDeviceSynchronize();
    (void)snprintf(text, sizeof text, "%s", emu_take_findings());
    return text;
}

__attribute__((constructor)) static void describe_machine(void) {
    tester_device.begin = begin;
    tester_device.end = end;
    tester_device.watches = 1;
}
