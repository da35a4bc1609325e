// Streams and events: work is done in a seeded order between streams when somebody waits for it.
#include "emu_stream.h"
#include <algorithm>

struct CUevent_st {
    uint64_t recorded = 0, done = 0;       // how often
    std::shared_ptr<CUgraph_st> capture{}; // recorded into one
};

namespace emu {
static CUstream_st legacy;
static std::vector<CUstream_st *> &streams = *new std::vector<CUstream_st *>{&legacy};

CUstream_st *stream_of(cudaStream_t stream) {
    if (!stream || stream == cudaStreamLegacy) return &legacy;
    return std::find(streams.begin(), streams.end(), stream) == streams.end() ? nullptr : stream;
}
bool is_legacy(const CUstream_st *stream) {
    return stream == &legacy;
}
static bool can_start(const Operation &operation) {
    return !operation.may_start || operation.may_start();
}
static Operation take(CUstream_st *stream) {
    Operation first = std::move(stream->queue.front());
    stream->queue.pop_front();
    return first;
}
static void run_first(CUstream_st *stream) {
    Operation operation = take(stream);
    if (device_error()) return; // after an error nothing runs
    if (!operation.kernel) return operation.act();
    std::vector<Launch> chain{*operation.kernel};
    while (!stream->queue.empty() && stream->queue.front().kernel && stream->queue.front().kernel->dependent)
        chain.push_back(*take(stream).kernel);
    {
        Access access;
        run_chain(chain);
    }
    check_red_zones();
}
static bool step() {
    static uint64_t choice = 0;
    std::vector<CUstream_st *> able;
    for (CUstream_st *stream : streams)
        if (!stream->queue.empty() && can_start(stream->queue.front())) able.push_back(stream);
    if (able.empty()) return false;
    choice = choice * 6364136223846793005u + 1442695040888963407u + emu_option.seed;
    run_first(able[(choice >> 33) % able.size()]);
    return true;
}
void drain(CUstream_st *stream) {
    if (stream->queue.empty()) return;
    const Access access; // once for all that it runs: a change of protection costs as much as a small launch
    while (!stream->queue.empty())
        if (!step()) {
            report(cudaErrorLaunchFailure, "deadlock: a stream waits for an event that is not recorded");
            stream->queue.clear();
        }
}
void drain_all() {
    for (size_t i = 0; i < streams.size(); i++) drain(streams[i]);
}
cudaError_t enqueue(cudaStream_t handle, Operation operation) {
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (device_error()) return device_error();
    if (stream->capture) {
        stream->capture->operations.push_back(std::move(operation));
        return cudaSuccess;
    }
    if (stream == &legacy && refused_by_capture()) return remember(cudaErrorStreamCaptureUnsupported);
    if (stream == &legacy) {
        for (CUstream_st *other : streams)
            if (other != &legacy && other->blocking) drain(other);
    } else if (stream->blocking)
        drain(&legacy);
    stream->queue.push_back(std::move(operation));
    return cudaSuccess;
}
bool refused_by_capture() {
    bool refused = false;
    for (CUstream_st *stream : streams)
        if (stream->capture && stream->capture->mode != cudaStreamCaptureModeRelaxed)
            refused = stream->capture->invalid = true;
    return refused;
}
void end_capture(const std::shared_ptr<CUgraph_st> &recording) {
    for (CUstream_st *stream : streams)
        if (stream->capture == recording) stream->capture.reset();
}
static cudaError_t wait_for(CUstream_st *stream) {
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (stream->capture) stream->capture->invalid = true;
    if (stream->capture || (stream == &legacy && refused_by_capture()))
        return remember(cudaErrorStreamCaptureUnsupported);
    drain(stream);
    return device_error();
}
} // namespace emu

using namespace emu;
extern "C" {
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    Lock lock;
    *out = new CUstream_st;
    cudaGetDevice(&(*out)->device);
    emu_option.contexts |= 1u << (*out)->device;
    (*out)->blocking = !(flags & cudaStreamNonBlocking);
    streams.push_back(*out);
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *out) {
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream || stream == &legacy) return remember(cudaErrorInvalidResourceHandle);
    drain(stream);
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    Lock lock;
    return wait_for(stream_of(handle));
}
cudaError_t cudaDeviceSynchronize(void) {
    Lock lock;
    if (refused_by_capture()) return remember(cudaErrorStreamCaptureUnsupported);
    drain_all();
    return device_error();
}
cudaError_t cudaStreamQuery(cudaStream_t handle) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    return device_error() ? device_error() : stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaStreamGetDevice(cudaStream_t handle, int *device) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (stream == &legacy) return cudaGetDevice(device);
    *device = stream->device;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned) {
    *out = new CUevent_st;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *out) {
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    Lock lock;
    if (!refused_by_capture()) drain_all();
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    event->capture = stream->capture;
    if (stream->capture) return cudaSuccess; // the recording is in one order already
    const uint64_t time = ++event->recorded;
    return enqueue(handle, {nullptr, [event, time] { event->done = time; }});
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (event->capture) { // joins the recording
        stream->capture = event->capture;
        return cudaSuccess;
    }
    const uint64_t time = event->recorded;
    return enqueue(handle, {nullptr, [] {}, [event, time] { return event->done >= time || device_error(); }});
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    Lock lock;
    return event->done == event->recorded ? device_error() : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    Lock lock;
    if (refused_by_capture()) return remember(cudaErrorStreamCaptureUnsupported);
    while (event->done < event->recorded && step()) {
    }
    return device_error();
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t, cudaEvent_t) { // time has no meaning here
    *milliseconds = 1;
    return cudaSuccess;
}
}
