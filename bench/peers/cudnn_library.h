/* cudnn_library.h: cuDNN's functions by their names, in a library that is looked for when the first layer wants it.
 *
 * Loaded rather than linked, so that the benchmark starts where there is no cuDNN. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef BENCH_CUDNN_LIBRARY_H
#define BENCH_CUDNN_LIBRARY_H

#include <cudnn.h>

/* library->Create is cudnnCreate, and so on. */
typedef struct cudnn_library {
#define FUNCTION(NAME) __typeof__(cudnn##NAME) *NAME;
#include "cudnn.def"
#undef FUNCTION
} cudnn_library;

/* libcudnn.so of the headers' major version, from where the system finds libraries (LD_LIBRARY_PATH); kept. NULL: not
 * there, or too old; a sentence in why[size]. */
const cudnn_library *cudnn_load(char *why, size_t size);

#endif
