// What was found, and the two errors of the CUDA runtime: the sticky one of the device and the last one of
// each thread.
#include "emu_device.h"
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unistd.h>

emu_options emu_option = {1, EMU_RANDOM, 1, 3, 1, 90, 8, 13000, 130000, 0, 0, 0, 0, 0};

namespace emu {
static std::string &findings = *new std::string; // outlives every static object of the program
static cudaError_t sticky = cudaSuccess;
static thread_local cudaError_t last = cudaSuccess;

static void refuse_to_end_well() {
    if (findings.empty()) return;
    fprintf(stderr, "emulator: the program ends with findings that nobody looked at:\n%s", findings.c_str());
    fflush(nullptr);
    _exit(1);
}
std::string format(const char *text, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(line, sizeof line, text, arguments);
    va_end(arguments);
    return line;
}
void report(cudaError_t error, const std::string &text) {
    static const int watched = atexit(refuse_to_end_well);
    (void)watched;
    if (!sticky) sticky = error;
    findings += text + "\n";
    if (emu_option.verbose)
        fprintf(stderr, "emulator, seed %llu: %s\n", (unsigned long long)emu_option.seed, text.c_str());
}
void fatal(cudaError_t error, const std::string &text) {
    report(error, text);
    abandon();
}
cudaError_t device_error() {
    return sticky;
}
cudaError_t remember(cudaError_t error) {
    if (error) last = error;
    return error;
}
} // namespace emu

using namespace emu;
extern "C" {
const char *emu_take_findings(void) {
    static std::string taken;
    taken.swap(findings);
    findings.clear();
    sticky = last = cudaSuccess;
    return taken.c_str();
}
cudaError_t cudaPeekAtLastError(void) {
    return sticky ? sticky : last;
}
cudaError_t cudaGetLastError(void) {
    const cudaError_t error = cudaPeekAtLastError();
    last = cudaSuccess;
    return error;
}
const char *cudaGetErrorName(cudaError_t error) {
    static const struct {
        cudaError_t error;
        const char *name;
    } names[] = {{cudaSuccess, "cudaSuccess"},
                 {cudaErrorInvalidValue, "cudaErrorInvalidValue"},
                 {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
                 {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration"},
                 {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver"},
                 {cudaErrorNoDevice, "cudaErrorNoDevice"},
                 {cudaErrorInvalidDevice, "cudaErrorInvalidDevice"},
                 {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle"},
                 {cudaErrorNotReady, "cudaErrorNotReady"},
                 {cudaErrorIllegalAddress, "cudaErrorIllegalAddress"},
                 {cudaErrorLaunchFailure, "cudaErrorLaunchFailure"},
                 {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge"},
                 {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported"},
                 {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated"},
                 {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched"},
                 {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize"}};
    for (const auto &known : names)
        if (known.error == error) return known.name;
    return "unrecognized error code";
}
const char *cudaGetErrorString(cudaError_t error) {
    return error && error == sticky ? "an emulated fault: see emu_take_findings()" : cudaGetErrorName(error);
}
}
