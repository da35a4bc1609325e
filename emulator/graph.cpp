// Graphs: what streams would have done is recorded in one order and replayed in it.
#include "emu_stream.h"

using namespace emu;
struct CUgraphExec_st {
    std::vector<emu::Operation> operations;
};
extern "C" {
cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream || is_legacy(stream) || stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
    stream->capture = std::make_shared<CUgraph_st>();
    stream->capture->mode = mode;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *out) {
    Lock lock;
    *out = nullptr;
    CUstream_st *stream = stream_of(handle);
    if (!stream || !stream->capture) return remember(cudaErrorStreamCaptureUnmatched);
    const std::shared_ptr<CUgraph_st> recorded = stream->capture;
    end_capture(recorded);
    if (recorded->invalid) return remember(cudaErrorStreamCaptureInvalidated);
    *out = new CUgraph_st(*recorded);
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status) {
    Lock lock;
    CUstream_st *stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    *status = !stream->capture           ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long) {
    *out = new CUgraphExec_st{graph->operations};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    Lock lock;
    for (const Operation &operation : graph->operations)
        if (cudaError_t error = enqueue(stream, operation)) return error;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    return cudaSuccess;
}
}
