/* jax_gru.c: libgru's operators for XLA on the CPU, which libgru.jax calls. I inputs, H units, T steps, N sequences.
 *
 *     libgru_jax_pack       W [3H][I], R [3H][H], bW [3H], bR [3H] -> packed
 *     libgru_jax_infer      x [T][N][I], h0 [N][H], packed, steps? -> y [T][N][H], hT [N][H]
 *     libgru_jax_train      the same -> y, hT, reserve
 *     libgru_jax_backward   dy, dhT, x, packed, reserve, steps? -> dx, dh0, dW, dR, dbW, dbR
 *
 * steps: lengths [N] of int32, or a mask [T][N] of bools. The attribute config holds the words of a gru_layer_config and, last, the
 * number of threads. */
#include <stdio.h>
#include <string.h>

#include "jax_plan.h"
#include "xla_ffi.h"

#define OPERATOR __attribute__((visibility("default"))) xla_error *

/* One call, with the first thing that is wrong with it. */
typedef struct call {
    const xla_call *frame;
    jax_plan *plan;
    int64_t T, N, I, H;
    int32_t io, wide; /* types of data, and of gradients of weights */
    gru_sizes sizes;
    xla_error *error;
} call;

/* ---- errors ---- */

static void fail(call *c, int32_t code, const char *text) {
    xla_error_arguments arguments = {.struct_size = sizeof arguments, .message = text, .errc = code};
    if (!c->error) c->error = c->frame->api->XLA_FFI_Error_Create(&arguments);
}

static void check(call *c, gru_status status) {
    char text[1024];
    if (status == GRU_OK) return;
    snprintf(text, sizeof text, "libgru: %s", gru_last_error());
    fail(c,
         status == GRU_BAD_ARGUMENT || status == GRU_BAD_DATA ? XLA_INVALID_ARGUMENT
         : status == GRU_UNSUPPORTED                          ? XLA_UNIMPLEMENTED
         : status == GRU_OUT_OF_MEMORY                        ? XLA_OUT_OF_MEMORY
                                                              : XLA_INTERNAL,
         text);
}

/* ---- what a call holds ---- */

static int64_t count(const xla_buffer *buffer) {
    int64_t numbers = 1;
    for (int64_t i = 0; i < buffer->rank; i++) numbers *= buffer->dims[i];
    return numbers;
}

static const xla_buffer *buffer_at(call *c, const xla_buffers *buffers, int64_t index) {
    const xla_buffer *found =
        index < buffers->size && buffers->types[index] == XLA_BUFFER ? buffers->values[index] : NULL;
    if (!found) fail(c, XLA_INVALID_ARGUMENT, "libgru: a call has too few buffers");
    return found;
}

/* The memory of a buffer that has this type and as many numbers. After a failure NULL. */
static void *memory(call *c, const xla_buffers *buffers, int64_t index, int32_t dtype, int64_t numbers) {
    const xla_buffer *found = buffer_at(c, buffers, index);
    char text[200];
    if (c->error) return NULL;
    if (found->dtype == dtype && count(found) == numbers) return found->data;
    snprintf(text, sizeof text, "libgru: %s %lld has %lld numbers of type %d, expected %lld of type %d",
             buffers == &c->frame->rets ? "result" : "argument", (long long)index, (long long)count(found),
             found->dtype, (long long)numbers, dtype);
    fail(c, XLA_INVALID_ARGUMENT, text);
    return NULL;
}

static void *argument(call *c, int64_t index, int32_t dtype, int64_t numbers) {
    return memory(c, &c->frame->args, index, dtype, numbers);
}

static void *result(call *c, int64_t index, int32_t dtype, int64_t numbers) {
    return memory(c, &c->frame->rets, index, dtype, numbers);
}

enum { CONFIG_WORDS = sizeof(gru_layer_config) / sizeof(int32_t) };

static const int32_t *config_words(const xla_attributes *attributes) {
    for (int64_t i = 0; i < attributes->size; i++) {
        const xla_text *name = attributes->names[i];
        const xla_array *array = attributes->attrs[i];
        if (name->len == 6 && !memcmp(name->ptr, "config", 6) && attributes->types[i] == XLA_ARRAY &&
            array->dtype == XLA_S32 && array->size == CONFIG_WORDS + 1)
            return array->data;
    }
    return NULL;
}

/* Answers XLA's question for the version. Returns whether it was one. */
static int tell_version(const xla_call *frame) {
    xla_extension *first = frame->extension_start;
    if (!first || first->type != XLA_EXTENSION_METADATA) return 0;
    xla_metadata *metadata = ((xla_metadata_extension *)(void *)first)->metadata;
    metadata->api_version.major_version = XLA_VERSION_MAJOR;
    metadata->api_version.minor_version = XLA_VERSION_MINOR;
    metadata->traits = 0;
    return 1;
}

/* Finds the layer and what it needs. T and N: of argument x, which may be -1 for none. */
static call begin(const xla_call *frame, int64_t x) {
    static const int32_t types[] = {
        [GRU_F32] = XLA_F32, [GRU_F16] = XLA_F16, [GRU_BF16] = XLA_BF16, [GRU_F64] = XLA_F64};
    call c = {.frame = frame};
    gru_layer_config config;
    const int32_t *words = config_words(&frame->attrs);
    if (!words) {
        fail(&c, XLA_INVALID_ARGUMENT, "libgru: a call has no attribute config of this version");
        return c;
    }
    memcpy(&config, words, sizeof config);
    c.plan = jax_plan_of(&config, words[CONFIG_WORDS]);
    if (!c.plan) check(&c, GRU_UNSUPPORTED);
    c.I = config.inputs, c.H = config.hidden, c.io = types[config.io_type & 3];
    c.wide = c.io == XLA_F64 ? XLA_F64 : XLA_F32;
    const xla_buffer *input = x < 0 ? NULL : buffer_at(&c, &frame->args, x);
    if (input && input->rank == 3)
        c.T = input->dims[0], c.N = input->dims[1];
    else if (input)
        fail(&c, XLA_INVALID_ARGUMENT, "libgru: x is expected to have 3 dimensions");
    if (!c.error) check(&c, gru_layer_sizes(c.plan->layer, c.T, c.N, &c.sizes));
    return c;
}

/* What forward and backward share: x, packed and, at the index given or nowhere, steps. */
static gru_run run_of(call *c, int64_t x, int64_t packed, int64_t steps) {
    gru_run run = {.T = c->T, .N = c->N, .x.data = argument(c, x, c->io, c->T * c->N * c->I)};
    run.packed = argument(c, packed, XLA_U8, (int64_t)c->sizes.packed);
    if (steps >= c->frame->args.size || c->error) return run;
    const xla_buffer *given = buffer_at(c, &c->frame->args, steps);
    if (given->rank == 1)
        run.lengths = argument(c, steps, XLA_S32, c->N);
    else
        run.mask.data = argument(c, steps, XLA_BOOL, c->T * c->N);
    return run;
}

/* ---- operators ---- */

OPERATOR libgru_jax_pack(xla_call *frame) {
    if (tell_version(frame)) return NULL;
    call c = begin(frame, -1);
    gru_weights weights = {.W = argument(&c, 0, c.io, 3 * c.H * c.I),
                           .R = argument(&c, 1, c.io, 3 * c.H * c.H),
                           .bW = argument(&c, 2, c.io, 3 * c.H),
                           .bR = argument(&c, 3, c.io, 3 * c.H)};
    if (c.error) return c.error;
    weights.type = c.plan->config.io_type;
    void *packed = result(&c, 0, XLA_U8, (int64_t)c.sizes.packed);
    if (!c.error) check(&c, gru_layer_pack(c.plan->layer, &weights, packed, NULL));
    return c.error;
}

/* Runs the layer, backward if there are gradients, unless something is wrong already. */
static xla_error *finish(call *c, gru_run *run, const gru_gradients *gradients) {
    if (c->error) return c->error;
    run->workspace_size = gradients ? c->sizes.backward_workspace : c->sizes.workspace;
    run->workspace = scratch_take(&c->plan->scratch, run->workspace_size);
    if (!run->workspace) {
        fail(c, XLA_OUT_OF_MEMORY, "libgru: no memory for a workspace");
        return c->error;
    }
    check(c, gradients ? gru_layer_backward(c->plan->layer, run, gradients)
                       : gru_layer_forward(c->plan->layer, run));
    scratch_give_back(&c->plan->scratch, run->workspace);
    return c->error;
}

static xla_error *forward(const xla_call *frame, int training) {
    call c = begin(frame, 0);
    gru_run run = run_of(&c, 0, 2, 3);
    run.h0 = argument(&c, 1, c.io, c.N * c.H);
    run.y.data = result(&c, 0, c.io, c.T * c.N * c.H);
    run.hT = result(&c, 1, c.io, c.N * c.H);
    if (training) {
        run.mode = GRU_TRAIN, run.reserve_size = c.sizes.reserve;
        run.reserve = result(&c, 2, XLA_U8, (int64_t)c.sizes.reserve);
    }
    return finish(&c, &run, NULL);
}

OPERATOR libgru_jax_infer(xla_call *frame) {
    return tell_version(frame) ? NULL : forward(frame, 0);
}

OPERATOR libgru_jax_train(xla_call *frame) {
    return tell_version(frame) ? NULL : forward(frame, 1);
}

static gru_gradients gradients_of(call *c) {
    return (gru_gradients){.parts = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE,
                           .dy.data = argument(c, 0, c->io, c->T * c->N * c->H),
                           .dhT = argument(c, 1, c->io, c->N * c->H),
                           .dx.data = result(c, 0, c->io, c->T * c->N * c->I),
                           .dh0 = result(c, 1, c->io, c->N * c->H),
                           .dW = result(c, 2, c->wide, 3 * c->H * c->I),
                           .dR = result(c, 3, c->wide, 3 * c->H * c->H),
                           .dbW = result(c, 4, c->wide, 3 * c->H),
                           .dbR = result(c, 5, c->wide, 3 * c->H)};
}

OPERATOR libgru_jax_backward(xla_call *frame) {
    if (tell_version(frame)) return NULL;
    call c = begin(frame, 2);
    gru_run run = run_of(&c, 2, 3, 5);
    const gru_gradients gradients = gradients_of(&c);
    run.mode = GRU_TRAIN, run.reserve_size = c.sizes.reserve;
    run.reserve = argument(&c, 4, XLA_U8, (int64_t)c.sizes.reserve);
    return finish(&c, &run, &gradients);
}
