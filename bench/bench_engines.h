/* bench_engines.h: the engines of this library as candidates.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ENGINES_H
#define BENCH_ENGINES_H

#include "candidate.h"

enum { BENCH_ENGINES = 32 };

/* names: joined by commas; "all"; NULL: all but the reference engine. Returns how many rows were put into
 * engines[BENCH_ENGINES], two for an engine of a GPU; -1 with a sentence on standard error for a name that
 * no engine has. An engine of the CPU has one more row for each of weights[count], BENCH_WEIGHTS_..., for problems of f32
 * without training. */
int bench_engines_find(const char *names, const int *weights, int count, bench_candidate *engines);

/* Bytes of the packed weights of an engine's prepared state. */
size_t bench_engines_packed_bytes(const void *state);

#endif
