/* stream.c: an audio effect: one step per sample inside a real-time callback, the state carried from call to call. */
#include <gru/stream.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { I = 1, H = 16, BLOCK = 64, BLOCKS = 4 };

typedef struct effect {
    gru_context *context;
    gru_layer *layer;
    gru_stream *stream;
    float dense[H]; /* the output layer */
} effect;

static gru_status effect_open(effect *e, const gru_weights *weights) {
    /* one thread: an audio callback has no time to wait for others */
    const gru_context_config cpu = {.backend = GRU_BACKEND_CPU, .threads = 1};
    const gru_layer_config shape = {.inputs = I, .hidden = H};
    gru_status status = gru_context_create(&cpu, &e->context);
    if (status == GRU_OK) status = gru_layer_create(e->context, &shape, weights, &e->layer);
    if (status == GRU_OK) status = gru_stream_create(e->layer, NULL, &e->stream);
    return status;
}

static void effect_close(effect *e) {
    gru_stream_release(e->stream);
    gru_layer_release(e->layer);
    gru_context_release(e->context);
}

/* The callback: nothing here allocates, locks or enters the kernel. */
static gru_status effect_process(effect *e, float *samples, int count) {
    for (int i = 0; i < count; i++) {
        float y[H];
        const gru_status status = gru_stream_step(e->stream, &samples[i], y);
        if (status != GRU_OK) return status; /* the rest of the samples passes dry */
        for (int j = 0; j < H; j++) samples[i] += e->dense[j] * y[j];
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
    gru_run run = {.T = BLOCKS * BLOCK, .N = 1, .x.data = samples, .hT = h};
    gru_status status = gru_layer_allocate(e->layer, &run);
    if (status == GRU_OK) status = gru_layer_forward(e->layer, &run);
    gru_run_free(e->context, &run);
    return status;
}

int main(void) {
    /* a trained effect reads these from a file */
    static float W[3 * H * I], R[3 * H * H], bW[3 * H], bR[3 * H];
    static float audio[BLOCKS * BLOCK], dry[BLOCKS * BLOCK], stepped[H], h[H];
    static effect e;
    const gru_weights weights = {.W = W, .R = R, .bW = bW, .bR = bR};
    fill(W, 3 * H * I, 1), fill(R, 3 * H * H, 2), fill(bW, 3 * H, 3), fill(bR, 3 * H, 4), fill(e.dense, H, 5);
    for (int i = 0; i < BLOCKS * BLOCK; i++) dry[i] = audio[i] = sinf(0.05f * (float)i);

    gru_status status = effect_open(&e, &weights);
    for (int b = 0; b < BLOCKS && status == GRU_OK; b++)
        status = effect_process(&e, audio + b * BLOCK, BLOCK);
    if (status == GRU_OK) status = gru_stream_read_state(e.stream, stepped);
    if (status == GRU_OK) status = whole(&e, dry, h);
    const int same = memcmp(stepped, h, sizeof h) == 0;
    if (status == GRU_OK)
        printf("%d blocks of %d samples, last one %.4f; the state has %s bits as in one call\n", BLOCKS,
               BLOCK, audio[BLOCKS * BLOCK - 1], same ? "the same" : "other");
    else
        fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    effect_close(&e);
    return status == GRU_OK && same ? 0 : 1;
}
