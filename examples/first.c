/* first.c: the first program of the README: a GRU of two units reads three numbers. */
#include <gru/gru.h>
#include <stdio.h>
#include <stdlib.h>

static void check(gru_status status) {
    if (status == GRU_OK) return;
    fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    exit(1);
}

int main(void) {
    enum { T = 3, N = 1, I = 1, H = 2 }; /* steps, sequences, inputs, hidden units */
    const float W[3 * H * I] = {0.5f, -0.5f, 0.25f, 0.75f, 1.0f, -1.0f}; /* [3H][I], gates r, z, n */
    const float R[3 * H * H] = {0.5f, 0, 0, 0.5f, 0.25f, 0, 0, 0.25f, 1.0f, -0.5f, 0.5f, 1.0f}; /* [3H][H] */
    const float x[T * N * I] = {1, 0, -1};
    float hT[N * H];
    gru_context_config cpu = {.backend = GRU_BACKEND_CPU}; /* a GPU would need x and hT in its own memory */
    gru_layer_config shape = {.inputs = I, .hidden = H};
    gru_weights weights = {.W = W, .R = R};                /* no biases: zeros */
    gru_run run = {.T = T, .N = N, .x.data = x, .hT = hT}; /* h0 is NULL: zeros */
    gru_context *context;
    gru_layer *layer;
    check(gru_context_create(&cpu, &context));
    check(gru_layer_create(context, &shape, &weights, &layer));
    check(gru_layer_allocate(layer, &run)); /* its workspace: scratch memory */
    check(gru_layer_forward(layer, &run));
    printf("%s: final state %.4f %.4f\n", gru_engine_name(layer, &run), hT[0], hT[1]);
    gru_run_free(context, &run);
    gru_layer_release(layer);
    gru_context_release(context);
    return 0;
}
