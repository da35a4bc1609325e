/* sort.c: heapsort. */
#include "sort.h"

static void swap(uint32_t *items, uint32_t a, uint32_t b) {
    const uint32_t item = items[a];
    items[a] = items[b];
    items[b] = item;
}

/* Restores the heap whose root alone may be too small. */
static void sift_down(uint32_t *items, uint32_t root, uint32_t count, gru_compare compare, const void *user) {
    for (uint32_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && compare(user, items[child], items[child + 1]) < 0) child++;
        if (compare(user, items[root], items[child]) >= 0) return;
        swap(items, root, child);
    }
}

void gru_sort(uint32_t *items, uint32_t count, gru_compare compare, const void *user) {
    for (uint32_t root = count / 2; root-- > 0;) sift_down(items, root, count, compare, user);
    for (uint32_t end = count; end-- > 1;) {
        swap(items, 0, end);
        sift_down(items, 0, end, compare, user);
    }
}
