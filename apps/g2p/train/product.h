/* product.h: the one matrix product of the trainer, whose bits depend neither on threads nor on the instruction set. */
#ifndef G2P_PRODUCT_H
#define G2P_PRODUCT_H

#include "worker_pool.h"

enum { PRODUCT_COLUMNS = 16 }; /* columns of a product come in whole groups of these */

/* c[i][j] += a[i][k] * b[k][j], summed over k in ascending order, each product and each sum rounded once.
 * a: element (i, k) lies at a[i * a_row + k * a_column], so a transposed matrix needs no copy. b, c: rows b_row and c_row
 * apart. columns: a multiple of PRODUCT_COLUMNS. */
typedef struct product {
    int32_t rows, columns, depth;
    const float *a;
    int64_t a_row, a_column;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
} product;

void multiply(worker_pool *pool, const product *p);

#endif
