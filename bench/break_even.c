/* break_even.c: searches rows and columns of the table of batch sizes and units.  SPDX-License-Identifier: Apache-2.0 */
#include "break_even.h"

#include "bench_problem.h"

static int is_complete(const bench_break_even_pair *pair) {
    return pair->cpu > 0 && pair->gpu > 0;
}

static int64_t size_of(const bench_break_even_pair *pair, int by_batch) {
    return by_batch ? pair->N : pair->H;
}

/* The smallest size above the largest one at which the GPU does not win. */
int64_t bench_break_even(const bench_break_even_pair *pairs, int count, int by_batch, int64_t fixed) {
    int64_t lost = 0, best = 0;
    for (int i = 0; i < count; i++) {
        const bench_break_even_pair *pair = &pairs[i];
        if (!is_complete(pair) || size_of(pair, !by_batch) != fixed || pair->gpu < pair->cpu) continue;
        if (size_of(pair, by_batch) > lost) lost = size_of(pair, by_batch);
    }
    for (int i = 0; i < count; i++) {
        const bench_break_even_pair *pair = &pairs[i];
        const int64_t size = size_of(pair, by_batch);
        if (!is_complete(pair) || size_of(pair, !by_batch) != fixed || size <= lost) continue;
        if (best == 0 || size < best) best = size;
    }
    return best;
}

/* The smallest size above after among the pairs; 0: none. */
static int64_t next_size(const bench_break_even_pair *pairs, int count, int by_batch, int64_t after) {
    int64_t best = 0;
    for (int i = 0; i < count; i++) {
        const int64_t size = size_of(&pairs[i], by_batch);
        if (is_complete(&pairs[i]) && size > after && (best == 0 || size < best)) best = size;
    }
    return best;
}

static void print_along(const bench_break_even_pair *pairs, int count, int by_batch, FILE *file) {
    const char *sign = "";
    for (int64_t fixed = 0; (fixed = next_size(pairs, count, !by_batch, fixed)) != 0; sign = ", ") {
        const int64_t from = bench_break_even(pairs, count, by_batch, fixed);
        if (from)
            (void)fprintf(file, "%s%s = %lld from %s = %lld", sign, by_batch ? "H" : "N", (long long)fixed,
                          by_batch ? "N" : "H", (long long)from);
        else
            (void)fprintf(file, "%s%s = %lld nowhere", sign, by_batch ? "H" : "N", (long long)fixed);
    }
}

static void print_sentence(const bench_break_even_pair *pairs, int count, FILE *file) {
    (void)fprintf(file,
                  "\nBreak-even, %s, %s, %s: the GPU is faster than the CPU (each by its fastest engine) at ",
                  bench_stage_names[pairs->stage], bench_type_names[pairs->type],
                  pairs->single ? "one step" : "sequences");
    print_along(pairs, count, 1, file);
    (void)fprintf(file, "; at ");
    print_along(pairs, count, 0, file);
    (void)fprintf(file, ".\n");
}

void bench_break_even_print(const bench_break_even_pairs *pairs, FILE *file) {
    static bench_break_even_pair group[BENCH_BREAK_EVEN_PAIRS];
    for (int kind = 0; kind < 2 * BENCH_STAGES * BENCH_TYPES; kind++) {
        int count = 0;
        for (int i = 0; i < pairs->count; i++) {
            const bench_break_even_pair *pair = &pairs->list[i];
            if (is_complete(pair) && (pair->stage * BENCH_TYPES + pair->type) * 2 + pair->single == kind)
                group[count++] = *pair;
        }
        if (count) print_sentence(group, count, file);
    }
}
