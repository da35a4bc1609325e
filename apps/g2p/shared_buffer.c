/* shared_buffer.c: copies between the program's memory and the engine's, where these are two. */
#include "shared_buffer.h"

#include <stdio.h>
#include <stdlib.h>

int shared_buffer_make(gru_context *context, size_t bytes, shared_buffer *place) {
    if (gru_allocate(context, bytes, &place->engine) != GRU_OK) {
        fprintf(stderr, "g2p: memory: %s\n", gru_last_error());
        return 0;
    }
    place->host = gru_context_backend(context) == GRU_BACKEND_CPU ? place->engine : malloc(bytes);
    if (!place->host) fprintf(stderr, "g2p: memory: no %zu bytes\n", bytes);
    return place->host != NULL;
}

void shared_buffer_free(gru_context *context, shared_buffer *place) {
    if (place->host != place->engine) free(place->host);
    gru_free(context, place->engine);
    place->host = place->engine = NULL;
}

gru_status shared_buffer_send(gru_context *context, const shared_buffer *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    return gru_copy(context, numbers->engine, numbers->host, bytes, NULL);
}

gru_status shared_buffer_receive(gru_context *context, const shared_buffer *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    const gru_status status = gru_copy(context, numbers->host, numbers->engine, bytes, NULL);
    return status == GRU_OK ? gru_wait(context, NULL) : status;
}
