/* covering_array.c: greedy covering array: each row starts from a pair that is still missing and takes, dimension by dimension,
 * the level that completes the most missing pairs. */
#include "covering_array.h"

#include <string.h>

#include "support/tester.h"

enum { CANDIDATES = 8 }; /* rows tried for each one that is taken */

typedef struct state {
    const covering_array *plan;
    uint64_t seed, draws;
    uint8_t done[COVERING_DIMENSIONS][COVERING_LEVELS][COVERING_DIMENSIONS][COVERING_LEVELS]; /* a < b */
} state;

static int excluded(const covering_array *plan, int a, int la, int b, int lb) {
    return a < b ? plan->excludes(a, la, b, lb) : plan->excludes(b, lb, a, la);
}

static int is_done(const state *s, int a, int la, int b, int lb) {
    return a < b ? s->done[a][la][b][lb] : s->done[b][lb][a][la];
}

static int draw(state *s, int count) {
    return (int)(tester_random(s->seed, s->draws++) % (uint64_t)count);
}

/* Calls of `visit` for every pair of values that may stand together; stops at the first that returns non-zero. */
#define FOR_PAIRS(plan, a, la, b, lb)                          \
    for (int a = 0; a < (plan)->dimensions; a++)               \
        for (int la = 0; la < (plan)->levels[a]; la++)         \
            for (int b = a + 1; b < (plan)->dimensions; b++)   \
                for (int lb = 0; lb < (plan)->levels[b]; lb++) \
                    if (!(plan)->excludes(a, la, b, lb))

int covering_array_missing(const covering_array *plan, const covering_row *rows, int count) {
    int missing = 0;
    FOR_PAIRS(plan, a, la, b, lb) {
        int found = 0;
        for (int i = 0; i < count && !found; i++) found = rows[i].level[a] == la && rows[i].level[b] == lb;
        missing += !found;
    }
    return missing;
}

/* One of the pairs that are still missing; 0 if none is. */
static int draw_missing(state *s, int pair[4]) {
    int count = 0;
    FOR_PAIRS(s->plan, a, la, b, lb) {
        if (s->done[a][la][b][lb] || draw(s, ++count) != 0) continue; /* each with the same chance */
        pair[0] = a, pair[1] = la, pair[2] = b, pair[3] = lb;
    }
    return count;
}

/* How many missing pairs level l of dimension d completes with the dimensions chosen so far; -1: it cannot stand there. */
static int gain(const state *s, const covering_row *row, const uint8_t *chosen, int d, int l) {
    int gained = 0;
    for (int other = 0; other < s->plan->dimensions; other++) {
        if (!chosen[other]) continue;
        if (excluded(s->plan, d, l, other, row->level[other])) return -1;
        gained += !is_done(s, d, l, other, row->level[other]);
    }
    return gained;
}

/* Completes the row around a pair; returns the missing pairs that it has, or -1 if the pair has led nowhere. */
static int complete(state *s, const int pair[4], covering_row *row) {
    uint8_t chosen[COVERING_DIMENSIONS] = {0};
    int gained = 1;
    row->level[pair[0]] = (uint8_t)pair[1], chosen[pair[0]] = 1;
    row->level[pair[2]] = (uint8_t)pair[3], chosen[pair[2]] = 1;
    for (int left = s->plan->dimensions - 2; left > 0; left--) {
        int d = draw(s, s->plan->dimensions), best = -1, ties = 0;
        while (chosen[d]) d = (d + 1) % s->plan->dimensions;
        for (int l = 0; l < s->plan->levels[d]; l++) {
            const int more = gain(s, row, chosen, d, l);
            if (more < 0 || more < best) continue;
            ties = more > best ? 1 : ties + 1;
            if (more == best && draw(s, ties) != 0) continue;
            best = more;
            row->level[d] = (uint8_t)l;
        }
        if (best < 0) return -1;
        chosen[d] = 1;
        gained += best;
    }
    return gained;
}

static void mark(state *s, const covering_row *row) {
    for (int a = 0; a < s->plan->dimensions; a++)
        for (int b = a + 1; b < s->plan->dimensions; b++) s->done[a][row->level[a]][b][row->level[b]] = 1;
}

int covering_array_make(const covering_array *plan, uint64_t seed, covering_row rows[COVERING_ROWS]) {
    static state s;
    int pair[4];
    memset(&s, 0, sizeof s);
    s.plan = plan, s.seed = seed;
    for (int count = 0; count <= COVERING_ROWS; count++) {
        int best = -1;
        if (!draw_missing(&s, pair)) return count;
        if (count == COVERING_ROWS) break;
        for (int i = 0; i < CANDIDATES; i++) {
            covering_row row = {{0}};
            const int gained = complete(&s, pair, &row);
            if (gained <= best) continue;
            best = gained;
            rows[count] = row;
        }
        REQUIRE(best > 0, "level %d of dimension %d and level %d of dimension %d stand in no row together",
                pair[1], pair[0], pair[3], pair[2]);
        mark(&s, &rows[count]);
    }
    return 0;
}
