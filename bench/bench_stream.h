/* bench_stream.h: name, streams and graphs of a CUDA device, which the library's API leaves to CUDA.
 *
 * Built without the CUDA toolkit, there is no device. SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "NVIDIA H100 80GB HBM3, 132 multiprocessors, driver for CUDA 13.0, runtime 13.0" of device 0; "" if there is none.
 * Static. */
const char *bench_device(void);

/* A stream of device 0 that does not wait for others, as gru_run.stream takes it. NULL: none, and a sentence in
 * why[size]. */
void *bench_stream_create(char *why, size_t size);
void bench_stream_release(void *stream); /* NULL: nothing */

/* Records what run(state) enqueues into the stream. NULL: it cannot be recorded, and a sentence in why[size]. */
void *bench_graph_record(void *stream, void (*run)(void *state), void *state, char *why, size_t size);
void bench_graph_replay(void *graph, void *stream);
void bench_graph_release(void *graph); /* NULL: nothing */

#ifdef __cplusplus
}
#endif
#endif
