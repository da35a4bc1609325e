/* device_check.c: compares small layers on a device with the reference, once per device and process.
 *
 * What a compiler and tests elsewhere cannot tell: whether this driver and this GPU run the kernels as they are meant. */
#include "device_check.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/engine.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/layout.h"
#include "registry.h"

/* Two octets of rows, units and summed numbers that fill no tile, and steps enough to hand a state on twice. */
enum { T = 3, N = 9, I = 11, H = 27 };

/* Training, and, for engines that have no backward pass, a step. */
typedef struct calls {
    int64_t T, N;
    int32_t mode;
} calls;
static const calls training = {T, N, GRU_TRAIN}, streaming = {1, N - 1, GRU_INFERENCE};

typedef struct tensors {
    float W[GATES * H * I], R[GATES * H * H], bW[GATES * H], bR[GATES * H]; /* in host memory only */
    float x[T * N * I], h0[N * H], dy[T * N * H];                           /* read */
    float y[T * N * H], hT[N * H], dx[T * N * I], dh0[N * H];               /* written, as the rest */
    float dW[GATES * H * I], dR[GATES * H * H], dbW[GATES * H], dbR[GATES * H];
} tensors;

/* Unit: the largest relative error of rounding one operand of a product. */
typedef struct arithmetic {
    const char *name;
    int32_t weight_type;
    uint32_t flags;
    double unit;
} arithmetic;

static const arithmetic each[] = {
    {"f32", GRU_F32, 0, 0x1p-24},
    {"TF32", GRU_F32, GRU_ALLOW_TF32, 0x1p-10},
    {"f16", GRU_F16, 0, 0x1p-11},
    {"bf16", GRU_BF16, 0, 0x1p-8},
};

/* ---- the problem ---- */

/* Numbers of seven bits, which every type holds exactly, in +-scale; scale is a power of two. */
static void draw(float *numbers, size_t count, float scale, uint32_t *state) {
    for (size_t i = 0; i < count; i++) {
        *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        numbers[i] = (float)((int32_t)(*state >> 24) - 128) / 128 * scale;
    }
}

#define DRAW(array, scale) draw(array, sizeof(array) / sizeof *(array), scale, &state)
static void make(tensors *p) {
    uint32_t state = 1;
    memset(p, 0xff, sizeof *p); /* NaN */
    DRAW(p->W, 0.25f), DRAW(p->R, 0.125f), DRAW(p->bW, 0.25f), DRAW(p->bR, 0.25f);
    DRAW(p->x, 1), DRAW(p->h0, 1), DRAW(p->dy, 1);
}

/* ---- a run ---- */

static gru_status call(const gru_layer *layer, tensors *p, gru_run *run) {
    gru_gradients gradients = {.dy.data = p->dy,
                               .dx.data = p->dx,
                               .dh0 = p->dh0,
                               .dW = p->dW,
                               .dR = p->dR,
                               .dbW = p->dbW,
                               .dbR = p->dbR,
                               .parts = GRU_GRAD_OVERWRITE};
    run->x.data = p->x, run->y.data = p->y;
    run->h0 = p->h0, run->hT = p->hT;
    GRU_TRY(gru_layer_forward(layer, run));
    return run->mode == GRU_INFERENCE ? GRU_OK : gru_layer_backward(layer, run, &gradients);
}

/* In memory of the layer's context, which gets a copy of p, and gives what it wrote back to p. */
static gru_status run_layer(const gru_layer *layer, const calls *kind, tensors *p) {
    gru_context *context = layer->context;
    gru_run run = {.T = kind->T, .N = kind->N, .mode = kind->mode};
    void *there = NULL;
    GRU_TRY(gru_layer_allocate(layer, &run));
    gru_status status = gru_allocate(context, sizeof *p, &there);
    if (status == GRU_OK) status = gru_copy(context, there, p, sizeof *p, NULL);
    if (status == GRU_OK) status = call(layer, there, &run);
    if (status == GRU_OK) status = gru_copy(context, p, there, sizeof *p, NULL);
    if (status == GRU_OK) status = gru_wait(context, NULL);
    gru_free(context, there);
    gru_run_free(context, &run);
    return status;
}

static gru_status run_engine(const gru_context_config *config, const calls *kind, int32_t reset_mode,
                             int32_t weight_type, tensors *p) {
    const gru_layer_config shape = {
        .inputs = I, .hidden = H, .reset_mode = reset_mode, .weight_type = weight_type};
    const gru_weights weights = {.W = p->W, .R = p->R, .bW = p->bW, .bR = p->bR};
    gru_context *context;
    gru_layer *layer = NULL;
    GRU_TRY(gru_context_create(config, &context));
    gru_status status = gru_layer_create(context, &shape, &weights, &layer);
    if (status == GRU_OK) status = run_layer(layer, kind, p);
    gru_layer_release(layer);
    gru_context_release(context);
    return status;
}

/* ---- the comparison ---- */

/* The largest difference, relative to the largest number. NaN where a number is. */
static double difference(const float *got, const float *right, size_t count) {
    double largest = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        const double one = fabs((double)got[i] - right[i]);
        if (!(one <= error)) error = one;
        if (fabs((double)right[i]) > largest) largest = fabs((double)right[i]);
    }
    return error / largest;
}

/* A sum over rows of R with |R| <= 1/8 passes less than twice the error of the state before it on, in each of T steps, and a
 * gradient as much: below 16 units. Sums of f32 in another order err by less than a unit for each of their terms. */
static double budget(const arithmetic *a) {
    return 16 * a->unit + (double)(T * N + H + I) * 0x1p-24;
}

/* GRU_BAD_DATA: a result is wrong. */
#define OUTPUT(name) \
    { #name, got->name, right->name, sizeof got->name / sizeof *got->name }
static gru_status compare(const arithmetic *a, const char *engine, const calls *kind, const tensors *got,
                          const tensors *right) {
    const size_t y = (size_t)(kind->T * kind->N * H), states = (size_t)(kind->N * H);
    const struct {
        const char *name;
        const float *got, *right;
        size_t count;
    } outputs[] = {{"y", got->y, right->y, y},
                   {"hT", got->hT, right->hT, states},
                   OUTPUT(dx),
                   OUTPUT(dh0),
                   OUTPUT(dW),
                   OUTPUT(dR),
                   OUTPUT(dbW),
                   OUTPUT(dbR)};
    const size_t count = kind->mode == GRU_INFERENCE ? 2 : sizeof outputs / sizeof *outputs;
    for (size_t i = 0; i < count; i++) {
        const double error = difference(outputs[i].got, outputs[i].right, outputs[i].count);
        if (!(error <= budget(a)))
            return gru_fail(GRU_BAD_DATA,
                            "%s in %s: %s differs from the reference by %.3g, expected at most %.3g", engine,
                            a->name, outputs[i].name, error, budget(a));
    }
    return GRU_OK;
}

/* ---- the whole ---- */

static gru_status check_engine(const gru_context *context, const gru_engine *engine, const arithmetic *a,
                               const calls *kind, int32_t reset_mode, tensors *got, const tensors *right) {
    const gru_context_config config = {.backend = context->config.backend,
                                       .device = context->config.device,
                                       .flags = a->flags,
                                       .allocator = context->config.allocator,
                                       .threads = 1,
                                       .engine = engine->name};
    make(got);
    const gru_status status = run_engine(&config, kind, reset_mode, a->weight_type, got);
    if (status == GRU_UNSUPPORTED && !engine->any_size)
        return GRU_OK; /* not of this variant, or not on this device */
    return status == GRU_OK ? compare(a, engine->name, kind, got, right) : status;
}

/* The engines that run such calls. */
static gru_status check_calls(const gru_context *context, const calls *kind, int32_t reset_mode, tensors *got,
                              tensors *right) {
    const gru_context_config reference = {
        .backend = GRU_BACKEND_CPU, .threads = 1, .engine = gru_registry_reference()->name};
    const gru_engine *engine;
    make(right);
    GRU_TRY(run_engine(&reference, kind, reset_mode, GRU_F32, right));
    for (int32_t i = 0; (engine = gru_registry_engine(i)) != NULL; i++) {
        const int trains = engine->passes[GRU_PASS_BACKWARD].plan != NULL;
        if (engine->backend != context->backend || trains != (kind->mode != GRU_INFERENCE)) continue;
        for (size_t k = 0; k < sizeof each / sizeof *each; k++)
            GRU_TRY(check_engine(context, engine, &each[k], kind, reset_mode, got, right));
    }
    return GRU_OK;
}

static gru_status check_all(const gru_context *context) {
    tensors *both = gru_host_allocate(context, 2 * sizeof *both, "the check of a device");
    if (!both) return GRU_OUT_OF_MEMORY;
    gru_status status = check_calls(context, &training, GRU_RESET_AFTER, &both[0], &both[1]);
    if (status == GRU_OK) status = check_calls(context, &training, GRU_RESET_BEFORE, &both[0], &both[1]);
    if (status == GRU_OK) status = check_calls(context, &streaming, GRU_RESET_AFTER, &both[0], &both[1]);
    gru_host_free(context, both, 2 * sizeof *both);
    return status;
}

/* ---- once per process ---- */

enum { DEVICES = 64 }; /* those with higher numbers are checked each time */
static struct verdict {
    enum { UNKNOWN, RIGHT, WRONG } kind;
    char sentence[256];
} verdicts[DEVICES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static gru_status check_once(const gru_context *context, struct verdict *verdict) {
    if (verdict->kind == RIGHT) return GRU_OK;
    if (verdict->kind == UNKNOWN) {
        char before[1024]; /* that an engine does not have a variant is no failure of this call */
        (void)snprintf(before, sizeof before, "%s", gru_last_error());
        const gru_status status = check_all(context);
        if (status == GRU_OK) {
            verdict->kind = RIGHT;
            return gru_fail(GRU_OK, "%s", before);
        }
        if (status != GRU_BAD_DATA) return status;
        verdict->kind = WRONG;
        (void)snprintf(verdict->sentence, sizeof verdict->sentence, "%s", gru_last_error());
    }
    return gru_fail(GRU_DEVICE_FAILED, "the check of %s device %d failed: %s", context->backend->name,
                    context->config.device, verdict->sentence);
}

gru_status gru_check_device(const gru_context *context) {
    struct verdict unkept = {UNKNOWN, ""};
    const int32_t device = context->config.device;
    if (context->backend->host_memory) return GRU_OK;
    (void)pthread_mutex_lock(&mutex);
    const gru_status status = check_once(context, device < DEVICES ? &verdicts[device] : &unkept);
    (void)pthread_mutex_unlock(&mutex);
    return status;
}

void gru_forget_device_checks(void) {
    memset(verdicts, 0, sizeof verdicts);
}
