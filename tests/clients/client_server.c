/* client_server.c: a speech server: of many live streams, those with new audio advance by one step in one call. Checks
 * itself: every stream gets the bits that it would get alone. */
#include <gru/gru.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { I = 20, H = 48, SLOTS = 64, TICKS = 50 };

typedef struct server {
    gru_context *context;
    gru_layer *layer;
    float pool[SLOTS][H]; /* the states of all streams */
    gru_run tick;
} server;

/* Small numbers of both signs, always the same. */
static unsigned next_random(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    return *seed >> 8;
}

static void fill(float *numbers, int count, unsigned *seed) {
    for (int i = 0; i < count; i++) numbers[i] = (float)next_random(seed) / (float)(1u << 25) - 0.25f;
}

static gru_status server_open(server *s, const gru_weights *weights) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config shape = GRU_INIT;
    gru_sizes sizes = GRU_INIT;
    context_config.backend = GRU_BACKEND_CPU;
    shape.inputs = I, shape.hidden = H;
    gru_status status = gru_context_create(&context_config, &s->context);
    if (status == GRU_OK) status = gru_layer_create(s->context, &shape, weights, &s->layer);
    if (status == GRU_OK) status = gru_layer_sizes(s->layer, 1, SLOTS, &sizes); /* enough for fewer, too */
    if (status == GRU_OK) status = gru_allocate(s->context, sizes.workspace, &s->tick.workspace);
    s->tick.workspace_size = sizes.workspace;
    s->tick.T = 1;
    s->tick.h0 = s->tick.hT = s->pool;
    s->tick.slot_count = SLOTS;
    return status;
}

static void server_close(server *s) {
    gru_free(s->context, s->tick.workspace);
    gru_layer_release(s->layer);
    gru_context_release(s->context);
}

/* x, y: [ready][I], [ready][H]; slots [ready]; fresh [ready]: a new caller in an old slot starts from zeros. */
static gru_status server_tick(server *s, int64_t ready, const float *x, float *y, const int32_t *slots,
                              const uint8_t *fresh) {
    s->tick.N = ready;
    s->tick.x.data = x;
    s->tick.y.data = y;
    s->tick.h0_slots = s->tick.hT_slots = slots;
    s->tick.restart.data = fresh;
    return gru_layer_forward(s->layer, &s->tick);
}

/* The same step of one stream alone, its state its own. */
static gru_status alone(const server *s, const float *x, float *h, int fresh) {
    gru_run step = s->tick;
    step.N = 1;
    step.x.data = x;
    step.y.data = NULL;
    step.h0_slots = step.hT_slots = NULL;
    step.slot_count = 0;
    step.restart.data = NULL;
    step.h0 = fresh ? NULL : h;
    step.hT = h;
    return gru_layer_forward(s->layer, &step);
}

/* One tick of random streams; the number that differ from themselves alone, or -1. */
static int tick(server *s, float own[SLOTS][H], unsigned *seed) {
    static float x[SLOTS][I], y[SLOTS][H];
    int32_t slots[SLOTS];
    uint8_t fresh[SLOTS];
    int ready = 0, wrong = 0;
    for (int32_t slot = SLOTS - 1; slot >= 0; slot--) {
        if (next_random(seed) % 3 == 0) continue;
        slots[ready] = slot;
        fresh[ready] = next_random(seed) % 8 == 0;
        fill(x[ready++], I, seed);
    }
    if (server_tick(s, ready, x[0], y[0], slots, fresh) != GRU_OK) return -1;
    for (int n = 0; n < ready; n++) {
        float *h = own[slots[n]];
        if (alone(s, x[n], h, fresh[n]) != GRU_OK) return -1;
        wrong += memcmp(h, y[n], sizeof y[n]) != 0 || memcmp(h, s->pool[slots[n]], sizeof y[n]) != 0;
    }
    return wrong;
}

int main(void) {
    static float W[3 * H * I], R[3 * H * H], own[SLOTS][H];
    static server s;
    gru_weights weights = GRU_INIT;
    unsigned seed = 1;
    int wrong = 0, failed = 0;
    fill(W, 3 * H * I, &seed), fill(R, 3 * H * H, &seed);
    weights.W = W, weights.R = R;
    failed = server_open(&s, &weights) != GRU_OK;
    for (int t = 0; t < TICKS && !failed; t++) {
        const int differ = tick(&s, own, &seed);
        failed = differ < 0;
        wrong += differ;
    }
    /* a bad slot spoils the tick for everybody: it is refused before any state moves */
    const int32_t bad[2] = {3, SLOTS};
    const uint8_t fresh[2] = {1, 1};
    static float x[2][I], y[2][H];
    const int caught = !failed && server_tick(&s, 2, x[0], y[0], bad, fresh) == GRU_BAD_DATA &&
                       memcmp(own[3], s.pool[3], sizeof own[3]) == 0;
    if (failed) fprintf(stderr, "%s\n", gru_last_error());
    printf("%d ticks of %d slots, %d streams differ from themselves alone; a bad slot %s\n", TICKS, SLOTS,
           wrong, caught ? "was refused" : "was not refused");
    server_close(&s);
    return failed || wrong || !caught;
}
