/* device_mirror.c: makes the copies of a run's buffers, moves its pointers to them, and brings them back. */
#include "device_mirror.h"

#include <stdlib.h>

#include "core/layer.h"
#include "stack/stack_layout.h"
#include "tester.h"

enum { MOST_COPIES = 64, MOST_SUBLAYERS = 16 };
enum {
    PLACE = 256
}; /* of a buffer in the memory that its copy lies in: what follows there is aligned as memory is */

typedef struct device_copy {
    char *host;   /* the buffer */
    size_t bytes; /* of it, without guards */
    char *memory; /* on the other side */
} device_copy;

struct device_mirror {
    gru_context *context;
    void *stream;
    device_copy copies[MOST_COPIES];
    int count;
};

static int is_elsewhere(const gru_context *context) {
    return gru_context_backend(context) != GRU_BACKEND_CPU || getenv("GRU_TEST_MIRROR");
}

static device_mirror *make_mirror(gru_context *context) {
    device_mirror *mirror = calloc(1, sizeof *mirror);
    REQUIRE(mirror, "no memory for a mirror");
    mirror->context = context;
    if (gru_context_backend(context) == GRU_BACKEND_CUDA) mirror->stream = tester_device.stream;
    return mirror;
}

/* A guard, the buffer, and a guard, unless the device checks the end of each allocation itself: guards would only hide
 * from it that they were read. */
static size_t guarded_bytes(const device_copy *copy) {
    return TESTER_GUARD + copy->bytes + (tester_device.watches ? 0 : TESTER_GUARD);
}

static char *first_guard(const device_copy *copy) {
    return copy->memory + PLACE - TESTER_GUARD;
}

static void copy_bytes(const device_mirror *mirror, void *to, const void *from, size_t bytes) {
    REQUIRE(gru_copy(mirror->context, to, from, bytes, mirror->stream) == GRU_OK, "%s", gru_last_error());
}

/* ---- copies ------------------------------------------------------------------------------------------------------- */

/* role: of a buffer that the run only WRITES, what nobody has written yet on the host is not written there either, so that a
 * device that checks reads finds who reads it. */
enum { READS, WRITES };

static device_copy *find(device_mirror *mirror, const void *address, int role) {
    size_t bytes;
    char *host = tester_buffer(address, &bytes);
    REQUIRE(host, "%p lies in no guarded buffer", address);
    for (int i = 0; i < mirror->count; i++)
        if (mirror->copies[i].host == host) return &mirror->copies[i];
    REQUIRE(mirror->count < MOST_COPIES, "a run in more than %d buffers", MOST_COPIES);
    device_copy *fresh = &mirror->copies[mirror->count++];
    void *memory = NULL;
    *fresh = (device_copy){host, bytes, NULL};
    REQUIRE(gru_allocate(mirror->context, PLACE - TESTER_GUARD + guarded_bytes(fresh), &memory) == GRU_OK,
            "%s", gru_last_error());
    fresh->memory = memory;
    const int unwritten = role == WRITES && tester_device.watches && tester_untouched(host, bytes);
    copy_bytes(mirror, first_guard(fresh), host - TESTER_GUARD,
               unwritten ? TESTER_GUARD : guarded_bytes(fresh));
    return fresh;
}

/* The place that an address of the host has in its buffer's copy; NULL for NULL. */
static void *there(device_mirror *mirror, const void *address, int role) {
    if (!address) return NULL;
    const device_copy *copy = find(mirror, address, role);
    return copy->memory + PLACE + ((const char *)address - copy->host);
}

void device_mirror_send(const device_mirror *mirror) {
    for (const device_copy *copy = mirror->copies; copy < mirror->copies + mirror->count; copy++)
        copy_bytes(mirror, first_guard(copy), copy->host - TESTER_GUARD, guarded_bytes(copy));
}

void device_mirror_receive(const device_mirror *mirror) {
    for (const device_copy *copy = mirror->copies; copy < mirror->copies + mirror->count; copy++)
        copy_bytes(mirror, copy->host - TESTER_GUARD, first_guard(copy), guarded_bytes(copy));
    REQUIRE(gru_wait(mirror->context, mirror->stream) == GRU_OK, "%s", gru_last_error());
}

void device_mirror_close(device_mirror *mirror) {
    for (int i = 0; i < mirror->count; i++) gru_free(mirror->context, mirror->copies[i].memory);
    free(mirror);
}

static gru_status finish(device_mirror *mirror, gru_status status) {
    device_mirror_receive(mirror);
    device_mirror_close(mirror);
    return status;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* What is read comes first: a buffer may also be written. */
gru_run device_mirror_run(device_mirror *mirror, const gru_run *run) {
    gru_run r = *run;
    r.x.data = there(mirror, run->x.data, READS);
    r.projected.data = there(mirror, run->projected.data, READS);
    r.h0 = there(mirror, run->h0, READS);
    r.h_restart = there(mirror, run->h_restart, READS);
    r.lengths = there(mirror, run->lengths, READS);
    r.mask.data = there(mirror, run->mask.data, READS);
    r.offsets = there(mirror, run->offsets, READS);
    r.batch_sizes = there(mirror, run->batch_sizes, READS);
    r.batch_order = there(mirror, run->batch_order, READS);
    r.h0_slots = there(mirror, run->h0_slots, READS);
    r.hT_slots = there(mirror, run->hT_slots, READS);
    r.restart.data = there(mirror, run->restart.data, READS);
    r.attention.data = there(mirror, run->attention.data, READS);
    r.packed = there(mirror, run->packed, READS);
    r.y.data = there(mirror, run->y.data, WRITES);
    r.hT = there(mirror, run->hT, WRITES);
    r.workspace = there(mirror, run->workspace, WRITES);
    r.reserve = there(mirror, run->reserve, WRITES);
    if (!r.stream) r.stream = mirror->stream;
    return r;
}

gru_gradients device_mirror_gradients(device_mirror *mirror, const gru_gradients *gradients) {
    gru_gradients g = *gradients;
    g.dy.data = there(mirror, gradients->dy.data, READS);
    g.dhT = there(mirror, gradients->dhT, READS);
    g.loss_scale = there(mirror, gradients->loss_scale, READS);
    g.dx.data = there(mirror, gradients->dx.data, WRITES);
    g.dprojected.data = there(mirror, gradients->dprojected.data, WRITES);
    g.dattention.data = there(mirror, gradients->dattention.data, WRITES);
    g.dh0 = there(mirror, gradients->dh0, WRITES);
    g.dh_restart = there(mirror, gradients->dh_restart, WRITES);
    g.dW = there(mirror, gradients->dW, WRITES);
    g.dR = there(mirror, gradients->dR, WRITES);
    g.dbW = there(mirror, gradients->dbW, WRITES);
    g.dbR = there(mirror, gradients->dbR, WRITES);
    return g;
}

device_mirror *device_mirror_open(gru_context *context, const gru_run *run, gru_run *out) {
    device_mirror *mirror = make_mirror(context);
    *out = device_mirror_run(mirror, run);
    return mirror;
}

gru_status device_mirror_forward(const gru_layer *layer, const gru_run *run) {
    if (!is_elsewhere(layer->context)) return gru_layer_forward(layer, run);
    gru_run r;
    device_mirror *mirror = device_mirror_open(layer->context, run, &r);
    return finish(mirror, gru_layer_forward(layer, &r));
}

gru_status device_mirror_backward(const gru_layer *layer, const gru_run *run,
                                  const gru_gradients *gradients) {
    if (!is_elsewhere(layer->context)) return gru_layer_backward(layer, run, gradients);
    gru_run r;
    device_mirror *mirror = device_mirror_open(layer->context, run, &r);
    const gru_gradients g = device_mirror_gradients(mirror, gradients);
    return finish(mirror, gru_layer_backward(layer, &r, &g));
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

/* The states and weights of all sublayers: pointers to the copies of their buffers. */
typedef struct state_pointers {
    const void *h0[MOST_SUBLAYERS], *packed[MOST_SUBLAYERS];
    void *hT[MOST_SUBLAYERS];
} state_pointers;

static gru_stack_run stack_run_there(device_mirror *mirror, const gru_stack *stack, const gru_stack_run *run,
                                     state_pointers *pointers) {
    gru_stack_run r = *run;
    r.data = device_mirror_run(mirror, &run->data);
    r.y_reverse.data = there(mirror, run->y_reverse.data, WRITES);
    r.dropout_seed = there(mirror, run->dropout_seed, READS);
    for (int32_t k = 0; k < stack->sublayer_count; k++) {
        pointers->h0[k] = run->h0 ? there(mirror, run->h0[k], READS) : NULL;
        pointers->hT[k] = run->hT ? there(mirror, run->hT[k], WRITES) : NULL;
        pointers->packed[k] = run->packed ? there(mirror, run->packed[k], READS) : NULL;
    }
    if (run->h0) r.h0 = pointers->h0;
    if (run->hT) r.hT = pointers->hT;
    if (run->packed) r.packed = pointers->packed;
    return r;
}

gru_status device_mirror_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    if (!is_elsewhere(stack->context)) return gru_stack_forward(stack, run);
    device_mirror *mirror = make_mirror(stack->context);
    state_pointers pointers;
    const gru_stack_run r = stack_run_there(mirror, stack, run, &pointers);
    return finish(mirror, gru_stack_forward(stack, &r));
}

/* An array of pointers to what each sublayer WRITES; NULL if there is none. */
static void *const *pointers_there(device_mirror *mirror, const gru_stack *stack, void *const *pointers,
                                   void *copies[MOST_SUBLAYERS]) {
    for (int32_t k = 0; pointers && k < stack->sublayer_count; k++)
        copies[k] = there(mirror, pointers[k], WRITES);
    return pointers ? copies : NULL;
}

gru_status device_mirror_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                        const gru_stack_gradients *gradients) {
    if (!is_elsewhere(stack->context)) return gru_stack_backward(stack, run, gradients);
    device_mirror *mirror = make_mirror(stack->context);
    state_pointers pointers;
    const void *dhT[MOST_SUBLAYERS];
    void *copies[5][MOST_SUBLAYERS];
    const gru_stack_run r = stack_run_there(mirror, stack, run, &pointers);
    gru_stack_gradients g = *gradients;
    g.data = device_mirror_gradients(mirror, &gradients->data);
    g.dy_reverse.data = there(mirror, gradients->dy_reverse.data, READS);
    for (int32_t k = 0; gradients->dhT && k < stack->sublayer_count; k++)
        dhT[k] = there(mirror, gradients->dhT[k], READS);
    if (gradients->dhT) g.dhT = dhT;
    g.dh0 = pointers_there(mirror, stack, gradients->dh0, copies[0]);
    g.dW = pointers_there(mirror, stack, gradients->dW, copies[1]);
    g.dR = pointers_there(mirror, stack, gradients->dR, copies[2]);
    g.dbW = pointers_there(mirror, stack, gradients->dbW, copies[3]);
    g.dbR = pointers_there(mirror, stack, gradients->dbR, copies[4]);
    return finish(mirror, gru_stack_backward(stack, &r, &g));
}

gru_status device_mirror_pack(const gru_layer *layer, const gru_weights *weights, void *packed) {
    if (!is_elsewhere(layer->context)) return gru_layer_pack(layer, weights, packed, NULL);
    device_mirror *mirror = make_mirror(layer->context);
    return finish(mirror, gru_layer_pack(layer, weights, there(mirror, packed, WRITES), mirror->stream));
}
