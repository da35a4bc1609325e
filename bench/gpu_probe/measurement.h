// measurement.h: what every measurement of the GPU needs: a stream, launches with attributes, medians, a
// report.  SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_MEASUREMENT_H
#define BENCH_MEASUREMENT_H
#include <cuda_runtime.h>
#include <stddef.h>

#include "gpu_probe.h"

namespace gpu_probe {

struct Session {
    bench_probe_report report;
    void *user;
    bool brief;
    cudaStream_t stream;
    int multiprocessors, capability; // multiprocessors; 10 * major + minor
    int shared_limit;                // bytes of shared memory that a block may ask for
    int wrong;                       // lines so far with something wrong
};

// Numbers of a loop: many on a GPU, few where the benchmark itself is tested.
inline int many(const Session &s, int count, int few) {
    return s.brief ? few : count;
}

#define TRY(call)                                         \
    do {                                                  \
        const cudaError_t try_status = (call);            \
        if (try_status != cudaSuccess) return try_status; \
    } while (0)

// ---- time -------------------------------------------------------------------------------------------------

double now(); // seconds
enum { REPEATS = 9 };
double median(double (&samples)[REPEATS]);

// Something that enqueues into the stream; context is its own.
typedef cudaError_t (*Enqueue)(Session &s, const void *context);

// Median seconds from the first enqueuing until the stream is done, after one that does not count. in_graph:
// of replays of a graph made of it, so that the host takes no part.
cudaError_t time_stream(Session &s, Enqueue enqueue, const void *context, double *seconds);
cudaError_t time_graph(Session &s, Enqueue enqueue, const void *context, double *seconds);

// ---- report -----------------------------------------------------------------------------------------------

// One line. format is the variant's, as of printf. wrong NULL: as it should be.
void report(Session &s, const char *what, double value, const char *unit, const char *wrong,
            const char *format, ...) __attribute__((format(printf, 6, 7)));
// The same for what can be measured only once.
void report_once(Session &s, const char *what, double us, const char *wrong, const char *variant);
// NULL, or the error's name.
const char *error_of(cudaError_t status);

// ---- launches ---------------------------------------------------------------------------------------------

struct Shape {
    int blocks, threads;
    int cluster;   // blocks of a cluster; 0: none
    size_t shared; // bytes of dynamic shared memory
    bool cooperative, dependent;
};

// Fills config and attributes[3], which config then points to.
void configure(const Session &s, const Shape &shape, cudaLaunchConfig_t *config,
               cudaLaunchAttribute *attributes);

template <class... P, class... A>
cudaError_t launch(const Session &s, const Shape &shape, void (*kernel)(P...), A... arguments) {
    cudaLaunchConfig_t config;
    cudaLaunchAttribute attributes[3];
    configure(s, shape, &config, attributes);
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

// ---- device memory ----------------------------------------------------------------------------------------

// Zeros, unless UNWRITTEN. Freed at the end of its scope, when the device is done with it.
template <class T> struct Memory {
    enum Content { ZEROS, UNWRITTEN };
    T *data;
    cudaError_t status;
    explicit Memory(size_t count, Content content = ZEROS) : data(nullptr) {
        void *p = nullptr;
        status = cudaMalloc(&p, count * sizeof(T));
        if (status == cudaSuccess && content == ZEROS) status = cudaMemset(p, 0, count * sizeof(T));
        if (status == cudaSuccess)
            status = cudaDeviceSynchronize(); // the session's stream does not wait for others
        data = static_cast<T *>(p);
    }
    Memory(const Memory &) = delete;
    ~Memory() { (void)cudaFree(data); }
};

// Waits for the stream, then reads one word.
cudaError_t read_word(Session &s, const unsigned *word, unsigned *value);

// ---- the measurements, each in its file -------------------------------------------------------------------

void measure_first_calls(Session &s);
void measure_launches(Session &s);
void measure_host_calls(Session &s);
void measure_block_exchange(Session &s);
void measure_clusters(Session &s);
void measure_reads(Session &s);
void measure_products(Session &s);
void measure_group_products(Session &s); // wgmma
void measure_projections(Session &s);    // cuBLASLt

} // namespace gpu_probe
#endif
