// measurement.cu: runs the list of measurements, and does for each what all have in common.
// SPDX-License-Identifier: Apache-2.0
#include "measurement.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

namespace gpu_probe {

double now() {
    timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

static int ascending(const void *a, const void *b) {
    const double x = *static_cast<const double *>(a), y = *static_cast<const double *>(b);
    return (x > y) - (x < y);
}

double median(double (&samples)[REPEATS]) {
    qsort(samples, REPEATS, sizeof(double), ascending);
    return samples[REPEATS / 2];
}

cudaError_t time_stream(Session &s, Enqueue enqueue, const void *context, double *seconds) {
    double samples[REPEATS];
    for (int i = -1; i < REPEATS; i++) {
        const double start = now();
        TRY(enqueue(s, context));
        TRY(cudaStreamSynchronize(s.stream));
        if (i >= 0) samples[i] = now() - start;
    }
    *seconds = median(samples);
    return cudaSuccess;
}

static cudaError_t record(Session &s, Enqueue enqueue, const void *context, cudaGraphExec_t *ready) {
    cudaGraph_t graph = nullptr;
    TRY(enqueue(s, context)); // loads what it uses: that cannot be recorded
    TRY(cudaStreamSynchronize(s.stream));
    TRY(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
    const cudaError_t recorded = enqueue(s, context);
    const cudaError_t ended = cudaStreamEndCapture(s.stream, &graph);
    const bool good = recorded == cudaSuccess && ended == cudaSuccess;
    const cudaError_t made = good ? cudaGraphInstantiate(ready, graph, 0) : ended;
    if (graph) (void)cudaGraphDestroy(graph);
    return recorded != cudaSuccess ? recorded : made;
}

static cudaError_t replay(Session &s, const void *context) {
    return cudaGraphLaunch(*static_cast<const cudaGraphExec_t *>(context), s.stream);
}

cudaError_t time_graph(Session &s, Enqueue enqueue, const void *context, double *seconds) {
    cudaGraphExec_t graph = nullptr;
    TRY(record(s, enqueue, context, &graph));
    const cudaError_t status = time_stream(s, replay, &graph, seconds);
    (void)cudaGraphExecDestroy(graph);
    return status;
}

const char *error_of(cudaError_t status) {
    if (status == cudaSuccess) return nullptr;
    (void)cudaGetLastError();
    return cudaGetErrorName(status);
}

void report(Session &s, const char *what, double value, const char *unit, const char *wrong,
            const char *format, ...) {
    char variant[160];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(variant, sizeof variant, format, arguments);
    va_end(arguments);
    const bench_probe_line line = {what, variant, unit, wrong ? NAN : value, REPEATS, wrong};
    s.wrong += wrong != nullptr;
    s.report(s.user, &line);
}

void report_once(Session &s, const char *what, double us, const char *wrong, const char *variant) {
    const bench_probe_line line = {what, variant, "us", wrong ? NAN : us, 1, wrong};
    s.wrong += wrong != nullptr;
    s.report(s.user, &line);
}

void configure(const Session &s, const Shape &shape, cudaLaunchConfig_t *config,
               cudaLaunchAttribute *attributes) {
    *config = cudaLaunchConfig_t();
    config->gridDim.x = unsigned(shape.blocks);
    config->blockDim.x = unsigned(shape.threads);
    config->dynamicSmemBytes = shape.shared;
    config->stream = s.stream;
    config->attrs = attributes;
    if (shape.cooperative) {
        attributes[config->numAttrs].id = cudaLaunchAttributeCooperative;
        attributes[config->numAttrs++].val.cooperative = 1;
    }
    if (shape.dependent) {
        attributes[config->numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[config->numAttrs++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (shape.cluster) {
        attributes[config->numAttrs].id = cudaLaunchAttributeClusterDimension;
        attributes[config->numAttrs].val.clusterDim.x = unsigned(shape.cluster);
        attributes[config->numAttrs].val.clusterDim.y = attributes[config->numAttrs].val.clusterDim.z = 1;
        config->numAttrs++;
    }
}

cudaError_t read_word(Session &s, const unsigned *word, unsigned *value) {
    TRY(cudaStreamSynchronize(s.stream));
    return cudaMemcpy(value, word, sizeof *value, cudaMemcpyDeviceToHost);
}

static cudaError_t open(Session &s) {
    int major = 0, minor = 0;
    TRY(cudaSetDevice(0));
    TRY(cudaDeviceGetAttribute(&s.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    TRY(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    TRY(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
    TRY(cudaDeviceGetAttribute(&s.shared_limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    s.capability = 10 * major + minor;
    return cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking);
}

} // namespace gpu_probe

int bench_gpu_probe(bench_probe_report report, void *user, int brief) {
    // What a first call costs comes first: later there are none.
    static void (*const all[])(gpu_probe::Session &) = {
        gpu_probe::measure_first_calls,
        gpu_probe::measure_launches,
        gpu_probe::measure_host_calls,
        gpu_probe::measure_block_exchange,
        gpu_probe::measure_clusters,
        gpu_probe::measure_reads,
        gpu_probe::measure_products,
#if !defined(CUDA_EMU)
        gpu_probe::measure_group_products,
#endif
        gpu_probe::measure_projections
    };
    gpu_probe::Session session = {report, user, brief != 0, nullptr, 0, 0, 0, 0};
    const cudaError_t status = gpu_probe::open(session);
    if (status != cudaSuccess) {
        gpu_probe::report(session, "device 0", 0, "", gpu_probe::error_of(status), "%s",
                          cudaGetErrorString(status));
        return session.wrong;
    }
    for (auto measure : all) measure(session);
    (void)cudaStreamDestroy(session.stream);
    return session.wrong;
}
