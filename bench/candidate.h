/* candidate.h: the engines of this library as contestants.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CANDIDATE_H
#define BENCH_CANDIDATE_H

#include "peers/peer.h"

enum { BENCH_ENGINES = 32 };

/* names: joined by commas; "all"; NULL: all but the reference engine. Returns how many rows were put into
 * engines[BENCH_ENGINES], two for an engine of a GPU; -1 with a sentence on standard error for a name that
 * no engine has. */
int bench_library_engines(const char *names, peer *engines);

/* Bytes of the packed weights of an engine's prepared state. */
size_t bench_library_packed(const void *state);

#endif
