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
    enum { T = 3, N = 1, I = 1, H = 2 };
    const float W[3 * H * I] = {0.5f, -0.5f, 0.25f, 0.75f, 1.0f, -1.0f}; /* [3H][I], gates r, z, n */
    const float R[3 * H * H] = {0.5f, 0, 0, 0.5f, 0.25f, 0, 0, 0.25f, 1.0f, -0.5f, 0.5f, 1.0f}; /* [3H][H] */
    const float x[T * N * I] = {1, 0, -1};
    float hT[N * H];

    gru_context_config machine = GRU_INIT;
    machine.backend =
        GRU_BACKEND_CPU; /* a GPU would want x and hT in its own memory: gru_allocate, gru_copy */
    gru_context *context;
    check(gru_context_create(&machine, &context)); /* the machine */
    gru_layer_config config = GRU_INIT;
    config.inputs = I, config.hidden = H;
    gru_weights weights = GRU_INIT; /* no biases: zeros */
    weights.W = W, weights.R = R;
    gru_layer *layer;
    check(gru_layer_create(context, &config, &weights, &layer)); /* the weights */

    gru_memory memory;
    check(gru_layer_memory(layer, T, N, &memory));
    gru_run run = GRU_INIT; /* the data: h0 is NULL, so zeros */
    run.T = T, run.N = N, run.x.data = x, run.hT = hT;
    check(gru_allocate(context, memory.workspace, &run.workspace));
    run.workspace_size = memory.workspace;
    check(gru_forward(layer, &run));
    printf("%s: final state %.4f %.4f\n", gru_engine_name(layer, &run), hT[0], hT[1]);

    gru_free(context, run.workspace);
    gru_layer_release(layer);
    gru_context_release(context);
    return 0;
}
