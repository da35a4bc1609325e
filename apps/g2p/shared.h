/* shared.h: numbers that a program and an engine take turns with, in host memory and where the engine reads and writes;
 * on a CPU both are one. */
#ifndef G2P_SHARED_H
#define G2P_SHARED_H

#include <gru/gru.h>

typedef struct shared {
    void *host, *engine;
} shared;

/* 0 on failure, after a message on stderr; what was made so far is for unshare. *place starts as zero. */
int share(gru_context *context, size_t bytes, shared *place);
void unshare(gru_context *context, shared *place);

/* The first bytes of them, from the program to the engine and back; take_back waits for the engine. */
gru_status hand_over(gru_context *context, const shared *numbers, size_t bytes);
gru_status take_back(gru_context *context, const shared *numbers, size_t bytes);

#endif
