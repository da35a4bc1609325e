/* adam.c: each number has a step of its own, so threads take ranges of them; only the norm is a sum, over blocks of one size. */
#include "adam.h"

#include <math.h>
#include <stdint.h>

static const double mean_decay = 0.9, square_decay = 0.999, epsilon = 1e-8; /* the paper's */

enum { LANES = 8, BLOCK = 4096, MAX_BLOCKS = 4096 };

typedef struct work {
    const worker_pool *pool;
    const adam *adam;
    float scale, rate, small; /* of the gradients; of the step; epsilon, both corrected for the first steps */
    int32_t blocks;
    size_t block; /* numbers in one: BLOCK, or more so that MAX_BLOCKS suffice */
    double sums[MAX_BLOCKS];
} work;

static size_t block_end(const work *w, int32_t block) {
    const size_t end = ((size_t)block + 1) * w->block;
    return end < w->adam->count ? end : w->adam->count;
}

static void begin(work *w, const worker_pool *pool, const adam *a) {
    w->pool = pool, w->adam = a;
    w->block = BLOCK;
    while (a->count > w->block * MAX_BLOCKS) w->block *= 2;
    w->blocks = (int32_t)((a->count + w->block - 1) / w->block);
}

/* ---- norm ---------------------------------------------------------------------------------------------- */

static void sum_squares(void *argument, int32_t index) {
    work *w = argument;
    const int32_t end = worker_pool_first(w->pool, index + 1, w->blocks);
    for (int32_t b = worker_pool_first(w->pool, index, w->blocks); b < end; b++) {
        double lanes[LANES] = {0}, sum = 0;
        size_t i = (size_t)b * w->block;
        for (; i + LANES <= block_end(w, b); i += LANES)
            for (int l = 0; l < LANES; l++)
                lanes[l] +=
                    (double)w->adam->gradients[i + (size_t)l] * (double)w->adam->gradients[i + (size_t)l];
        for (; i < block_end(w, b); i++)
            lanes[0] += (double)w->adam->gradients[i] * (double)w->adam->gradients[i];
        for (int l = 0; l < LANES; l++) sum += lanes[l];
        w->sums[b] = sum;
    }
}

double adam_norm(worker_pool *pool, const adam *a) {
    work w;
    double sum = 0;
    begin(&w, pool, a);
    worker_pool_run(pool, worker_pool_size(pool), sum_squares, &w);
    for (int32_t b = 0; b < w.blocks; b++) sum += w.sums[b];
    return sqrt(sum);
}

/* ---- step ---------------------------------------------------------------------------------------------- */

static void move(void *argument, int32_t index) {
    const work *w = argument;
    const int32_t first = worker_pool_first(w->pool, index, w->blocks),
                  last = worker_pool_first(w->pool, index + 1, w->blocks);
    const float decay_1 = (float)mean_decay, decay_2 = (float)square_decay;
    const float scale = w->scale, rate = w->rate, small = w->small;
    float *restrict p = w->adam->parameters, *restrict mean = w->adam->mean,
                    *restrict square = w->adam->square;
    const float *restrict gradients = w->adam->gradients;
    const size_t end = first < last ? block_end(w, last - 1) : 0;
    for (size_t i = (size_t)first * w->block; i < end; i++) {
        const float g = gradients[i] * scale;
        mean[i] = decay_1 * mean[i] + (1 - decay_1) * g;
        square[i] = decay_2 * square[i] + (1 - decay_2) * (g * g);
        p[i] -= rate * mean[i] / (sqrtf(square[i]) + small);
    }
}

/* The paper's shortcut: both corrections are one factor of the rate, and epsilon grows with the second. */
void adam_step(worker_pool *pool, const adam *a, int64_t step, double rate, double norm, double clip) {
    const double corrected = sqrt(1 - pow(square_decay, (double)step));
    work w;
    begin(&w, pool, a);
    w.scale = norm > clip ? (float)(clip / norm) : 1;
    w.rate = (float)(rate * corrected / (1 - pow(mean_decay, (double)step)));
    w.small = (float)(epsilon * corrected);
    worker_pool_run(pool, worker_pool_size(pool), move, &w);
}
