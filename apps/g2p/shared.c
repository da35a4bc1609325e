/* shared.c: copies between the program's memory and the engine's, where these are two. */
#include "shared.h"

#include <stdio.h>
#include <stdlib.h>

int share(gru_context *context, size_t bytes, shared *place) {
    if (gru_allocate(context, bytes, &place->engine) != GRU_OK) {
        fprintf(stderr, "g2p: memory: %s\n", gru_last_error());
        return 0;
    }
    place->host = gru_context_backend(context) == GRU_BACKEND_CPU ? place->engine : malloc(bytes);
    if (!place->host) fprintf(stderr, "g2p: memory: no %zu bytes\n", bytes);
    return place->host != NULL;
}

void unshare(gru_context *context, shared *place) {
    if (place->host != place->engine) free(place->host);
    gru_free(context, place->engine);
    place->host = place->engine = NULL;
}

gru_status hand_over(gru_context *context, const shared *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    return gru_copy(context, numbers->engine, numbers->host, bytes, NULL);
}

gru_status take_back(gru_context *context, const shared *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    const gru_status status = gru_copy(context, numbers->host, numbers->engine, bytes, NULL);
    return status == GRU_OK ? gru_wait(context, NULL) : status;
}
