/* host_info.h: the clock, the host and the build.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_HOST_INFO_H
#define BENCH_HOST_INFO_H

#include <stddef.h>

double bench_host_now(void);            /* seconds, monotonic */
void bench_host_sleep(double seconds);  /* sleeps */
size_t bench_host_last_cache(void);     /* bytes of the largest cache level; 32 MiB if unknown */
const char *bench_host_processor(void); /* the model's name with its count and caches; static */
const char *bench_host_date(void);      /* "2026-11-22T18:00:00Z"; static */
const char *bench_host_compiler(void);
const char *bench_host_commit(void);  /* "" outside a git checkout */
const char *bench_host_version(void); /* of the library that runs; static */

#endif
