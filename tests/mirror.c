/* mirror.c: makes the twins of a run's buffers, moves its pointers to them, and brings them back. */
#include "mirror.h"

#include <stdlib.h>

#include "layer.h"
#include "stack_plan.h"
#include "tester.h"

enum { MOST_TWINS = 64, MOST_CELLS = 16 };

typedef struct mirror {
    gru_context *context;
    void *stream;
    struct {
        char *host;   /* the buffer */
        size_t bytes; /* of it, without guards */
        char *memory; /* the twin's first guard */
    } twins[MOST_TWINS];
    int count;
} mirror;

static int is_elsewhere(const gru_context *context) {
    return gru_context_backend(context) != GRU_BACKEND_CPU || getenv("GRU_TEST_MIRROR");
}

static mirror make_mirror(gru_context *context) {
    mirror m = {.context = context};
    if (gru_context_backend(context) == GRU_BACKEND_CUDA) m.stream = tester_machine.stream;
    return m;
}

/* A guard, the memory, and a guard, unless the machine watches the end of each allocation by itself: guards would only hide
 * from it that they were read. */
static size_t twin_bytes(size_t bytes) {
    return TESTER_GUARD + bytes + (tester_machine.watches ? 0 : TESTER_GUARD);
}

static void copy(const mirror *m, void *to, const void *from, size_t bytes) {
    REQUIRE(gru_copy(m->context, to, from, bytes, m->stream) == GRU_OK, "%s", gru_last_error());
}

/* What nobody wrote yet on the host is not written there either: so a machine that watches sees who reads it. */
static void send(const mirror *m, char *twin, const char *host, size_t bytes) {
    const int fresh = tester_machine.watches && tester_untouched(host, bytes);
    copy(m, twin, host - TESTER_GUARD, fresh ? TESTER_GUARD : twin_bytes(bytes));
}

/* The place that an address of the host has in its buffer's twin; NULL for NULL. */
static void *there(mirror *m, const void *address) {
    size_t bytes;
    int i = 0;
    if (!address) return NULL;
    char *host = tester_buffer(address, &bytes);
    REQUIRE(host, "%p lies in no guarded buffer", address);
    while (i < m->count && m->twins[i].host != host) i++;
    if (i == m->count) {
        void *memory = NULL;
        REQUIRE(m->count < MOST_TWINS, "a run in more than %d buffers", MOST_TWINS);
        REQUIRE(gru_allocate(m->context, twin_bytes(bytes), &memory) == GRU_OK, "%s", gru_last_error());
        m->twins[m->count].host = host;
        m->twins[m->count].bytes = bytes;
        m->twins[m->count++].memory = memory;
        send(m, memory, host, bytes);
    }
    return m->twins[i].memory + TESTER_GUARD + ((const char *)address - host);
}

static void bring_back(mirror *m) {
    for (int i = 0; i < m->count; i++)
        copy(m, m->twins[i].host - TESTER_GUARD, m->twins[i].memory, twin_bytes(m->twins[i].bytes));
    REQUIRE(gru_wait(m->context, m->stream) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < m->count; i++) gru_free(m->context, m->twins[i].memory);
}

static gru_run run_there(mirror *m, const gru_run *run) {
    gru_run r = *run;
    r.x.data = there(m, run->x.data);
    r.projected.data = there(m, run->projected.data);
    r.y.data = there(m, run->y.data);
    r.h0 = there(m, run->h0);
    r.hT = there(m, run->hT);
    r.h_reset = there(m, run->h_reset);
    r.lengths = there(m, run->lengths);
    r.h0_slots = there(m, run->h0_slots);
    r.hT_slots = there(m, run->hT_slots);
    r.reset.data = there(m, run->reset.data);
    r.attention.data = there(m, run->attention.data);
    r.packed = there(m, run->packed);
    r.workspace = there(m, run->workspace);
    r.reserve = there(m, run->reserve);
    if (!r.stream) r.stream = m->stream;
    return r;
}

gru_status mirror_forward(const gru_layer *layer, const gru_run *run) {
    if (!is_elsewhere(layer->context)) return gru_forward(layer, run);
    mirror m = make_mirror(layer->context);
    const gru_run r = run_there(&m, run);
    const gru_status status = gru_forward(layer, &r);
    bring_back(&m);
    return status;
}

gru_status mirror_stack_forward(const gru_stack *stack, const gru_stack_run *run) {
    if (!is_elsewhere(stack->context)) return gru_stack_forward(stack, run);
    mirror m = make_mirror(stack->context);
    const void *h0[MOST_CELLS];
    void *hT[MOST_CELLS];
    gru_stack_run r = *run;
    r.data = run_there(&m, &run->data);
    r.y_reverse.data = there(&m, run->y_reverse.data);
    r.dropout_seed = there(&m, run->dropout_seed);
    for (int32_t k = 0; k < stack->cells; k++) {
        h0[k] = run->h0 ? there(&m, run->h0[k]) : NULL;
        hT[k] = run->hT ? there(&m, run->hT[k]) : NULL;
    }
    if (run->h0) r.h0 = h0;
    if (run->hT) r.hT = hT;
    const gru_status status = gru_stack_forward(stack, &r);
    bring_back(&m);
    return status;
}

gru_status mirror_pack(const gru_layer *layer, const gru_weights *weights, void *packed) {
    if (!is_elsewhere(layer->context)) return gru_layer_pack(layer, weights, packed, NULL);
    mirror m = make_mirror(layer->context);
    const gru_status status = gru_layer_pack(layer, weights, there(&m, packed), m.stream);
    bring_back(&m);
    return status;
}
