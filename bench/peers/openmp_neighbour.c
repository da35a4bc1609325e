/* openmp_neighbour.c: an OpenMP runtime in the same process, whose threads spin after a region.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../check_threads.h"

void bench_openmp_region(void) {
    static double parts[2][8]; /* a cache line each */
#pragma omp parallel for num_threads(2)
    for (int part = 0; part < 2; part++)
        for (int i = 0; i < 20000; i++) parts[part][i % 8] += i;
}
