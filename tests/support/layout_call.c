/* layout_call.c: makes, runs and compares training calls of masked and ragged batches. */
#include "layout_call.h"

#include <string.h>

#include "core/layer.h"
#include "core/number.h"
#include "device_mirror.h"

static void *keep(layout_call *c, void *memory) {
    return memory ? c->memory[c->count++] = memory : NULL;
}

static void *room(layout_call *c, const void *if_wanted, size_t bytes) {
    return if_wanted ? keep(c, tester_allocate(bytes)) : NULL;
}

static size_t io_bytes(const problem *p) {
    return gru_type_bytes(p->config.io_type);
}

/* Of attention and its gradient. */
static size_t wide_of(const problem *p) {
    return p->config.io_type == GRU_F64 ? sizeof(double) : sizeof(float);
}

/* The padded run's tensors and states, spread; outputs are NaN. */
void layout_call_prepare_forward(const problem *p, const result *plain, const other_layout *o,
                                 layout_call *c) {
    const size_t io = io_bytes(p), H = (size_t)p->shape.H;
    gru_sizes sizes;
    memset(c, 0, sizeof *c);
    c->run = plain->run;
    other_layout_set(o, &c->run);
    c->run.x.data = keep(c, other_layout_spread(o, p->run.x.data, (size_t)p->shape.I * io));
    c->run.projected.data = keep(c, other_layout_spread(o, p->run.projected.data, 3 * H * io));
    c->run.restart.data = keep(c, other_layout_spread(o, p->run.restart.data, 1));
    c->run.attention.data = keep(c, other_layout_spread(o, p->run.attention.data, wide_of(p)));
    c->run.y.data = keep(c, tester_allocate(other_layout_room(o) * H * io));
    c->run.hT = keep(c, tester_allocate((size_t)o->N * H * gru_type_bytes(p->config.state_type)));
    REQUIRE(gru_layer_sizes(plain->layer, o->T, o->N, &sizes) == GRU_OK, "%s", gru_last_error());
    c->run.workspace_size =
        sizes.workspace > sizes.backward_workspace ? sizes.workspace : sizes.backward_workspace;
    c->run.workspace = keep(c, tester_allocate(c->run.workspace_size));
    c->run.reserve_size = sizes.reserve;
    c->run.reserve = keep(c, tester_allocate(sizes.reserve));
}

void layout_call_prepare_backward(const problem *p, const other_layout *o, const gradients *g,
                                  layout_call *c) {
    const size_t io = io_bytes(p), rows = other_layout_room(o);
    gru_run unused;
    result none = {.buffers = {[5] = c->run.workspace}}; /* only its address is copied */
    problem_backward_call(p, &none, 0, g, &unused, &c->wanted);
    c->wanted.dy.data = keep(c, other_layout_spread(o, p->dy.data, (size_t)p->shape.H * io));
    c->wanted.dx.data = room(c, g->data[GRAD_X], rows * (size_t)p->shape.I * io);
    c->wanted.dprojected.data = room(c, g->data[GRAD_PROJECTED], rows * 3 * (size_t)p->shape.H * io);
    c->wanted.dattention.data = room(c, g->data[GRAD_ATTENTION], rows * wide_of(p));
}

/* A gradient of [rows]: zero at absent steps, and elsewhere that of the padded batch. */
static void take_rows(const problem *p, const other_layout *o, const void *spread, size_t row, void *to,
                      const char *what) {
    if (!spread) return;
    CHECK(other_layout_zeros(o, spread, row), "%s is not zero at an absent step: %s", what, p->text);
    void *padded = other_layout_gather(o, spread, row);
    memcpy(to, padded, (size_t)(o->padded_T * o->N) * row);
    tester_free(padded);
}

static void compare_y(const problem *p, const result *plain, const other_layout *o, layout_call *c) {
    const size_t row = (size_t)p->shape.H * io_bytes(p);
    void *padded = other_layout_gather(o, c->run.y.data, row);
    check_same_bits(p, "y", plain->y, padded);
    check_same_bits(p, "hT", plain->hT, c->run.hT);
    CHECK(other_layout_zeros(o, c->run.y.data, row), "y is not zero at an absent step: %s", p->text);
    tester_free(padded);
}

static void compare_repeated(const problem *p, const result *plain, const other_layout *o, layout_call *c) {
    const size_t count = (size_t)(o->rows * p->shape.H);
    void *expected = tester_copy(c->run.y.data, count * io_bytes(p));
    other_layout_repeat(o, p->config.direction, expected, (size_t)p->shape.H * io_bytes(p));
    c->run.absent_output = GRU_ABSENT_LAST;
    REQUIRE(device_mirror_forward(plain->layer, &c->run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_same_array("repeated y", p->text, p->config.io_type, expected, c->run.y.data, count);
    c->run.absent_output = GRU_ABSENT_ZERO;
    tester_free(expected);
}

/* In one call, or the data part and then that of weights in host memory. */
static gru_status differentiate(const gru_layer *layer, const layout_call *c, int apart) {
    gru_gradients part = c->wanted;
    if (!apart) return device_mirror_backward(layer, &c->run, &part);
    part.parts = GRU_GRAD_DATA;
    const gru_status status = gru_layer_backward(layer, &c->run, &part);
    part.parts = GRU_GRAD_WEIGHTS;
    return status == GRU_OK ? gru_layer_backward(layer, &c->run, &part) : status;
}

static void compare_gradients(const problem *p, const result *plain, const other_layout *o,
                              const gradients *expected, layout_call *c, int apart) {
    const size_t io = io_bytes(p);
    gradients got;
    gradients_make(p, &got);
    layout_call_prepare_backward(p, o, &got, c);
    REQUIRE(differentiate(plain->layer, c, apart) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    take_rows(p, o, c->wanted.dx.data, (size_t)p->shape.I * io, got.data[GRAD_X], "dx");
    take_rows(p, o, c->wanted.dprojected.data, 3 * (size_t)p->shape.H * io, got.data[GRAD_PROJECTED],
              "dprojected");
    take_rows(p, o, c->wanted.dattention.data, wide_of(p), got.data[GRAD_ATTENTION], "dattention");
    check_same_gradients(p, expected, &got);
    gradients_free(&got);
}

void layout_call_free(layout_call *c) {
    for (int i = 0; i < c->count; i++) tester_free(c->memory[i]);
}

void check_layout(const problem *p, const result *plain, const gradients *expected, int kind) {
    other_layout o;
    layout_call c;
    other_layout_make(&o, kind, p->shape.T, p->shape.N, p->run.lengths, p->seed);
    layout_call_prepare_forward(p, plain, &o, &c);
    REQUIRE(device_mirror_forward(plain->layer, &c.run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    compare_y(p, plain, &o, &c);
    if (kind <= OTHER_MASK) compare_repeated(p, plain, &o, &c);
    compare_gradients(p, plain, &o, expected, &c, 0);
    if (gru_context_backend(plain->layer->context) == GRU_BACKEND_CPU)
        compare_gradients(p, plain, &o, expected, &c, 1);
    for (int i = 0; i < c.count; i++)
        CHECK(tester_intact(c.memory[i]), "a guard was overwritten: %s", p->text);
    layout_call_free(&c);
    other_layout_free(&o);
}
