/* bench_stream_none.c: a benchmark built where the CUDA toolkit was not found.  SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "bench_stream.h"

static void *refuse(char *why, size_t size) {
    (void)snprintf(why, size, "this benchmark was built without the CUDA toolkit");
    return NULL;
}

const char *bench_device(void) {
    return "";
}

void *bench_stream_create(char *why, size_t size) {
    return refuse(why, size);
}

void bench_stream_release(void *stream) {
    (void)stream;
}

void *bench_graph_record(void *stream, void (*run)(void *state), void *state, char *why, size_t size) {
    (void)stream, (void)run, (void)state;
    return refuse(why, size);
}

void bench_graph_replay(void *graph, void *stream) {
    (void)graph, (void)stream;
}

void bench_graph_release(void *graph) {
    (void)graph;
}
