// Streams, events and graphs: order where it is promised, and none where it is not.
#include "self.h"
#include <thread>

__global__ void add(int *values, int by) {
    values[threadIdx.x] += by;
}
__global__ void never_used_before_a_capture(int *values) {
    values[0] = 1;
}

struct Stream {
    cudaStream_t handle = nullptr;
    explicit Stream(unsigned flags = cudaStreamNonBlocking) {
        CHECK(cudaStreamCreateWithFlags(&handle, flags) == cudaSuccess);
    }
    ~Stream() { (void)cudaStreamDestroy(handle); }
    operator cudaStream_t() const { return handle; }
};
static How in(cudaStream_t stream) {
    How how;
    how.stream = stream;
    return how;
}

TEST(events_order_streams) {
    const Device<int> values(32, 0);
    const Stream first, second;
    cudaEvent_t event;
    int seen = -1;
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
    CHECK(start(add, in(first), values.data, 5) == cudaSuccess);
    CHECK(cudaEventRecord(event, first) == cudaSuccess && cudaEventQuery(event) == cudaErrorNotReady);
    CHECK(cudaStreamWaitEvent(second, event, 0) == cudaSuccess);
    CHECK(cudaMemcpyAsync(&seen, values.data, 4, cudaMemcpyDeviceToHost, second) == cudaSuccess);
    CHECK(seen == -1 &&
          cudaStreamQuery(second) == cudaErrorNotReady); // nothing is done before somebody waits
    CHECK(cudaStreamSynchronize(second) == cudaSuccess && seen == 5);
    CHECK(cudaEventSynchronize(event) == cudaSuccess && cudaEventDestroy(event) == cudaSuccess);
    (void)cudaGetLastError();
}
FAULT(streams_without_an_event, PLAIN, nullptr) {
    const Device<int> values(32, 0);
    const Stream first, second;
    int seen = -1;
    (void)start(add, in(first), values.data, 5);
    (void)cudaMemcpyAsync(&seen, values.data, 4, cudaMemcpyDeviceToHost, second);
    (void)cudaDeviceSynchronize();
    return seen != 5;
}
// The checker build has hooks in host code too: a thread that launches is not taken for the kernel that another one runs.
static void add_often(int *values) {
    const Stream stream;
    How how = in(stream);
    how.block = 512;
    for (int times = 1; times <= 200; times++) {
        CHECK(start(add, how, values, 1) == cudaSuccess);
        if (times % 8 == 0) CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    }
}
TEST(threads_launch_while_others_wait) {
    const Device<int> values(1024, 0);
    std::thread other(add_often, values.data + 512);
    add_often(values.data);
    other.join();
    for (const int sum : values.host()) CHECK(sum == 200);
}
TEST(legacy_stream_waits_and_is_waited_for) {
    const Device<int> values(32, 0);
    const Stream blocking(cudaStreamDefault);
    CHECK(start(add, in(blocking), values.data, 1) == cudaSuccess);
    CHECK(start(add, in(nullptr), values.data, 2) == cudaSuccess);
    CHECK(start(add, in(blocking), values.data, 4) == cudaSuccess);
    CHECK(values.host()[0] == 7);
}

static cudaGraphExec_t record(cudaStream_t stream, int *values) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaMemsetAsync(values, 0, 128, stream) == cudaSuccess);
    CHECK(start(add, in(stream), values, 3) == cudaSuccess);
    How how = in(stream);
    how.dependent = true;
    CHECK(start(add, how, values + 32, 1) == cudaSuccess);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    return ready;
}
TEST(graphs_are_recorded_and_replayed) {
    const Device<int> values(64, 0);
    const Stream stream;
    CHECK(start(add, in(stream), values.data, 9) == cudaSuccess); // loads the kernel
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    const cudaGraphExec_t graph = record(stream, values.data);
    CHECK(values.host()[0] == 9); // recording does nothing
    for (int times = 0; times < 3; times++) CHECK(cudaGraphLaunch(graph, stream) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    const std::vector<int> seen = values.host();
    CHECK(seen[0] == 3 && seen[63] == 3);
    CHECK(cudaGraphExecDestroy(graph) == cudaSuccess);
}
TEST(recordings_refuse_what_waits_or_allocates) {
    const Stream stream;
    const Device<int> values(64, 0);
    cudaStreamCaptureStatus status;
    cudaGraph_t graph = nullptr;
    void *p = nullptr;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaMalloc(&p, 4) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamIsCapturing(stream, &status) == cudaSuccess &&
          status == cudaStreamCaptureStatusInvalidated);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated && !graph);
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnmatched);
    (void)cudaGetLastError();
}
#if defined(CUDA_EMU)
TEST(kernels_load_before_a_recording) {
    static bool loaded = false; // the first use of the program, whatever the seed
    const Stream stream;
    const Device<int> values(64, 0);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    const cudaError_t first = start(never_used_before_a_capture, in(stream), values.data);
    CHECK(first == (loaded ? cudaSuccess : cudaErrorStreamCaptureUnsupported));
    CHECK((cudaStreamEndCapture(stream, &graph) == cudaSuccess) == loaded);
    if (graph) CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    cudaFuncAttributes attributes;
    CHECK(cudaFuncGetAttributes(&attributes, never_used_before_a_capture) == cudaSuccess);
    loaded = true;
    (void)cudaGetLastError();
}
TEST(devices_are_told_apart) {
    int device = -1, count = -1;
    emu_option.devices = 2;
    CHECK(cudaGetDeviceCount(&count) == cudaSuccess && count == 2);
    CHECK(cudaSetDevice(1) == cudaSuccess);
    {
        const Stream stream;
        const Device<int> values(32, 0);
        cudaPointerAttributes attributes;
        CHECK(cudaPointerGetAttributes(&attributes, values.data) == cudaSuccess && attributes.device == 1);
        CHECK(cudaStreamGetDevice(stream, &device) == cudaSuccess && device == 1);
        CHECK(start(add, in(stream), values.data, 1) == cudaSuccess);
        CHECK(cudaSetDevice(0) == cudaSuccess);
        CHECK(start(add, in(stream), values.data, 1) == cudaErrorInvalidResourceHandle);
    }
    emu_option.devices = 1;
    CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
    emu_option.devices = 0;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 2);
    emu_option.devices = 1;
    emu_option.driver_version = 12000;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
    emu_option.driver_version = 13000;
    (void)cudaGetLastError();
}
#endif
