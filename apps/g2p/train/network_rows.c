/* network_rows.c: work on the rows of a batch's tables: dealt to threads, and with some numbers dropped. */
#include "network_internal.h"
#include "random.h"

typedef struct rows {
    const network *network;
    network_row_task task;
    int32_t count;
} rows;

static void take_rows(void *argument, int32_t index) {
    const rows *r = argument;
    const worker_pool *pool = r->network->internal->pool;
    r->task(r->network, worker_pool_first(pool, index, r->count),
            worker_pool_first(pool, index + 1, r->count));
}

void network_over_rows(const network *n, int32_t count, network_row_task task) {
    rows r = {.network = n, .task = task, .count = count};
    worker_pool_run(n->internal->pool, worker_pool_size(n->internal->pool), take_rows, &r);
}

void network_drop(const network_internal *m, int what, int32_t row, float *numbers, int32_t count) {
    const float dropout = m->config.dropout, grown = 1 / (1 - dropout);
    const uint32_t bound = (uint32_t)(dropout * 65536);
    const uint64_t key = random_key(m->key, (uint64_t)what);
    if (bound == 0) return;
    for (int32_t i = 0; i < count; i += 4) {
        const uint64_t bits = random_at(key, ((uint64_t)row * (uint64_t)count + (uint64_t)i) / 4);
        for (int32_t j = 0; j < 4; j++)
            numbers[i + j] = (uint32_t)(bits >> (16 * j) & 0xFFFF) < bound ? 0 : numbers[i + j] * grown;
    }
}
