/* ledger.h: an allocator for contexts that counts what it gave, and fails when told. */
#ifndef GRU_TESTS_LEDGER_H
#define GRU_TESTS_LEDGER_H

#include "gru/gru.h"

/* One thread may use it at a time. LEDGER_INIT: no allocation fails. */
typedef struct ledger {
    long left;   /* allocations until one fails; -1: none fails */
    long asked;  /* blocks asked for so far */
    long blocks; /* blocks held */
    size_t bytes;
    int uneven; /* whether a size was no multiple of its alignment */
} ledger;
#define LEDGER_INIT \
    { .left = -1 }

gru_allocator ledger_allocator(ledger *l);

#endif
