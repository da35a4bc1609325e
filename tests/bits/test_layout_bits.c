/* test_layout_bits.c: masks and ragged batches have the bits of the same sequences in a batch with lengths, forward and
 * backward. What lies at absent steps is NaN, so that a number read there would show. */
#include <string.h>

#include "core/number.h"
#include "support/device_mirror.h"
#include "support/other_layout.h"

/* One training call in another layout. Tensors of [rows]; NULL: there is none. */
typedef struct other_call {
    gru_run run;
    gru_gradients wanted;
    void *memory[24];
    int count;
} other_call;

static void *keep(other_call *c, void *memory) {
    return memory ? c->memory[c->count++] = memory : NULL;
}

static void *room(other_call *c, const void *if_wanted, size_t bytes) {
    return if_wanted ? keep(c, tester_allocate(bytes)) : NULL;
}

static size_t io_bytes(const problem *p) {
    return gru_type_bytes(p->config.io_type);
}

/* The padded run's tensors and states, spread; outputs are NaN. */
static void prepare_forward(const problem *p, const result *plain, const other_layout *o, other_call *c) {
    const size_t io = io_bytes(p), H = (size_t)p->shape.H;
    gru_sizes sizes;
    memset(c, 0, sizeof *c);
    c->run = plain->run;
    other_layout_set(o, &c->run);
    c->run.x.data = keep(c, other_layout_spread(o, p->run.x.data, (size_t)p->shape.I * io));
    c->run.projected.data = keep(c, other_layout_spread(o, p->run.projected.data, 3 * H * io));
    c->run.restart.data = keep(c, other_layout_spread(o, p->run.restart.data, 1));
    c->run.attention.data = keep(c, other_layout_spread(o, p->run.attention.data, sizeof(float)));
    c->run.y.data = keep(c, tester_allocate((size_t)o->rows * H * io));
    c->run.hT = keep(c, tester_allocate((size_t)o->N * H * gru_type_bytes(p->config.state_type)));
    REQUIRE(gru_layer_sizes(plain->layer, o->T, o->N, &sizes) == GRU_OK, "%s", gru_last_error());
    c->run.workspace_size =
        sizes.workspace > sizes.backward_workspace ? sizes.workspace : sizes.backward_workspace;
    c->run.workspace = keep(c, tester_allocate(c->run.workspace_size));
    c->run.reserve_size = sizes.reserve;
    c->run.reserve = keep(c, tester_allocate(sizes.reserve));
}

static void prepare_backward(const problem *p, const other_layout *o, const gradients *g, other_call *c) {
    const size_t io = io_bytes(p), rows = (size_t)o->rows;
    gru_run unused;
    result none = {.buffers = {0}};
    memset(&none, 0, sizeof none);
    none.buffers[5] = c->run.workspace; /* only its address is copied */
    problem_backward_call(p, &none, 0, g, &unused, &c->wanted);
    c->wanted.dy.data = keep(c, other_layout_spread(o, p->dy.data, (size_t)p->shape.H * io));
    c->wanted.dx.data = room(c, g->data[GRAD_X], rows * (size_t)p->shape.I * io);
    c->wanted.dprojected.data = room(c, g->data[GRAD_PROJECTED], rows * 3 * (size_t)p->shape.H * io);
    c->wanted.dattention.data = room(c, g->data[GRAD_ATTENTION], rows * sizeof(float));
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

static void compare_y(const problem *p, const result *plain, const other_layout *o, other_call *c) {
    const size_t row = (size_t)p->shape.H * io_bytes(p);
    void *padded = other_layout_gather(o, c->run.y.data, row);
    check_same_bits(p, "y", plain->y, padded);
    check_same_bits(p, "hT", plain->hT, c->run.hT);
    CHECK(other_layout_zeros(o, c->run.y.data, row), "y is not zero at an absent step: %s", p->text);
    tester_free(padded);
}

static void compare_repeated(const problem *p, const result *plain, const other_layout *o, other_call *c) {
    const size_t count = (size_t)(o->rows * p->shape.H);
    void *expected = tester_copy(c->run.y.data, count * io_bytes(p));
    other_layout_repeat(o, p->config.direction, expected, (size_t)p->shape.H * io_bytes(p));
    c->run.absent_output = GRU_ABSENT_LAST;
    REQUIRE(device_mirror_forward(plain->layer, &c->run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_same_array("repeated y", p->text, p->config.io_type, expected, c->run.y.data, count);
    c->run.absent_output = GRU_ABSENT_ZERO;
    tester_free(expected);
}

static void compare_gradients(const problem *p, const result *plain, const other_layout *o,
                              const gradients *expected, other_call *c) {
    const size_t io = io_bytes(p);
    gradients got;
    gradients_make(p, &got);
    prepare_backward(p, o, &got, c);
    REQUIRE(device_mirror_backward(plain->layer, &c->run, &c->wanted) == GRU_OK, "%s: %s", gru_last_error(),
            p->text);
    take_rows(p, o, c->wanted.dx.data, (size_t)p->shape.I * io, got.data[GRAD_X], "dx");
    take_rows(p, o, c->wanted.dprojected.data, 3 * (size_t)p->shape.H * io, got.data[GRAD_PROJECTED],
              "dprojected");
    take_rows(p, o, c->wanted.dattention.data, sizeof(float), got.data[GRAD_ATTENTION], "dattention");
    check_same_gradients(p, expected, &got);
    gradients_free(&got);
}

static void compare(const problem *p, const result *plain, const gradients *expected, int kind) {
    other_layout o;
    other_call c;
    other_layout_make(&o, kind, p->shape.T, p->shape.N, p->run.lengths, p->seed);
    prepare_forward(p, plain, &o, &c);
    REQUIRE(device_mirror_forward(plain->layer, &c.run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    compare_y(p, plain, &o, &c);
    if (kind <= OTHER_MASK) compare_repeated(p, plain, &o, &c);
    compare_gradients(p, plain, &o, expected, &c);
    for (int i = 0; i < c.count; i++)
        CHECK(tester_intact(c.memory[i]), "a guard was overwritten: %s", p->text);
    for (int i = 0; i < c.count; i++) tester_free(c.memory[i]);
    other_layout_free(&o);
}

/* The problem's lengths are its own memory, which nothing has read yet. */
static void sort_lengths(problem *p) {
    int32_t *lengths = (int32_t *)(uintptr_t)p->run.lengths;
    for (int64_t i = 1; i < p->shape.N; i++)
        for (int64_t j = i; j > 0 && lengths[j] > lengths[j - 1]; j--) {
            const int32_t longer = lengths[j];
            lengths[j] = lengths[j - 1];
            lengths[j - 1] = longer;
        }
}

static void compare_layouts(gru_context *context, problem *p, int first, int last) {
    result plain;
    gradients g;
    problem_run(p, context, &plain);
    gradients_make(p, &g);
    REQUIRE(problem_backward(p, &plain, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int kind = first; kind <= last; kind++) compare(p, &plain, &g, kind);
    gradients_free(&g);
    result_free(&plain);
}

/* On CUDA the sums over steps of weight gradients depend on T, so a mask with more steps has other bits. */
static void compare_problem(gru_context *context, const shape *sizes, const gru_layer_config *config,
                            uint32_t options, uint64_t seed) {
    const int on_cpu = gru_context_backend(context) == GRU_BACKEND_CPU;
    problem *p = problem_make(sizes, config, options | PROBLEM_LENGTHS | PROBLEM_TRAIN, seed);
    compare_layouts(context, p, on_cpu ? OTHER_LONGER_MASK : OTHER_MASK, OTHER_BATCH_ORDER);
    sort_lengths(p);
    compare_layouts(context, p, OTHER_BATCH_SIZES, OTHER_BATCH_SIZES);
    problem_free(p);
}

static const shape layout_shapes[] = {
    {5, 4, 3, 6, "part of a panel"},           {1, 1, 2, 3, "one step"},
    {7, 9, 5, 19, "more rows than a product"}, {9, 2, 17, 33, "long and few rows"},
    {3, 21, 4, 16, "a whole panel"},           {6, 3, 0, 5, "projected input only"},
};
enum { LAYOUT_SHAPES = sizeof layout_shapes / sizeof *layout_shapes };

ENGINE_TEST(layout_bits, of_lengths) {
    enum { DRAWS = 6 };
    static const uint32_t sets[DRAWS] = {
        0,
        PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET,
        PROBLEM_H0 | PROBLEM_ATTENTION | PROBLEM_RECOMPUTE,
        PROBLEM_PROJECTED | PROBLEM_SEGMENTS,
        PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_ATTENTION | PROBLEM_PROJECTED,
        PROBLEM_H0 | PROBLEM_H_RESET | PROBLEM_SEGMENTS | PROBLEM_ATTENTION,
    };
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < LAYOUT_SHAPES * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 400;
        gru_layer_config config = problem_variant(i % DRAWS ? (int)(tester_random(1, draw) % VARIANTS) : 0);
        if (!tester_takes((uint64_t)i)) continue;
        problem_types(&config, i % 3 ? 0 : (int)(tester_random(2, draw) % TYPES));
        config.direction = i / 2 % 2;
        compare_problem(context, &layout_shapes[i / DRAWS], &config, sets[i % DRAWS], draw);
    }
    gru_context_release(context);
}

/* Threads share the steps that exist, not the rows. */
ENGINE_TEST(layout_bits, on_two_threads) {
    static const shape sizes[] = {{12, 37, 24, 40, "threads split the batch"},
                                  {6, 5, 64, 272, "or the units"}};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 2);
    for (int i = 0; i < 4; i++) {
        gru_layer_config config =
            problem_variant(i % 2 ? (int)(tester_random(1, 900 + (uint64_t)i) % VARIANTS) : 0);
        compare_problem(context, &sizes[i / 2], &config, PROBLEM_H0 | PROBLEM_SEGMENTS, 900 + (uint64_t)i);
    }
    gru_context_release(context);
}

/* ---- streaming --------------------------------------------------------------------------------------------------- */

/* Steps t0 .. t0 + T - 1 of a masked call; the state goes on in hT. */
static void run_part(const problem *p, const result *plain, const other_call *whole, int64_t t0, int64_t T,
                     void *y) {
    const size_t row = (size_t)p->shape.H * io_bytes(p), at = (size_t)(t0 * p->shape.N);
    gru_run run = whole->run;
    run.T = T;
    run.mode = GRU_INFERENCE;
    run.x.data = (const char *)run.x.data + at * (size_t)p->shape.I * io_bytes(p);
    run.mask.data = (const char *)run.mask.data + at;
    run.restart.data = (const char *)run.restart.data + at;
    run.y.data = (char *)y + at * row;
    if (t0 > 0) run.h0 = run.hT;
    REQUIRE(device_mirror_forward(plain->layer, &run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

/* In calls of 1 to T steps, down to streaming steps. */
ENGINE_TEST(layout_bits, in_calls_of_any_size) {
    static const shape sizes[] = {{9, 1, 4, 17, "one stream"}, {9, 6, 5, 12, "a batch"}};
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < 2; i++) {
        const gru_layer_config config = GRU_INIT;
        problem *p = problem_make(&sizes[i], &config,
                                  PROBLEM_LENGTHS | PROBLEM_TRAIN | PROBLEM_H0 | PROBLEM_SEGMENTS, 71);
        result plain;
        other_layout o;
        other_call c;
        problem_run(p, context, &plain);
        other_layout_make(&o, OTHER_LONGER_MASK, p->shape.T, p->shape.N, p->run.lengths, 5);
        prepare_forward(p, &plain, &o, &c);
        for (int64_t length = 1; length <= o.T; length = 2 * length + 1) {
            void *y = room(&c, p, (size_t)(o.rows * p->shape.H) * io_bytes(p));
            for (int64_t t0 = 0; t0 < o.T; t0 += length)
                run_part(p, &plain, &c, t0, o.T - t0 < length ? o.T - t0 : length, y);
            void *padded = other_layout_gather(&o, y, (size_t)p->shape.H * io_bytes(p));
            check_same_bits(p, "y", plain.y, padded);
            check_same_bits(p, "hT", plain.hT, c.run.hT);
            tester_free(padded);
        }
        for (int k = 0; k < c.count; k++) tester_free(c.memory[k]);
        other_layout_free(&o);
        result_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}
