/* stack_fixture.c: makes stacks from lists of layer_spec, and runs their sublayers one by one for comparison. */
#include "stack_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "core/dropout.h"
#include "device_mirror.h"
#include "core/number.h"

size_t stack_fixture_io_bytes(const stack_fixture *fixture) {
    return gru_type_bytes(fixture->sizes.type);
}

size_t stack_fixture_state_bytes(const stack_fixture *fixture) {
    return fixture->sizes.type == GRU_F64 ? sizeof(double) : sizeof(float);
}

size_t stack_fixture_y_count(const stack_fixture *fixture) {
    return (size_t)(fixture->sizes.T * fixture->sizes.N * fixture->outputs);
}

size_t stack_fixture_y_reverse_count(const stack_fixture *fixture) {
    return stack_fixture_states(fixture, fixture->sublayers - 1) * (size_t)fixture->sizes.T;
}

size_t stack_fixture_projected_row(const stack_fixture *fixture) {
    size_t units = (size_t)fixture->configs[0].hidden;
    if (fixture->layers[0].bidirectional) units += (size_t)fixture->configs[1].hidden;
    return 3 * units;
}

size_t stack_fixture_states(const stack_fixture *fixture, int32_t sublayer) {
    return (size_t)fixture->sizes.N * (size_t)fixture->configs[sublayer].hidden;
}

void *stack_fixture_allocate(stack_fixture *fixture, size_t bytes) {
    REQUIRE(fixture->buffer_count < STACK_FIXTURE_BUFFERS, "a stack fixture has too few buffers");
    return fixture->buffers[fixture->buffer_count++] = tester_allocate(bytes);
}

static void *numbers(stack_fixture *fixture, int32_t type, size_t count, double range) {
    void *data = stack_fixture_allocate(fixture, count * gru_type_bytes(type));
    tester_fill(data, type, count, range, (uint64_t)fixture->buffer_count);
    return data;
}

static void set_weights(stack_fixture *fixture, const gru_layer_config *config, gru_weights *weights) {
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const int32_t type = config->weight_type == GRU_INT8 ? GRU_F32 : config->weight_type;
    weights->type = type;
    weights->W = numbers(fixture, type, 3 * H * I, 0.5);
    weights->R = numbers(fixture, type, 3 * H * H, 0.5);
    weights->bW = numbers(fixture, type, 3 * H, 0.5);
    weights->bR = numbers(fixture, type, 3 * H, 0.5);
}

static int32_t spec_outputs(const layer_spec *f) {
    if (!f->bidirectional || f->merge != GRU_MERGE_CONCAT) return f->hidden;
    return f->hidden + (f->reverse_hidden ? f->reverse_hidden : f->hidden);
}

static gru_layer_config reverse_config(const gru_layer_config *config, const layer_spec *spec) {
    gru_layer_config reverse = *config;
    reverse.hidden = spec->reverse_hidden;
    reverse.reset_mode = spec->reverse_reset;
    reverse.candidate = spec->reverse_candidate;
    return reverse;
}

static void set_layers(stack_fixture *fixture, const layer_spec *specs, int32_t count) {
    const int f64 = fixture->sizes.type == GRU_F64;
    int32_t inputs = fixture->sizes.I;
    for (int32_t k = 0; k < count; k++) {
        gru_stack_layer *layer = &fixture->layers[k];
        layer->bidirectional = specs[k].bidirectional;
        layer->merge = specs[k].merge;
        layer->config.inputs = inputs;
        layer->config.hidden = specs[k].hidden;
        layer->config.direction = specs[k].direction;
        layer->config.io_type = fixture->sizes.type;
        layer->config.state_type = f64 ? GRU_F64 : GRU_F32;
        layer->config.weight_type = f64 ? GRU_F64 : fixture->sizes.weights;
        layer->config.reset_mode = fixture->sizes.reset_mode;
        if (specs[k].reverse_hidden) layer->reverse_config = reverse_config(&layer->config, &specs[k]);
        for (int32_t d = 0; d <= layer->bidirectional; d++) {
            const int own = d && specs[k].reverse_hidden;
            fixture->configs[fixture->sublayers] = own ? layer->reverse_config : layer->config;
            set_weights(fixture, &fixture->configs[fixture->sublayers], &layer->weights[d]);
            fixture->weights[fixture->sublayers] = &layer->weights[d];
            if (layer->bidirectional) fixture->configs[fixture->sublayers].direction = d;
            fixture->sublayers++;
        }
        inputs = spec_outputs(&specs[k]);
    }
    fixture->outputs = inputs;
}

static int32_t *ragged(stack_fixture *fixture) {
    const int64_t T = fixture->sizes.T, N = fixture->sizes.N;
    int32_t *lengths = stack_fixture_allocate(fixture, (size_t)N * sizeof *lengths);
    for (int64_t n = 0; n < N; n++) lengths[n] = (int32_t)(n + 1 == N ? 0 : T - n * 2 % (T + 1));
    return lengths;
}

static void set_projected(stack_fixture *fixture) {
    const size_t rows = (size_t)(fixture->sizes.T * fixture->sizes.N);
    fixture->projected =
        numbers(fixture, fixture->sizes.type, rows * stack_fixture_projected_row(fixture), 1);
    fixture->run.data.x.data = NULL;
    fixture->run.data.projected.data = fixture->projected;
}

/* Packs the weights into memory of the run, and leaves zeros in the stack. */
static void set_packed(stack_fixture *fixture) {
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        const gru_layer_config *config = &fixture->configs[k];
        const size_t H = (size_t)config->hidden,
                     most = H > (size_t)config->inputs ? H : (size_t)config->inputs;
        const size_t bytes = 3 * H * most * gru_type_bytes(config->weight_type);
        gru_layer *layer = NULL;
        gru_sizes sizes;
        REQUIRE(gru_stack_sublayer(fixture->stack, k, NULL, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_sizes(layer, 1, 1, &sizes) == GRU_OK, "%s", gru_last_error());
        void *packed = stack_fixture_allocate(fixture, sizes.packed);
        void *zeros = stack_fixture_allocate(fixture, bytes);
        memset(zeros, 0, bytes);
        const gru_weights none = {.W = zeros, .R = zeros, .type = config->weight_type};
        REQUIRE(device_mirror_pack(layer, fixture->weights[k], packed) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_update(layer, &none, NULL) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_wait(fixture->context, NULL) == GRU_OK, "%s", gru_last_error());
        fixture->packed[k] = packed;
    }
    fixture->run.packed = fixture->packed;
}

static void set_run(stack_fixture *fixture) {
    const size_t io = stack_fixture_io_bytes(fixture), state = stack_fixture_state_bytes(fixture);
    const gru_stack_layer *last = &fixture->layers[fixture->config.count - 1];
    gru_run *data = &fixture->run.data;
    data->T = fixture->sizes.T, data->N = fixture->sizes.N, data->mode = fixture->sizes.mode;
    fixture->x = numbers(fixture, fixture->sizes.type,
                         (size_t)(fixture->sizes.T * fixture->sizes.N * fixture->sizes.I), 1);
    fixture->y = stack_fixture_allocate(fixture, stack_fixture_y_count(fixture) * io);
    if (last->bidirectional && last->merge == GRU_MERGE_SEPARATE)
        fixture->y_reverse = stack_fixture_allocate(fixture, stack_fixture_y_reverse_count(fixture) * io);
    data->x.data = fixture->x, data->y.data = fixture->y, fixture->run.y_reverse.data = fixture->y_reverse;
    if (fixture->sizes.projected) set_projected(fixture);
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        fixture->h0[k] =
            numbers(fixture, fixture->configs[k].state_type, stack_fixture_states(fixture, k), 1);
        fixture->hT[k] = stack_fixture_allocate(fixture, stack_fixture_states(fixture, k) * state);
    }
    fixture->run.h0 = (const void *const *)fixture->h0, fixture->run.hT = fixture->hT;
    if (fixture->sizes.lengths) data->lengths = ragged(fixture);
    fixture->run.dropout_seed = fixture->dropout_seed =
        stack_fixture_allocate(fixture, 2 * sizeof *fixture->dropout_seed);
    fixture->dropout_seed[0] = 0x123456789abcdef0u,
    fixture->dropout_seed[1] = 0xffffffffu; /* rows carry into the upper half */
    data->workspace = stack_fixture_allocate(fixture, fixture->needed.workspace);
    data->workspace_size = fixture->needed.workspace;
    if (data->mode == GRU_INFERENCE) return;
    data->reserve = stack_fixture_allocate(fixture, fixture->needed.reserve);
    data->reserve_size = fixture->needed.reserve;
}

stack_fixture *stack_fixture_make(gru_context *context, const layer_spec *specs, int32_t count,
                                  stack_fixture_sizes sizes) {
    stack_fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture && count <= STACK_FIXTURE_LAYERS, "a stack of %d layers", count);
    fixture->context = context;
    fixture->sizes = sizes;
    fixture->config.layers = fixture->layers;
    fixture->config.count = count;
    fixture->config.dropout = sizes.dropout;
    set_layers(fixture, specs, count);
    REQUIRE(gru_stack_create(context, &fixture->config, &fixture->stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sizes(fixture->stack, sizes.T, sizes.N, &fixture->needed) == GRU_OK, "%s",
            gru_last_error());
    set_run(fixture);
    if (sizes.packed) set_packed(fixture);
    return fixture;
}

void stack_fixture_free(stack_fixture *fixture) {
    gru_stack_release(fixture->stack);
    for (int i = 0; i < fixture->buffer_count; i++) tester_free(fixture->buffers[i]);
    free(fixture);
}

/* ---- by hand ---- */

/* The columns of the projected input that a sublayer of the first layer reads, dense. */
static void *projected_of(stack_fixture *fixture, int32_t sublayer) {
    const size_t io = stack_fixture_io_bytes(fixture), row = stack_fixture_projected_row(fixture);
    const size_t rows = (size_t)(fixture->sizes.T * fixture->sizes.N);
    const size_t first = sublayer ? 3 * (size_t)fixture->configs[0].hidden : 0;
    const size_t count = 3 * (size_t)fixture->configs[sublayer].hidden;
    char *dense = stack_fixture_allocate(fixture, rows * count * io);
    for (size_t i = 0; i < rows; i++)
        memcpy(dense + i * count * io, (char *)fixture->projected + (i * row + first) * io, count * io);
    return dense;
}

/* One sublayer alone, dense. x NULL: on projected input. Returns its y. */
static void *run_sublayer(stack_fixture *fixture, int32_t sublayer, const void *x, void *hT) {
    gru_layer *layer = NULL;
    gru_sizes sizes = GRU_INIT;
    gru_run run = GRU_INIT;
    void *y =
        stack_fixture_allocate(fixture, (size_t)fixture->sizes.T * stack_fixture_states(fixture, sublayer) *
                                            stack_fixture_io_bytes(fixture));
    REQUIRE(gru_layer_create(fixture->context, &fixture->configs[sublayer], fixture->weights[sublayer],
                             &layer) == GRU_OK,
            "%s", gru_last_error());
    REQUIRE(gru_layer_sizes(layer, fixture->sizes.T, fixture->sizes.N, &sizes) == GRU_OK, "%s",
            gru_last_error());
    run.T = fixture->sizes.T, run.N = fixture->sizes.N;
    run.x.data = x, run.y.data = y;
    if (x == NULL) run.projected.data = projected_of(fixture, sublayer);
    run.h0 = fixture->run.h0 ? fixture->run.h0[sublayer] : NULL, run.hT = hT;
    run.lengths = fixture->run.data.lengths, run.restart = fixture->run.data.restart,
    run.attention = fixture->run.data.attention;
    run.workspace = stack_fixture_allocate(fixture, sizes.workspace);
    run.workspace_size = sizes.workspace;
    REQUIRE(device_mirror_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    gru_layer_release(layer);
    return y;
}

/* H: units of both directions. */
static void *concat(stack_fixture *fixture, const void *forward, const void *reverse, const int32_t H[2]) {
    const size_t rows = (size_t)(fixture->sizes.T * fixture->sizes.N), io = stack_fixture_io_bytes(fixture);
    const size_t first = (size_t)H[0] * io, second = (size_t)H[1] * io;
    char *both = stack_fixture_allocate(fixture, rows * (first + second));
    for (size_t i = 0; i < rows; i++) {
        memcpy(both + i * (first + second), (const char *)forward + i * first, first);
        memcpy(both + i * (first + second) + first, (const char *)reverse + i * second, second);
    }
    return both;
}

/* In double precision, rounded to f32 as the library computes: exact for the sum and the product of two 16-bit numbers. */
static double merge_numbers(int32_t merge, double forward, double reverse) {
    if (merge == GRU_MERGE_MULTIPLY) return forward * reverse;
    return merge == GRU_MERGE_AVERAGE ? 0.5 * (forward + reverse) : forward + reverse;
}

static void *merge_outputs(stack_fixture *fixture, int32_t merge, const void *forward, const void *reverse,
                           int32_t H) {
    const size_t count = (size_t)(fixture->sizes.T * fixture->sizes.N * H);
    const int32_t type = fixture->sizes.type;
    void *both = stack_fixture_allocate(fixture, count * stack_fixture_io_bytes(fixture));
    for (size_t i = 0; i < count; i++) {
        const double merged =
            merge_numbers(merge, gru_load_double(forward, type, i), gru_load_double(reverse, type, i));
        if (type == GRU_F64)
            ((double *)both)[i] = merged;
        else
            gru_store_float(both, type, i, (float)merged);
    }
    return both;
}

/* What the next layer reads in training. The generator is the library's: test_dropout.c knows its numbers. */
static void drop(const stack_fixture *fixture, int32_t k, void *data, int64_t row) {
    const int32_t type = fixture->sizes.type;
    const double scale = 1 / (1 - (double)fixture->sizes.dropout);
    for (int64_t s = 0; s < fixture->sizes.T; s++)
        for (int64_t n = 0; n < fixture->sizes.N; n++)
            for (int64_t i = 0; i < row; i++) {
                const size_t at = (size_t)((s * fixture->sizes.N + n) * row + i);
                const uint32_t number =
                    gru_dropout_numbers(fixture->dropout_seed, k, s, n, i / 4).word[i % 4];
                const int kept = number >= (double)fixture->sizes.dropout * 0x1p32;
                if (type == GRU_F64)
                    ((double *)data)[at] = kept ? ((double *)data)[at] * scale : 0;
                else
                    gru_store_float(data, type, at, kept ? gru_load_float(data, type, at) * (float)scale : 0);
            }
}

void stack_fixture_run_sublayers(stack_fixture *fixture, stack_fixture_outputs *out) {
    const int drops = fixture->sizes.dropout > 0 && fixture->sizes.mode != GRU_INFERENCE;
    const void *x = fixture->projected ? NULL : fixture->x;
    int32_t sublayer = 0;
    memset(out, 0, sizeof *out);
    for (int32_t k = 0; k < fixture->sublayers; k++)
        out->hT[k] = stack_fixture_allocate(fixture, stack_fixture_states(fixture, k) *
                                                         stack_fixture_state_bytes(fixture));
    for (int32_t k = 0; k < fixture->config.count; k++) {
        const gru_stack_layer *layer = &fixture->layers[k];
        const int32_t H[2] = {fixture->configs[sublayer].hidden,
                              layer->bidirectional ? fixture->configs[sublayer + 1].hidden : 0};
        void *forward = run_sublayer(fixture, sublayer, x, out->hT[sublayer]), *reverse = NULL;
        sublayer++;
        if (layer->bidirectional) reverse = run_sublayer(fixture, sublayer, x, out->hT[sublayer]), sublayer++;
        out->y = forward;
        if (reverse && layer->merge == GRU_MERGE_CONCAT)
            out->y = concat(fixture, forward, reverse, H);
        else if (reverse && layer->merge == GRU_MERGE_SEPARATE)
            out->y_reverse = reverse;
        else if (reverse)
            out->y = merge_outputs(fixture, layer->merge, forward, reverse, H[0]);
        if (drops && k + 1 < fixture->config.count)
            drop(fixture, k, out->y, fixture->layers[k + 1].config.inputs);
        x = out->y;
    }
}

static void same(const char *what, const char *tensor, const void *a, const void *b, size_t bytes) {
    if (a == NULL && b == NULL) return;
    CHECK(a && b && memcmp(a, b, bytes) == 0, "%s: %s differs from its sublayers run one by one", what,
          tensor);
}

void stack_fixture_check(const stack_fixture *fixture, const char *what,
                         const stack_fixture_outputs *expected) {
    char name[16];
    same(what, "y", fixture->y, expected->y,
         stack_fixture_y_count(fixture) * stack_fixture_io_bytes(fixture));
    same(what, "y_reverse", fixture->y_reverse, expected->y_reverse,
         stack_fixture_y_reverse_count(fixture) * stack_fixture_io_bytes(fixture));
    for (int32_t k = 0; k < fixture->sublayers; k++) {
        (void)snprintf(name, sizeof name, "hT[%d]", k);
        same(what, name, fixture->hT[k], expected->hT[k],
             stack_fixture_states(fixture, k) * stack_fixture_state_bytes(fixture));
    }
}
