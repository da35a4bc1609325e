/* ceilings.h: the peak rates of this host: multiply-adds and reads per second.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CEILINGS_H
#define BENCH_CEILINGS_H

#include <stddef.h>

/* A ceiling is the best of many attempts, over each width of vectors that the processor has, by threads that start
 * together on processors of their own. */

/* Floating point operations a second of fused multiply-adds on threads processors; 0: no thread. */
double bench_ceiling_peak(int threads);

/* Seconds in which threads read bytes once, each its slice; cold: out of memory instead of the caches. seconds: how long
 * the measurement may take; a few attempts are made in any case. 0: no memory or no thread. */
double bench_ceiling_read(size_t bytes, int threads, int cold, double seconds);

/* Reads twice the last-level cache on each of threads processors, the caller's among them, so that weights, data and
 * code must come from memory afterwards. 0: no memory or no thread. */
int bench_ceiling_evict(int threads);

/* "AVX-512", "AVX2" ...: the widest vectors of the two ceilings. */
const char *bench_ceiling_vectors(void);

#endif
