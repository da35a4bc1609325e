/* peer_ratios.c: collects the ratios, one for each case and device.  SPDX-License-Identifier: Apache-2.0 */
#include "peer_ratios.h"

#include <math.h>

/* Seconds of the fastest entry of a kind on a device; 0: there is none. */
static double fastest(const bench_case *this_case, int kind, int device) {
    double best = 0;
    for (int i = 0; i < this_case->count; i++) {
        const bench_entry *entry = &this_case->entries[i];
        const double median = this_case->timings[i].median;
        if (entry->kind == kind && entry->candidate->device == device &&
            entry->candidate->weights == BENCH_WEIGHTS_SAME && (best == 0 || median < best))
            best = median;
    }
    return best;
}

static bench_peer_ratio *find(bench_peer_ratios *ratios, int device, const bench_problem *problem) {
    for (int i = 0; i < ratios->count; i++) {
        bench_peer_ratio *ratio = &ratios->list[i];
        if (ratio->device == device && ratio->stage == problem->stage && ratio->type == problem->type &&
            ratio->threads == problem->threads)
            return ratio;
    }
    bench_peer_ratio *ratio = &ratios->list[ratios->count++];
    *ratio = (bench_peer_ratio){device, problem->stage, problem->type, problem->threads, .least = INFINITY};
    return ratio;
}

void bench_peer_ratios_add(bench_peer_ratios *ratios, const bench_case *this_case) {
    for (int device = BENCH_CPU; device <= BENCH_GPU; device++) {
        const double engine = fastest(this_case, BENCH_ENGINE, device);
        const double peer = fastest(this_case, BENCH_PEER, device);
        if (!(engine > 0 && peer > 0)) continue;
        const bench_problem *problem = &this_case->entries[0].problem;
        bench_peer_ratio *ratio = find(ratios, device, problem);
        ratio->count++;
        ratio->log_sum += log(peer / engine);
        if (peer / engine >= ratio->least) continue;
        ratio->least = peer / engine;
        ratio->least_shape = problem->shape;
    }
}

void bench_peer_ratios_print(const bench_peer_ratios *ratios, FILE *file) {
    if (ratios->count)
        (void)fprintf(file, "\nSpeed of the fastest engine relative to the fastest other library:\n");
    for (int i = 0; i < ratios->count; i++) {
        const bench_peer_ratio *ratio = &ratios->list[i];
        const bench_shape shape = ratio->least_shape;
        (void)fprintf(file,
                      "  %s, %s, %s, %d thread%s: geometric mean %.2f of %d shape%s, least %.2f at "
                      "T%lld N%lld I%lld H%lld\n",
                      ratio->device == BENCH_GPU ? "GPU" : "CPU", bench_stage_names[ratio->stage],
                      bench_type_names[ratio->type], ratio->threads, ratio->threads > 1 ? "s" : "",
                      exp(ratio->log_sum / ratio->count), ratio->count, ratio->count > 1 ? "s" : "",
                      ratio->least, (long long)shape.T, (long long)shape.N, (long long)shape.I,
                      (long long)shape.H);
    }
}
