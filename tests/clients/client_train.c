/* client_train.c: trains a layer in bf16 with f32 masters: two micro-batches per step, gradients added up, weights packed
 * again from the masters. step() allocates nothing: with CUDA memory and an optimizer of kernels it is what a program
 * captures in a graph. Checks itself: the loss falls. */
#include <gru/gru.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 6, N = 4, I = 3, H = 5, MICRO = 2, STEPS = 200, TENSORS = 4 };
enum { ROWS = T * N, W_COUNT = 3 * H * I, R_COUNT = 3 * H * H, B_COUNT = 3 * H };
static const size_t counts[TENSORS] = {W_COUNT, R_COUNT, B_COUNT, B_COUNT};

typedef struct trainer {
    gru_context *context;
    gru_layer *layer;
    float *masters[TENSORS], *gradients[TENSORS]; /* W, R, bW, bR */
    uint16_t *x, *y, *dy;                         /* bf16, [MICRO][N][T][I] and so on: batch-major */
    float *target;                                /* [MICRO][N][T][H] */
    gru_weights weights;
    gru_run run;
    gru_gradients wanted;
} trainer;

/* bf16 is the upper half of f32; cut, not rounded: good enough for inputs. */
static uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static float from_bf16(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Small numbers of both signs, always the same. */
static float next_number(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    return (float)(*seed >> 8) / (float)(1u << 23) - 1.0f;
}

/* Memory of the context's device. */
static gru_status allocate(const trainer *t, void *place, size_t bytes) {
    void *memory = NULL;
    const gru_status status = gru_allocate(t->context, bytes, &memory);
    memcpy(place, &memory, sizeof memory);
    return status;
}

static gru_status allocate_all(trainer *t) {
    gru_sizes sizes = GRU_INIT;
    gru_status status = gru_layer_sizes(t->layer, T, N, &sizes);
    if (sizes.backward_workspace > sizes.workspace) sizes.workspace = sizes.backward_workspace;
    if (status == GRU_OK) status = allocate(t, &t->run.workspace, sizes.workspace);
    if (status == GRU_OK) status = allocate(t, &t->run.reserve, sizes.reserve);
    if (status == GRU_OK) status = allocate(t, &t->x, MICRO * ROWS * I * sizeof *t->x);
    if (status == GRU_OK) status = allocate(t, &t->y, MICRO * ROWS * H * sizeof *t->y);
    if (status == GRU_OK) status = allocate(t, &t->dy, MICRO * ROWS * H * sizeof *t->dy);
    if (status == GRU_OK) status = allocate(t, &t->target, MICRO * ROWS * H * sizeof *t->target);
    for (int i = 0; i < TENSORS && status == GRU_OK; i++)
        status = allocate(t, &t->gradients[i], counts[i] * sizeof *t->gradients[i]);
    t->run.workspace_size = sizes.workspace;
    t->run.reserve_size = sizes.reserve;
    return status;
}

static gru_status open_trainer(trainer *t) {
    gru_context_config context_config = GRU_INIT;
    gru_layer_config shape = GRU_INIT;
    unsigned seed = 7;
    context_config.backend = GRU_BACKEND_CPU;
    shape.inputs = I, shape.hidden = H;
    shape.io_type = shape.weight_type = GRU_BF16;
    gru_status status = gru_context_create(&context_config, &t->context);
    for (int i = 0; i < TENSORS && status == GRU_OK; i++) {
        status = allocate(t, &t->masters[i], counts[i] * sizeof *t->masters[i]);
        for (size_t j = 0; status == GRU_OK && j < counts[i]; j++)
            t->masters[i][j] = next_number(&seed) * 0.5f;
    }
    t->weights.W = t->masters[0], t->weights.R = t->masters[1];
    t->weights.bW = t->masters[2], t->weights.bR = t->masters[3];
    if (status == GRU_OK) status = gru_layer_create(t->context, &shape, &t->weights, &t->layer);
    if (status == GRU_OK) status = allocate_all(t);
    if (status != GRU_OK) return status;
    for (int i = 0; i < MICRO * ROWS * I; i++) t->x[i] = to_bf16(next_number(&seed));
    for (int i = 0; i < MICRO * ROWS * H; i++) /* each unit learns to follow one of the inputs */
        t->target[i] = 0.5f * from_bf16(t->x[i / H * I + i % H % I]);
    t->run.T = T, t->run.N = N, t->run.mode = GRU_TRAIN;
    t->run.x.time_stride = I, t->run.x.batch_stride = T * I;
    t->run.y.time_stride = t->wanted.dy.time_stride = H,
    t->run.y.batch_stride = t->wanted.dy.batch_stride = T * H;
    t->wanted.dW = t->gradients[0], t->wanted.dR = t->gradients[1];
    t->wanted.dbW = t->gradients[2], t->wanted.dbR = t->gradients[3];
    return GRU_OK;
}

static void close_trainer(trainer *t) {
    void *const memory[] = {t->run.workspace, t->run.reserve, t->x, t->y, t->dy, t->target};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) gru_free(t->context, memory[i]);
    for (int i = 0; i < TENSORS; i++)
        gru_free(t->context, t->masters[i]), gru_free(t->context, t->gradients[i]);
    gru_layer_release(t->layer);
    gru_context_release(t->context);
}

/* Half the mean square of y - target over all micro-batches; its gradient in dy. */
static double loss(trainer *t, int micro) {
    const size_t first = (size_t)micro * ROWS * H;
    double total = 0;
    for (size_t i = first; i < first + ROWS * H; i++) {
        const float error = from_bf16(t->y[i]) - t->target[i];
        t->dy[i] = to_bf16(error / (MICRO * ROWS * H));
        total += 0.5 * (double)error * (double)error / (MICRO * ROWS * H);
    }
    return total;
}

/* One step: forward and backward of each micro-batch, then the masters, then the packed weights. */
static gru_status step(trainer *t, double *total) {
    gru_status status = GRU_OK;
    *total = 0;
    for (int i = 0; i < TENSORS; i++) memset(t->gradients[i], 0, counts[i] * sizeof *t->gradients[i]);
    for (int m = 0; m < MICRO && status == GRU_OK; m++) {
        t->run.x.data = t->x + m * ROWS * I;
        t->run.y.data = t->y + m * ROWS * H;
        t->wanted.dy.data = t->dy + m * ROWS * H;
        status = gru_layer_forward(t->layer, &t->run);
        *total += loss(t, m);
        if (status == GRU_OK) status = gru_layer_backward(t->layer, &t->run, &t->wanted);
    }
    for (int i = 0; i < TENSORS; i++)
        for (size_t j = 0; j < counts[i]; j++) t->masters[i][j] -= 4 * t->gradients[i][j];
    return status == GRU_OK ? gru_layer_update(t->layer, &t->weights, t->run.stream) : status;
}

int main(void) {
    static trainer t;
    double first = 0, last = 0;
    gru_status status = open_trainer(&t);
    for (int i = 0; i < STEPS && status == GRU_OK; i++) {
        status = step(&t, &last);
        if (i == 0) first = last;
    }
    if (status != GRU_OK) fprintf(stderr, "%s\n", gru_last_error());
    printf("loss %.4f, after %d steps %.4f\n", first, STEPS, last);
    close_trainer(&t);
    return status != GRU_OK || !(last < 0.5 * first);
}
