/* bench_shapes.c: finds shapes by name and cuts the long ones.  SPDX-License-Identifier: Apache-2.0 */
#include "bench_shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct known_shape {
    const char *name;
    int64_t T, N, I, H;
    int quick;
} known_shape;

static const known_shape known[] = {
#define SHAPE(NAME, T, N, I, H, QUICK) {#NAME, T, N, I, H, QUICK},
#include "bench_shapes.def"
#undef SHAPE
};

enum { KNOWN = sizeof known / sizeof *known };

static const double default_limit = 1e10, quick_limit = 1e9; /* floating point operations in one run */

/* At least two steps remain, so that the state is carried once. */
static bench_shape cut(const known_shape *from, double limit) {
    bench_shape shape = {.T = from->T, .N = from->N, .I = from->I, .H = from->H, .whole_T = from->T};
    const double step = 6.0 * (double)from->H * (double)(from->I + from->H) * (double)from->N;
    (void)snprintf(shape.name, sizeof shape.name, "%s", from->name);
    if (limit > 0 && step * (double)shape.T > limit) {
        const int64_t fits = (int64_t)(limit / step);
        if (fits < shape.T) shape.T = fits < 2 ? 2 : fits;
    }
    return shape;
}

static int add_set(bench_shape *shapes, int count, int only_quick, double limit) {
    for (int k = 0; k < KNOWN && count < BENCH_SHAPES; k++)
        if (!only_quick || known[k].quick) shapes[count++] = cut(&known[k], limit);
    return count;
}

/* Sizes that no engine was tuned for. */
static int add_grid(bench_shape *shapes, int count) {
    static const int64_t units[] = {24, 72, 136, 200, 272, 400, 608, 900}, rows[] = {1, 2, 5, 13, 48, 200};
    for (size_t h = 0; h < sizeof units / sizeof *units; h++)
        for (size_t n = 0; n < sizeof rows / sizeof *rows && count < BENCH_SHAPES; n++) {
            char name[40];
            (void)snprintf(name, sizeof name, "grid_b%d_h%d", (int)rows[n], (int)units[h]);
            const known_shape shape = {name, 100, rows[n], units[h], units[h], 0};
            shapes[count++] = cut(&shape, quick_limit);
        }
    return count;
}

static int add_numbers(const char *word, bench_shape *shapes, int count, int *used) {
    known_shape own = {.name = word};
    *used = 0;
    if (sscanf(word, "T%" SCNd64 ",N%" SCNd64 ",I%" SCNd64 ",H%" SCNd64 "%n", &own.T, &own.N, &own.I, &own.H,
               used) != 4 ||
        own.T < 1 || own.N < 1 || own.I < 1 || own.H < 1 || own.T > 1000000 || own.N > 100000 ||
        own.I > 100000 || own.H > 100000) {
        (void)fprintf(
            stderr, "gru_bench: \"%s\" is neither a shape nor T..,N..,I..,H.. with numbers above 0\n", word);
        return -1;
    }
    char name[40];
    (void)snprintf(name, sizeof name, "%.*s", *used, word);
    own.name = name;
    shapes[count] = cut(&own, 0);
    return count + 1;
}

static int add_word(const char *word, bench_shape *shapes, int count, int *used) {
    *used = (int)strcspn(word, ",/");
    const size_t length = (size_t)*used;
    if (length == 3 && strncmp(word, "all", 3) == 0) return add_set(shapes, count, 0, 0);
    if (length == 5 && strncmp(word, "quick", 5) == 0) return add_set(shapes, count, 1, quick_limit);
    if (length == 7 && strncmp(word, "default", 7) == 0) return add_set(shapes, count, 0, default_limit);
    if (length == 4 && strncmp(word, "grid", 4) == 0) return add_grid(shapes, count);
    for (int k = 0; k < KNOWN; k++)
        if (strlen(known[k].name) == length && strncmp(known[k].name, word, length) == 0) {
            shapes[count] = cut(&known[k], 0);
            return count + 1;
        }
    return add_numbers(word, shapes, count, used);
}

int bench_shapes_parse(const char *text, bench_shape *shapes) {
    int count = 0;
    while (*text) {
        int used = 0;
        if (count == BENCH_SHAPES) {
            (void)fprintf(stderr, "gru_bench: more than %d shapes\n", BENCH_SHAPES);
            return -1;
        }
        count = add_word(text, shapes, count, &used);
        if (count < 0) return -1;
        text += used;
        if (*text == ',' || *text == '/') text++;
    }
    return count;
}
