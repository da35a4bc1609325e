/* bench_report.h: the table for people and the lines for programs.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench_case.h"
#include "gpu_probe/gpu_probe.h"

/* Where these numbers were made, and what they are. */
void bench_report_head(double peak, int peak_threads);
void bench_report_legend(int cold);

/* The rows of a measured case; json NULL: none of those lines. Returns the rows of engines and peers printed. */
int bench_report_case(const bench_case *this_case, double peak, int cold, FILE *json);

/* One measurement of the GPU itself, as bench_gpu_probe reports it. json: a FILE *, or NULL. */
void bench_report_gpu_line(void *json, const bench_probe_line *line);

#endif
