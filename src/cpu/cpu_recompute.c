/* cpu_recompute.c: the cells of a chunk once more, from the states that entered them: all steps together, as their states are
 * known. The same chains and the same cell as in the forward pass, so the same bits. */
#include "cpu_recompute.h"

#include <stdalign.h>
#include <string.h>

/* A tile of places, whose pointers lie here. */
typedef struct tile {
    const float *x[MAX_TILE], *h[MAX_TILE];
    float *a[MAX_TILE], *kept[MAX_TILE], *rh[MAX_TILE], *next[MAX_TILE], *z[MAX_TILE];
    int32_t count;
} tile;

/* The next tile of the part's rows from place *at on; 0: there is none. */
static int next_tile(const gru_cpu_backward_part *p, int64_t *at, tile *t) {
    const gru_cpu_backward_call *f = p->f;
    t->count = 0;
    for (; *at < p->place_count && t->count < MAX_TILE; ++*at) {
        const gru_cpu_place *place = &p->places[*at];
        const size_t row = gru_cpu_chunk_row(p, place->s, place->n);
        const int32_t m = t->count;
        if (!gru_cpu_mine(p, place)) continue;
        t->x[m] = f->run->x.data ? gru_cpu_x_row(p, place) : NULL;
        t->h[m] = gru_cpu_h_row(p, place->s, place->n);
        t->a[m] = f->a + row * f->padded_H * GATES;
        t->kept[m] = f->again + row * f->padded_H * KEPT;
        t->rh[m] = f->rh + row * f->padded_H;
        t->next[m] = p->unused;
        t->z[m] = p->unused + f->padded_H;
        t->count++;
    }
    return t->count > 0;
}

static void take_projected(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    for (int64_t i = 0; i < p->place_count; i++) {
        const gru_cpu_place *place = &p->places[i];
        float *a = f->a + gru_cpu_chunk_row(p, place->s, place->n) * f->padded_H * GATES;
        if (gru_cpu_mine(p, place))
            gru_cpu_load_projected(&f->layer->config, f->run, p->share.panels, place->t, place->n, a);
    }
}

static void project(const gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    for (size_t panel = p->share.panels.begin; panel < p->share.panels.end; panel++) {
        const gru_cpu_strip strip = gru_cpu_strip_at(&f->terms.W, f->terms.W_pitch, panel);
        tile t;
        for (int64_t at = 0; next_tile(p, &at, &t);) {
            float *out[MAX_TILE];
            for (int32_t m = 0; m < t.count; m++) out[m] = t.a[m] + panel * GATES * PANEL;
            f->kernels->product(&strip, t.x, out, t.count);
        }
    }
}

typedef void (*finish)(const gru_cpu_cell *cell, const gru_cpu_rows *rows, int64_t first, int32_t count,
                       size_t unit, float *const *c);

/* One product over all places, with the cell, or the half of it, that follows. */
static void multiply(const gru_cpu_backward_part *p, const gru_cpu_strip *first, int of_rh, finish then) {
    const gru_cpu_backward_call *f = p->f;
    gru_cpu_cell cell = f->terms.cell;
    alignas(64) float c[MAX_TILE][GATES * PANEL];
    float *c_rows[MAX_TILE];
    for (int m = 0; m < MAX_TILE; m++) c_rows[m] = c[m];
    cell.attends = 0; /* attention comes behind what is kept */
    for (size_t panel = p->share.panels.begin; panel < p->share.panels.end; panel++) {
        const gru_cpu_strip strip = gru_cpu_strip_at(first, f->terms.R_pitch, panel);
        tile t;
        for (int64_t at = 0; next_tile(p, &at, &t);) {
            const gru_cpu_rows rows = {
                .in = t.h, .a = t.a, .next = t.next, .z = t.z, .rh = t.rh, .kept = t.kept, .count = t.count};
            f->kernels->product(&strip, of_rh ? (const float *const *)t.rh : t.h, c_rows, t.count);
            then(&cell, &rows, 0, t.count, panel * PANEL, c_rows);
        }
    }
}

void gru_cpu_recompute(gru_cpu_backward_part *p) {
    const gru_cpu_backward_call *f = p->f;
    memset(p->unused, 0, 2 * f->padded_H * sizeof *p->unused);
    if (f->run->projected.data)
        take_projected(p);
    else
        project(p);
    if (f->terms.cell.reset_mode == GRU_RESET_BEFORE) {
        multiply(p, &f->terms.R, 0, f->kernels->gates);
        gru_cpu_backward_meet(p); /* r h is whole before the candidate multiplies it */
        multiply(p, &f->terms.R_n, 1, f->kernels->candidate);
    } else {
        multiply(p, &f->terms.R, 0, f->kernels->cell);
    }
}
