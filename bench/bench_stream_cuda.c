/* bench_stream_cuda.c: streams and graphs of the CUDA runtime.  SPDX-License-Identifier: Apache-2.0 */
#include <cuda_runtime_api.h>
#include <stdio.h>

#include "bench_stream.h"

const char *bench_device(void) {
    static char text[400];
    struct cudaDeviceProp device;
    int driver = 0, runtime = 0;
    if (*text || cudaGetDeviceProperties(&device, 0) != cudaSuccess) return text;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    (void)snprintf(text, sizeof text, "%s, %d multiprocessors, driver for CUDA %d.%d, runtime %d.%d",
                   device.name, device.multiProcessorCount, driver / 1000, driver / 10 % 100, runtime / 1000,
                   runtime / 10 % 100);
    return text;
}

static int good(cudaError_t status, const char *what, char *why, size_t size) {
    if (status == cudaSuccess) return 1;
    (void)snprintf(why, size, "%s: %s", what, cudaGetErrorString(status));
    (void)cudaGetLastError();
    return 0;
}

void *bench_stream_create(char *why, size_t size) {
    cudaStream_t stream = NULL;
    if (!good(cudaSetDevice(0), "no CUDA device", why, size) ||
        !good(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "no stream", why, size))
        return NULL;
    return stream;
}

void bench_stream_release(void *stream) {
    if (stream) (void)cudaStreamDestroy(stream);
}

/* Runs once before recording: loading kernels cannot be recorded. */
void *bench_graph_record(void *stream, void (*run)(void *state), void *state, char *why, size_t size) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    run(state);
    if (!good(cudaStreamSynchronize(stream), "the run before the recording", why, size) ||
        !good(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording", why, size))
        return NULL;
    run(state);
    const int recorded = good(cudaStreamEndCapture(stream, &graph), "recording", why, size);
    if (recorded) (void)good(cudaGraphInstantiate(&ready, graph, 0), "making the graph", why, size);
    if (graph) (void)cudaGraphDestroy(graph);
    return ready;
}

void bench_graph_replay(void *graph, void *stream) {
    (void)cudaGraphLaunch(graph, stream);
}

void bench_graph_release(void *graph) {
    if (graph) (void)cudaGraphExecDestroy(graph);
}
