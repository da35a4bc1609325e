/* sort.h: sorts indices in place: no memory, and no input is slow. */
#ifndef GRU_SORT_H
#define GRU_SORT_H

#include <stdint.h>

/* Below, at, or above 0 as item a comes before b, with it, or after it. */
typedef int (*gru_compare)(const void *user, uint32_t a, uint32_t b);

void gru_sort(uint32_t *items, uint32_t count, gru_compare compare, const void *user);

#endif
