/* device_mirror.c: makes the twins of a run's buffers, moves its pointers to them, and brings them back. */
#include "device_mirror.h"

#include <stdlib.h>

#include "core/layer.h"
#include "stack/stack_layout.h"
#include "tester.h"

enum { MOST_TWINS = 64, MOST_CELLS = 16 };
enum {
    PLACE = 256
}; /* of a buffer in the memory that its twin lies in: what follows there is aligned as memory is */

typedef struct twin {
    char *host;   /* the buffer */
    size_t bytes; /* of it, without guards */
    char *memory; /* on the other side */
} twin;

struct mirror {
    gru_context *context;
    void *stream;
    twin twins[MOST_TWINS];
    int count;
};

static int is_elsewhere(const gru_context *context) {
    return gru_context_backend(context) != GRU_BACKEND_CPU || getenv("GRU_TEST_MIRROR");
}

static mirror *make_mirror(gru_context *context) {
    mirror *m = calloc(1, sizeof *m);
    REQUIRE(m, "no memory for a mirror");
    m->context = context;
    if (gru_context_backend(context) == GRU_BACKEND_CUDA) m->stream = tester_machine.stream;
    return m;
}

/* A guard, the buffer, and a guard, unless the machine watches the end of each allocation by itself: guards would only hide
 * from it that they were read. */
static size_t guarded_bytes(const twin *t) {
    return TESTER_GUARD + t->bytes + (tester_machine.watches ? 0 : TESTER_GUARD);
}

static char *first_guard(const twin *t) {
    return t->memory + PLACE - TESTER_GUARD;
}

static void copy(const mirror *m, void *to, const void *from, size_t bytes) {
    REQUIRE(gru_copy(m->context, to, from, bytes, m->stream) == GRU_OK, "%s", gru_last_error());
}

/* ---- twins ------------------------------------------------------------------------------------------------------- */

/* role: of a buffer that the run only WRITES, what nobody has written yet on the host is not written there either, so that a
 * machine that watches sees who reads it. */
enum { READS, WRITES };

static twin *find(mirror *m, const void *address, int role) {
    size_t bytes;
    char *host = tester_buffer(address, &bytes);
    REQUIRE(host, "%p lies in no guarded buffer", address);
    for (int i = 0; i < m->count; i++)
        if (m->twins[i].host == host) return &m->twins[i];
    REQUIRE(m->count < MOST_TWINS, "a run in more than %d buffers", MOST_TWINS);
    twin *fresh = &m->twins[m->count++];
    void *memory = NULL;
    *fresh = (twin){host, bytes, NULL};
    REQUIRE(gru_allocate(m->context, PLACE - TESTER_GUARD + guarded_bytes(fresh), &memory) == GRU_OK, "%s",
            gru_last_error());
    fresh->memory = memory;
    const int unwritten = role == WRITES && tester_machine.watches && tester_untouched(host, bytes);
    copy(m, first_guard(fresh), host - TESTER_GUARD, unwritten ? TESTER_GUARD : guarded_bytes(fresh));
    return fresh;
}

/* The place that an address of the host has in its buffer's twin; NULL for NULL. */
static void *there(mirror *m, const void *address, int role) {
    if (!address) return NULL;
    const twin *t = find(m, address, role);
    return t->memory + PLACE + ((const char *)address - t->host);
}

void mirror_send(const mirror *m) {
    for (const twin *t = m->twins; t < m->twins + m->count; t++)
        copy(m, first_guard(t), t->host - TESTER_GUARD, guarded_bytes(t));
}

void mirror_receive(const mirror *m) {
    for (const twin *t = m->twins; t < m->twins + m->count; t++)
        copy(m, t->host - TESTER_GUARD, first_guard(t), guarded_bytes(t));
    REQUIRE(gru_wait(m->context, m->stream) == GRU_OK, "%s", gru_last_error());
}

void mirror_close(mirror *m) {
    for (int i = 0; i < m->count; i++) gru_free(m->context, m->twins[i].memory);
    free(m);
}

static gru_status finish(mirror *m, gru_status status) {
    mirror_receive(m);
    mirror_close(m);
    return status;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* What is read comes first: a buffer may also be written. */
gru_run mirror_run(mirror *m, const gru_run *run) {
    gru_run r = *run;
    r.x.data = there(m, run->x.data, READS);
    r.projected.data = there(m, run->projected.data, READS);
    r.h0 = there(m, run->h0, READS);
    r.h_restart = there(m, run->h_restart, READS);
    r.lengths = there(m, run->lengths, READS);
    r.h0_slots = there(m, run->h0_slots, READS);
    r.hT_slots = there(m, run->hT_slots, READS);
    r.restart.data = there(m, run->restart.data, READS);
    r.attention.data = there(m, run->attention.data, READS);
    r.packed = there(m, run->packed, READS);
    r.y.data = there(m, run->y.data, WRITES);
    r.hT = there(m, run->hT, WRITES);
    r.workspace = there(m, run->workspace, WRITES);
    r.reserve = there(m, run->reserve, WRITES);
    if (!r.stream) r.stream = m->stream;
    return r;
}

gru_gradients mirror_gradients(mirror *m, const gru_gradients *gradients) {
    gru_gradients g = *gradients;
    g.dy.data = there(m, gradients->dy.data, READS);
    g.dhT = there(m, gradients->dhT, READS);
    g.loss_scale = there(m, gradients->loss_scale, READS);
    g.dx.data = there(m, gradients->dx.data, WRITES);
    g.dprojected.data = there(m, gradients->dprojected.data, WRITES);
    g.dattention.data = there(m, gradients->dattention.data, WRITES);
    g.dh0 = there(m, gradients->dh0, WRITES);
    g.dh_restart = there(m, gradients->dh_restart, WRITES);
    g.dW = there(m, gradients->dW, WRITES);
    g.dR = there(m, gradients->dR, WRITES);
    g.dbW = there(m, gradients->dbW, WRITES);
    g.dbR = there(m, gradients->dbR, WRITES);
    return g;
}

mirror *mirror_open(gru_context *context, const gru_run *run, gru_run *out) {
    mirror *m = make_mirror(context);
    *out = mirror_run(m, run);
    return m;
}

gru_status mirror_forward(const gru_layer *layer, const gru_run *run) {
    if (!is_elsewhere(layer->context)) return gru_layer_forward(layer, run);
    gru_run r;
    mirror *m = mirror_open(layer->context, run, &r);
    return finish(m, gru_layer_forward(layer, &r));
}

gru_status mirror_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients) {
    if (!is_elsewhere(layer->context)) return gru_layer_backward(layer, run, gradients);
    gru_run r;
    mirror *m = mirror_open(layer->context, run, &r);
    const gru_gradients g = mirror_gradients(m, gradients);
    return finish(m, gru_layer_backward(layer, &r, &g));
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

/* Pointers to cells' buffers, and the twins'. */
typedef struct cells {
    const void *h0[MOST_CELLS];
    void *hT[MOST_CELLS];
} cells;

static gru_stack_run stack_run_there(mirror *m, const gru_stack *stack, const gru_stack_run *run, cells *c) {
    gru_stack_run r = *run;
    r.data = mirror_run(m, &run->data);
    r.y_reverse.data = there(m, run->y_reverse.data, WRITES);
    r.dropout_seed = there(m, run->dropout_seed, READS);
    for (int32_t k = 0; k < stack->cells; k++) {
        c->h0[k] = run->h0 ? there(m, run->h0[k], READS) : NULL;
        c->hT[k] = run->hT ? there(m, run->hT[k], WRITES) : NULL;
    }
    if (run->h0) r.h0 = c->h0;
    if (run->hT) r.hT = c->hT;
    return r;
}

gru_status mirror_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    if (!is_elsewhere(stack->context)) return gru_stack_forward(stack, run);
    mirror *m = make_mirror(stack->context);
    cells c;
    const gru_stack_run r = stack_run_there(m, stack, run, &c);
    return finish(m, gru_stack_forward(stack, &r));
}

/* An array of pointers to what each cell WRITES; NULL if there is none. */
static void *const *pointers_there(mirror *m, const gru_stack *stack, void *const *pointers,
                                   void *twins[MOST_CELLS]) {
    for (int32_t k = 0; pointers && k < stack->cells; k++) twins[k] = there(m, pointers[k], WRITES);
    return pointers ? twins : NULL;
}

gru_status mirror_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                 const gru_stack_gradients *gradients) {
    if (!is_elsewhere(stack->context)) return gru_stack_backward(stack, run, gradients);
    mirror *m = make_mirror(stack->context);
    cells c;
    const void *dhT[MOST_CELLS];
    void *twins[5][MOST_CELLS];
    const gru_stack_run r = stack_run_there(m, stack, run, &c);
    gru_stack_gradients g = *gradients;
    g.data = mirror_gradients(m, &gradients->data);
    g.dy_reverse.data = there(m, gradients->dy_reverse.data, READS);
    for (int32_t k = 0; gradients->dhT && k < stack->cells; k++) dhT[k] = there(m, gradients->dhT[k], READS);
    if (gradients->dhT) g.dhT = dhT;
    g.dh0 = pointers_there(m, stack, gradients->dh0, twins[0]);
    g.dW = pointers_there(m, stack, gradients->dW, twins[1]);
    g.dR = pointers_there(m, stack, gradients->dR, twins[2]);
    g.dbW = pointers_there(m, stack, gradients->dbW, twins[3]);
    g.dbR = pointers_there(m, stack, gradients->dbR, twins[4]);
    return finish(m, gru_stack_backward(stack, &r, &g));
}

gru_status mirror_pack(const gru_layer *layer, const gru_weights *weights, void *packed) {
    if (!is_elsewhere(layer->context)) return gru_layer_pack(layer, weights, packed, NULL);
    mirror *m = make_mirror(layer->context);
    return finish(m, gru_layer_pack(layer, weights, there(m, packed, WRITES), m->stream));
}
