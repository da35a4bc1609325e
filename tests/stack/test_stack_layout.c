/* test_stack_layout.c: stacks of masked and ragged batches have the bits of the same sequences with lengths, forward and
 * backward, with all merges and with dropout. */
#include <string.h>

#include "core/number.h"
#include "support/device_mirror.h"
#include "support/other_layout.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const layer_spec concat[] = {{.hidden = 5, .bidirectional = 1}, {.hidden = 4, .bidirectional = 1}};
static const layer_spec sum[] = {{.hidden = 4, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                 {.hidden = 6, .direction = GRU_REVERSE}};
static const layer_spec separate[] = {{.hidden = 3},
                                      {.hidden = 5, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const struct stack_spec {
    const layer_spec *specs;
    int32_t count;
    float dropout;
} stacks[] = {{concat, COUNT(concat), 0},
              {concat, COUNT(concat), 0.4f},
              {sum, COUNT(sum), 0},
              {separate, COUNT(separate), 0.25f}};

enum { T = 6, N = 5, I = 3 };

/* Outputs and gradients of one training step: y, y_reverse, dx, then hT, dh0, dW, dR, dbW, dbR of each sublayer. */
enum { Y, Y_REVERSE, DX, FIRST_OF_SUBLAYER, OF_SUBLAYER = 6, TENSORS = FIRST_OF_SUBLAYER + OF_SUBLAYER * 4 };
typedef struct training {
    void *data[TENSORS];
    size_t count[TENSORS]; /* numbers; of Y, Y_REVERSE, DX: of a row */
} training;

static void make_tensor(stack_fixture *f, training *run, int which, size_t rows, size_t count, int wanted) {
    const size_t bytes = rows * count * sizeof(float);
    run->count[which] = count;
    run->data[which] = wanted ? stack_fixture_allocate(f, bytes) : NULL;
}

static void *const *pointers(const training *run, const stack_fixture *f, int which,
                             void *out[STACK_FIXTURE_SUBLAYERS]) {
    for (int32_t k = 0; k < f->sublayers; k++)
        out[k] = run->data[FIRST_OF_SUBLAYER + OF_SUBLAYER * k + which];
    return out;
}

static void make_tensors(stack_fixture *f, int64_t rows, training *run) {
    memset(run, 0, sizeof *run);
    make_tensor(f, run, Y, (size_t)rows, (size_t)f->outputs, 1);
    make_tensor(f, run, Y_REVERSE, (size_t)rows, (size_t)f->outputs, f->y_reverse != NULL);
    make_tensor(f, run, DX, (size_t)rows, I, 1);
    for (int32_t k = 0; k < f->sublayers; k++) {
        const size_t H = (size_t)f->configs[k].hidden, inputs = (size_t)f->configs[k].inputs;
        const size_t counts[OF_SUBLAYER] = {N * H, N * H, 3 * H * inputs, 3 * H * H, 3 * H, 3 * H};
        for (int i = 0; i < OF_SUBLAYER; i++)
            make_tensor(f, run, FIRST_OF_SUBLAYER + OF_SUBLAYER * k + i, 1, counts[i], 1);
    }
}

/* In one call, or the data part and then that of weights in host memory. */
static void differentiate(const stack_fixture *f, int apart, const gru_stack_run *run,
                          gru_stack_gradients *g) {
    g->data.parts = GRU_GRAD_OVERWRITE | GRU_GRAD_DATA | (apart ? 0u : GRU_GRAD_WEIGHTS);
    REQUIRE((apart ? gru_stack_backward(f->stack, run, g) : device_mirror_stack_backward(f->stack, run, g)) ==
                GRU_OK,
            "%s", gru_last_error());
    if (!apart) return;
    g->data.parts = GRU_GRAD_OVERWRITE | GRU_GRAD_WEIGHTS;
    REQUIRE(gru_stack_backward(f->stack, run, g) == GRU_OK, "the weights apart: %s", gru_last_error());
}

/* A training step in the layout o (NULL: with lengths) from [T][N] rows of x, dy and dy_reverse. */
static void train(stack_fixture *f, const other_layout *o, const void *dy, const void *dy_reverse,
                  training *out) {
    const size_t y_row = (size_t)f->outputs * sizeof(float), x_row = I * sizeof(float);
    void *hT[STACK_FIXTURE_SUBLAYERS], *of[5][STACK_FIXTURE_SUBLAYERS];
    void *spread[3] = {NULL, NULL, NULL};
    gru_stack_run run = f->run;
    gru_stack_gradients g = GRU_INIT;
    make_tensors(f, o ? o->rows : T * N, out);
    g.data.dy.data = dy, g.dy_reverse.data = dy_reverse;
    if (o) {
        other_layout_set(o, &run.data);
        run.data.x.data = spread[0] = other_layout_spread(o, f->x, x_row);
        g.data.dy.data = spread[1] = other_layout_spread(o, dy, y_row);
        g.dy_reverse.data = spread[2] = other_layout_spread(o, dy_reverse, y_row);
    }
    run.data.y.data = out->data[Y], run.y_reverse.data = out->data[Y_REVERSE];
    g.data.dx.data = out->data[DX];
    run.hT = pointers(out, f, 0, hT), g.dh0 = pointers(out, f, 1, of[0]), g.dW = pointers(out, f, 2, of[1]);
    g.dR = pointers(out, f, 3, of[2]), g.dbW = pointers(out, f, 4, of[3]), g.dbR = pointers(out, f, 5, of[4]);
    g.dhT = f->run.h0; /* any numbers of this shape */
    REQUIRE(device_mirror_stack_forward(f->stack, &run) == GRU_OK, "%s", gru_last_error());
    run.data.workspace = stack_fixture_allocate(f, f->needed.backward_workspace);
    run.data.workspace_size = f->needed.backward_workspace;
    differentiate(f, o && gru_context_backend(f->context) == GRU_BACKEND_CPU, &run, &g);
    for (int i = 0; i < 3; i++) tester_free(spread[i]);
}

static void compare(const char *text, const other_layout *o, const training *lengths, const training *other) {
    for (int i = 0; i < TENSORS; i++) {
        const size_t row = lengths->count[i] * sizeof(float);
        if (!lengths->data[i]) continue;
        if (i > DX) {
            check_same_array(text, "a sublayer's tensor", GRU_F32, lengths->data[i], other->data[i],
                             lengths->count[i]);
            continue;
        }
        void *padded = other_layout_gather(o, other->data[i], row);
        check_same_array(text, i == DX ? "dx" : "y", GRU_F32, lengths->data[i], padded,
                         T * N * lengths->count[i]);
        CHECK(i != DX || other_layout_zeros(o, other->data[i], row), "%s: dx is not zero at an absent step",
              text);
        tester_free(padded);
    }
}

static void check_stack(gru_context *context, const struct stack_spec *spec) {
    static const char *const texts[OTHER_LAYOUTS] = {
        [OTHER_MASK] = "mask", [OTHER_OFFSETS] = "offsets", [OTHER_BATCH_ORDER] = "batch order"};
    const stack_fixture_sizes sizes = {
        .T = T, .N = N, .I = I, .lengths = 1, .mode = GRU_TRAIN, .dropout = spec->dropout};
    stack_fixture *f = stack_fixture_make(context, spec->specs, spec->count, sizes);
    const size_t count = T * N * (size_t)f->outputs;
    float *dy = stack_fixture_allocate(f, count * sizeof *dy), *dy_reverse = NULL;
    training lengths, other;
    tester_fill(dy, GRU_F32, count, 1, 81);
    if (f->y_reverse) {
        dy_reverse = stack_fixture_allocate(f, count * sizeof *dy);
        tester_fill(dy_reverse, GRU_F32, count, 1, 82);
    }
    train(f, NULL, dy, dy_reverse, &lengths);
    /* dropout draws by time, and the steps of a mask have other times */
    for (int kind = spec->dropout > 0 ? OTHER_OFFSETS : OTHER_MASK; kind <= OTHER_BATCH_ORDER; kind++) {
        other_layout o;
        other_layout_make(&o, kind, T, N, f->run.data.lengths, 7);
        train(f, &o, dy, dy_reverse, &other);
        compare(texts[kind], &o, &lengths, &other);
        other_layout_free(&o);
    }
    stack_fixture_free(f);
}

ENGINE_TEST(stack_layout, has_the_bits_of_lengths) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < COUNT(stacks); i++) check_stack(context, &stacks[i]);
    gru_context_release(context);
}
