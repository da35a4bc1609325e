/* train.c: trains a layer, saves it, loads it again: a GRU learns to add up the numbers that it reads. */
#include <gru/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 8, N = 32, I = 1, H = 8, STEPS = 2000, COUNT = 3 * H * (I + H + 2) }; /* COUNT: W, R, bW, bR */

static void check(gru_status status) {
    if (status == GRU_OK) return;
    fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    exit(1);
}

static float uniform(float limit) { /* -limit..limit */
    return limit * (2 * (float)rand() / (float)RAND_MAX - 1);
}

/* The squared error of the first unit's last state against the sum of the inputs; its gradient, if wanted. */
static float loss_of(const float *hT, const float *x, float *dhT) {
    float loss = 0;
    for (int n = 0; n < N; n++) {
        float sum = 0;
        for (int t = 0; t < T; t++) sum += x[t * N + n];
        const float error = hT[n * H] - sum;
        loss += error * error / N;
        if (dhT) dhT[n * H] = 2 * error / N;
    }
    return loss;
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "train.safetensors";
    static float weights[COUNT], gradients[COUNT], x[T * N * I], hT[N * H], dhT[N * H];
    for (int i = 0; i < COUNT; i++) weights[i] = uniform(0.4f);
    gru_stack_layer description = GRU_INIT; /* the same numbers make a layer and, below, a file */
    description.config.inputs = I, description.config.hidden = H;
    gru_weights *w = &description.weights[0];
    w->W = weights, w->R = weights + 3 * H * I, w->bW = weights + 3 * H * (I + H),
    w->bR = weights + COUNT - 3 * H;

    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU;
    gru_context *context;
    gru_layer *layer;
    check(gru_context_create(&config, &context));
    check(gru_layer_create(context, &description.config, w, &layer));
    gru_run run = {.T = T, .N = N, .mode = GRU_TRAIN, .x.data = x, .hT = hT};
    check(gru_layer_allocate(layer, &run)); /* one workspace serves both passes */

    gru_gradients g = GRU_INIT;
    g.parts = GRU_GRAD_OVERWRITE, g.dhT = dhT;
    g.dW = gradients, g.dR = gradients + 3 * H * I, g.dbW = gradients + 3 * H * (I + H),
    g.dbR = gradients + COUNT - 3 * H;
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < T * N; i++) x[i] = uniform(0.25f);
        check(gru_layer_forward(layer, &run));
        const float loss = loss_of(hT, x, dhT);
        check(gru_layer_backward(layer, &run, &g));
        for (int i = 0; i < COUNT; i++) weights[i] -= 0.1f * gradients[i]; /* SGD */
        check(gru_layer_update(layer, w, NULL));
        if (step % 500 == 0) printf("step %4d: loss %.4f\n", step, loss);
    }

    gru_stack_config saved = GRU_INIT;
    saved.layers = &description, saved.count = 1;
    check(gru_file_save(path, &saved, ""));
    gru_file *file;
    gru_stack *stack;
    check(gru_file_open(path, &file));
    check(gru_stack_load(context, file, NULL, &stack));
    gru_file_close(file);
    gru_layer *loaded;
    float again[N * H];
    check(gru_stack_sublayer(stack, 0, NULL, &loaded));
    check(gru_layer_forward(layer, &run)); /* with the last update */
    run.mode = GRU_INFERENCE, run.hT = again;
    check(gru_layer_forward(loaded, &run));
    printf("loss %.4f; %s gives %s states\n", loss_of(again, x, NULL), path,
           memcmp(again, hT, sizeof hT) == 0 ? "the same" : "other");

    gru_stack_release(stack);
    gru_run_free(context, &run);
    gru_layer_release(layer);
    gru_context_release(context);
    return loss_of(again, x, NULL) < 0.01f && memcmp(again, hT, sizeof hT) == 0 ? 0 : 1;
}
