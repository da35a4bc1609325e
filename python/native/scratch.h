/* scratch.h: scratch memory that is kept from run to run, for any number of runs at once. */
#ifndef LIBGRU_SCRATCH_H
#define LIBGRU_SCRATCH_H

#include <stdatomic.h>
#include <stdlib.h>

/* The memory of the last run: 64 bytes that begin with its size, and the memory behind them. All zero at first. */
typedef struct scratch {
    void *_Atomic block;
} scratch;

/* Memory of that many bytes, aligned to 64, or NULL. If another run has the kept one, new memory. */
static inline void *scratch_take(scratch *kept, size_t bytes) {
    size_t *block = atomic_exchange(&kept->block, NULL);
    if (!block || *block < bytes) {
        free(block);
        block = aligned_alloc(64, 64 + (bytes + 63) / 64 * 64);
        if (!block) return NULL;
        *block = bytes;
    }
    return (char *)block + 64;
}

/* Gives back what scratch_take() returned. */
static inline void scratch_give_back(scratch *kept, void *memory) {
    free(atomic_exchange(&kept->block, (char *)memory - 64));
}

#endif
