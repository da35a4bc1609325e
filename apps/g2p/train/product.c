/* product.c: a block of the result stays in registers while the sum over the depth runs; the compiler makes a copy for each
 * instruction set. Without fused multiply-adds (-ffp-contract=off) all copies give the same bits. */
#include "product.h"

#include <string.h>

/* The choice is made while the program is loaded, before a sanitizer is ready. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FOR_EACH_INSTRUCTION_SET __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_INSTRUCTION_SET
#endif

enum { BLOCK_ROWS = 8 };
typedef float lanes __attribute__((vector_size(4 * PRODUCT_COLUMNS), aligned(4), may_alias));

/* Rows first to end - 1 of the result. */
FOR_EACH_INSTRUCTION_SET
static void multiply_rows(const product *p, int32_t first, int32_t end) {
    for (int32_t i = first; i < end; i += BLOCK_ROWS) {
        const int32_t rows = end - i < BLOCK_ROWS ? end - i : BLOCK_ROWS;
        for (int32_t j = 0; j < p->columns; j += PRODUCT_COLUMNS) {
            lanes sums[BLOCK_ROWS] = {{0}};
            for (int32_t r = 0; r < rows; r++) memcpy(&sums[r], p->c + (i + r) * p->c_row + j, sizeof *sums);
            for (int32_t k = 0; k < p->depth; k++) {
                const float *a = p->a + i * p->a_row + k * p->a_column;
                const lanes b = *(const lanes *)(p->b + k * p->b_row + j);
                /* past the last row: once more the last, never stored, so that the loop has a fixed length */
                for (int32_t r = 0; r < BLOCK_ROWS; r++)
                    sums[r] += a[(r < rows ? r : rows - 1) * p->a_row] * b;
            }
            for (int32_t r = 0; r < rows; r++) memcpy(p->c + (i + r) * p->c_row + j, &sums[r], sizeof *sums);
        }
    }
}

typedef struct work {
    const worker_pool *pool;
    const product *product;
} work;

static void multiply_slice(void *argument, int32_t index) {
    const work *w = argument;
    const int32_t rows = w->product->rows;
    multiply_rows(w->product, worker_pool_first(w->pool, index, rows),
                  worker_pool_first(w->pool, index + 1, rows));
}

void multiply(worker_pool *pool, const product *p) {
    work w = {.pool = pool, .product = p};
    worker_pool_run(pool, worker_pool_size(pool), multiply_slice, &w);
}
