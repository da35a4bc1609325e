/* break_even.c: looks along rows and columns of the table of batches and sizes.  SPDX-License-Identifier: Apache-2.0 */
#include "break_even.h"

#include "bench_problem.h"

static int took_part(const bench_duel *d) {
    return d->cpu > 0 && d->gpu > 0;
}

static int64_t size_of(const bench_duel *d, int by_batch) {
    return by_batch ? d->N : d->H;
}

/* Above the largest size at which it does not win. */
int64_t bench_break_even(const bench_duel *duels, int count, int by_batch, int64_t fixed) {
    int64_t lost = 0, best = 0;
    for (int i = 0; i < count; i++) {
        const bench_duel *d = &duels[i];
        if (!took_part(d) || size_of(d, !by_batch) != fixed || d->gpu < d->cpu) continue;
        if (size_of(d, by_batch) > lost) lost = size_of(d, by_batch);
    }
    for (int i = 0; i < count; i++) {
        const bench_duel *d = &duels[i];
        const int64_t size = size_of(d, by_batch);
        if (!took_part(d) || size_of(d, !by_batch) != fixed || size <= lost) continue;
        if (best == 0 || size < best) best = size;
    }
    return best;
}

/* The smallest size above after among the duels; 0: none. */
static int64_t next_size(const bench_duel *duels, int count, int by_batch, int64_t after) {
    int64_t best = 0;
    for (int i = 0; i < count; i++) {
        const int64_t size = size_of(&duels[i], by_batch);
        if (took_part(&duels[i]) && size > after && (best == 0 || size < best)) best = size;
    }
    return best;
}

static void print_along(const bench_duel *duels, int count, int by_batch, FILE *file) {
    const char *sign = "";
    for (int64_t fixed = 0; (fixed = next_size(duels, count, !by_batch, fixed)) != 0; sign = ", ") {
        const int64_t from = bench_break_even(duels, count, by_batch, fixed);
        if (from)
            (void)fprintf(file, "%s%s = %lld from %s = %lld", sign, by_batch ? "H" : "N", (long long)fixed,
                          by_batch ? "N" : "H", (long long)from);
        else
            (void)fprintf(file, "%s%s = %lld nowhere", sign, by_batch ? "H" : "N", (long long)fixed);
    }
}

static void print_sentence(const bench_duel *duels, int count, FILE *file) {
    (void)fprintf(file,
                  "\nBreak-even, %s, %s, %s: the GPU is faster than the CPU (each by its fastest engine) at ",
                  bench_stage_names[duels->stage], bench_type_names[duels->type],
                  duels->single ? "one step" : "sequences");
    print_along(duels, count, 1, file);
    (void)fprintf(file, "; at ");
    print_along(duels, count, 0, file);
    (void)fprintf(file, ".\n");
}

void bench_break_even_print(const bench_duels *duels, FILE *file) {
    static bench_duel group[BENCH_DUELS];
    for (int kind = 0; kind < 2 * BENCH_STAGES * BENCH_TYPES; kind++) {
        int count = 0;
        for (int i = 0; i < duels->count; i++) {
            const bench_duel *d = &duels->list[i];
            if (took_part(d) && (d->stage * BENCH_TYPES + d->type) * 2 + d->single == kind)
                group[count++] = *d;
        }
        if (count) print_sentence(group, count, file);
    }
}
