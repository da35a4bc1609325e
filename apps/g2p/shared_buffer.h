/* shared_buffer.h: numbers that a program and an engine exchange: one copy in host memory, one where the engine reads and writes;
 * on a CPU both are one. */
#ifndef G2P_SHARED_BUFFER_H
#define G2P_SHARED_BUFFER_H

#include <gru/gru.h>

typedef struct shared_buffer {
    void *host, *engine;
} shared_buffer;

/* 0 on failure, after a message on stderr; what was made so far is for shared_buffer_free. *place starts as zero. */
int shared_buffer_make(gru_context *context, size_t bytes, shared_buffer *place);
void shared_buffer_free(gru_context *context, shared_buffer *place);

/* The first bytes of them, from the program to the engine and back; shared_buffer_receive waits for the engine. */
gru_status shared_buffer_send(gru_context *context, const shared_buffer *numbers, size_t bytes);
gru_status shared_buffer_receive(gru_context *context, const shared_buffer *numbers, size_t bytes);

#endif
