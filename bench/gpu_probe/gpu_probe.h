/* gpu_probe.h: what a GPU takes for the steps of which recurrent kernels are made: launches, block exchange, barriers,
 * reads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_GPU_PROBE_H
#define BENCH_GPU_PROBE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bench_probe_line {
    const char *what, *variant, *unit;
    double value;      /* median; NaN: not measured */
    int samples;       /* the median's */
    const char *wrong; /* NULL, or what went wrong: the error of a call, or what a kernel did not do */
} bench_probe_line;

typedef void (*bench_probe_report)(void *user, const bench_probe_line *line);

/* Measures device 0 and reports line by line. What a kernel claims to do is checked before or while it is timed.
 * brief: few rounds and small sizes, for tests of the benchmark itself. Returns the number of lines with something
 * wrong. */
int bench_gpu_probe(bench_probe_report report, void *user, int brief);

#ifdef __cplusplus
}
#endif
#endif
