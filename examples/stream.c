/* stream.c: an audio effect: one step per sample inside a real-time callback, the state carried from call to call. */
#include <gru/gru.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { I = 1, H = 16, BLOCK = 64, BLOCKS = 4 };

typedef struct effect {
    gru_context *context;
    gru_layer *layer;
    gru_run step;
    float x[I], h[H];
    float dense[H]; /* the output layer */
} effect;

static gru_status effect_open(effect *e, const gru_weights *weights) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config shape = GRU_INIT;
    gru_sizes sizes = GRU_INIT;
    context_config.backend = GRU_BACKEND_CPU;
    context_config.threads = 1; /* an audio callback has no time to wait for others */
    shape.inputs = I, shape.hidden = H;
    gru_status status = gru_context_create(&context_config, &e->context);
    if (status == GRU_OK) status = gru_layer_create(e->context, &shape, weights, &e->layer);
    if (status == GRU_OK) status = gru_layer_sizes(e->layer, 1, 1, &sizes);
    if (status == GRU_OK) status = gru_allocate(e->context, sizes.workspace, &e->step.workspace);
    e->step.workspace_size = sizes.workspace;
    e->step.T = e->step.N = 1;
    e->step.x.data = e->x;
    e->step.h0 = e->step.hT = e->h; /* the state is updated in place, y is not wanted */
    return status;
}

static void effect_close(effect *e) {
    gru_free(e->context, e->step.workspace);
    gru_layer_release(e->layer);
    gru_context_release(e->context);
}

/* The callback: nothing here allocates, locks or enters the kernel. */
static gru_status effect_process(effect *e, float *samples, int count) {
    for (int i = 0; i < count; i++) {
        e->x[0] = samples[i];
        const gru_status status = gru_layer_forward(e->layer, &e->step);
        if (status != GRU_OK) return status; /* the rest of the samples passes dry */
        for (int j = 0; j < H; j++) samples[i] += e->dense[j] * e->h[j];
    }
    return GRU_OK;
}

/* Small numbers of both signs, always the same. */
static void fill(float *numbers, int count, unsigned seed) {
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        numbers[i] = (float)(seed >> 8) / (float)(1u << 25) - 0.25f;
    }
}

/* The state after the same samples in one call. */
static gru_status whole(effect *e, const float *samples, float *h) {
    gru_sizes sizes = GRU_INIT;
    gru_run run = GRU_INIT;
    run.T = BLOCKS * BLOCK, run.N = 1;
    run.x.data = samples;
    run.hT = h;
    gru_status status = gru_layer_sizes(e->layer, run.T, run.N, &sizes);
    if (status == GRU_OK) status = gru_allocate(e->context, sizes.workspace, &run.workspace);
    run.workspace_size = sizes.workspace;
    if (status == GRU_OK) status = gru_layer_forward(e->layer, &run);
    gru_free(e->context, run.workspace);
    return status;
}

int main(void) {
    /* a trained effect reads these from a file */
    static float W[3 * H * I], R[3 * H * H], bW[3 * H], bR[3 * H];
    static float audio[BLOCKS * BLOCK], dry[BLOCKS * BLOCK], h[H];
    static effect e;
    gru_weights weights = GRU_INIT;
    weights.W = W, weights.R = R, weights.bW = bW, weights.bR = bR;
    fill(W, 3 * H * I, 1), fill(R, 3 * H * H, 2), fill(bW, 3 * H, 3), fill(bR, 3 * H, 4), fill(e.dense, H, 5);
    for (int i = 0; i < BLOCKS * BLOCK; i++) dry[i] = audio[i] = sinf(0.05f * (float)i);

    gru_status status = effect_open(&e, &weights);
    for (int b = 0; b < BLOCKS && status == GRU_OK; b++)
        status = effect_process(&e, audio + b * BLOCK, BLOCK);
    if (status == GRU_OK) status = whole(&e, dry, h);
    const int same = memcmp(e.h, h, sizeof h) == 0;
    if (status == GRU_OK)
        printf("%d blocks of %d samples, last one %.4f; the state has %s bits as in one call\n", BLOCKS,
               BLOCK, audio[BLOCKS * BLOCK - 1], same ? "the same" : "other");
    else
        fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    effect_close(&e);
    return status == GRU_OK && same ? 0 : 1;
}
