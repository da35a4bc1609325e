/* ceilings.h: how fast this machine multiplies and reads, whatever the program.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CEILINGS_H
#define BENCH_CEILINGS_H

#include <stddef.h>

/* Floating point operations a second of the widest fused multiply-add, best of a hundred tries; 0: no memory. */
double bench_peak(int threads);

/* A contestant that merely reads bytes with the widest loads, shared evenly by its threads. NULL: no memory. */
typedef struct bench_reader bench_reader;
bench_reader *bench_reader_create(size_t bytes, int threads);
void bench_reader_run(void *reader);
void bench_reader_release(void *reader); /* NULL: nothing */

/* Walks over twice the last-level cache on every core at once, so that weights, data and code must come from memory.
 * The same buffer serves all calls. 0: no memory. */
int bench_evict(int threads);

/* "AVX-512", "AVX2" ...: what the two ceilings were measured with. */
const char *bench_ceiling_vectors(void);

#endif
