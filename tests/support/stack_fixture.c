/* stack_fixture.c: makes stacks from lists of floors, and runs their cells one by one for comparison. */
#include "stack_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "core/dropout.h"
#include "device_mirror.h"
#include "core/number.h"

size_t tower_io_bytes(const tower *t) {
    return gru_type_bytes(t->sizes.type);
}

size_t tower_state_bytes(const tower *t) {
    return t->sizes.type == GRU_F64 ? sizeof(double) : sizeof(float);
}

size_t tower_y_count(const tower *t) {
    return (size_t)(t->sizes.T * t->sizes.N * t->outputs);
}

size_t tower_states(const tower *t, int32_t cell) {
    return (size_t)t->sizes.N * (size_t)t->cell[cell].hidden;
}

void *tower_allocate(tower *t, size_t bytes) {
    REQUIRE(t->buffer_count < TOWER_BUFFERS, "a tower has too few buffers");
    return t->buffers[t->buffer_count++] = tester_allocate(bytes);
}

static void *numbers(tower *t, int32_t type, size_t count, double range) {
    void *data = tower_allocate(t, count * gru_type_bytes(type));
    tester_fill(data, type, count, range, (uint64_t)t->buffer_count);
    return data;
}

static void set_weights(tower *t, const gru_layer_config *config, gru_weights *weights) {
    const size_t I = (size_t)config->inputs, H = (size_t)config->hidden;
    const int32_t type = config->weight_type;
    weights->type = type;
    weights->W = numbers(t, type, 3 * H * I, 0.5);
    weights->R = numbers(t, type, 3 * H * H, 0.5);
    weights->bW = numbers(t, type, 3 * H, 0.5);
    weights->bR = numbers(t, type, 3 * H, 0.5);
}

static int32_t floor_outputs(const tower_floor *f) {
    return f->bidirectional && f->merge == GRU_MERGE_CONCAT ? 2 * f->hidden : f->hidden;
}

static void set_layers(tower *t, const tower_floor *floors, int32_t count) {
    const int f64 = t->sizes.type == GRU_F64;
    int32_t inputs = t->sizes.I;
    for (int32_t k = 0; k < count; k++) {
        gru_stack_layer *layer = &t->layers[k];
        layer->bidirectional = floors[k].bidirectional;
        layer->merge = floors[k].merge;
        layer->config.inputs = inputs;
        layer->config.hidden = floors[k].hidden;
        layer->config.direction = floors[k].direction;
        layer->config.io_type = t->sizes.type;
        layer->config.state_type = f64 ? GRU_F64 : GRU_F32;
        layer->config.weight_type = f64 ? GRU_F64 : t->sizes.weights;
        layer->config.reset_mode = t->sizes.reset_mode;
        for (int32_t d = 0; d <= layer->bidirectional; d++) {
            set_weights(t, &layer->config, &layer->weights[d]);
            t->weights[t->cells] = &layer->weights[d];
            t->cell[t->cells] = layer->config;
            if (layer->bidirectional) t->cell[t->cells].direction = d;
            t->cells++;
        }
        inputs = floor_outputs(&floors[k]);
    }
    t->outputs = inputs;
}

static int32_t *ragged(tower *t) {
    const int64_t T = t->sizes.T, N = t->sizes.N;
    int32_t *lengths = tower_allocate(t, (size_t)N * sizeof *lengths);
    for (int64_t n = 0; n < N; n++) lengths[n] = (int32_t)(n + 1 == N ? 0 : T - n * 2 % (T + 1));
    return lengths;
}

static void set_run(tower *t) {
    const size_t io = tower_io_bytes(t), state = tower_state_bytes(t);
    const gru_stack_layer *last = &t->layers[t->config.count - 1];
    gru_run *data = &t->run.data;
    data->T = t->sizes.T, data->N = t->sizes.N, data->mode = t->sizes.mode;
    t->x = numbers(t, t->sizes.type, (size_t)(t->sizes.T * t->sizes.N * t->sizes.I), 1);
    t->y = tower_allocate(t, tower_y_count(t) * io);
    if (last->bidirectional && last->merge == GRU_MERGE_SEPARATE)
        t->y_reverse = tower_allocate(t, tower_y_count(t) * io);
    data->x.data = t->x, data->y.data = t->y, t->run.y_reverse.data = t->y_reverse;
    for (int32_t k = 0; k < t->cells; k++) {
        t->h0[k] = numbers(t, t->cell[k].state_type, tower_states(t, k), 1);
        t->hT[k] = tower_allocate(t, tower_states(t, k) * state);
    }
    t->run.h0 = (const void *const *)t->h0, t->run.hT = t->hT;
    if (t->sizes.lengths) data->lengths = ragged(t);
    t->run.dropout_seed = t->dropout_seed = tower_allocate(t, 2 * sizeof *t->dropout_seed);
    t->dropout_seed[0] = 0x123456789abcdef0u,
    t->dropout_seed[1] = 0xffffffffu; /* rows carry into the upper half */
    data->workspace = tower_allocate(t, t->memory.workspace);
    data->workspace_size = t->memory.workspace;
    if (data->mode == GRU_INFERENCE) return;
    data->reserve = tower_allocate(t, t->memory.reserve);
    data->reserve_size = t->memory.reserve;
}

tower *tower_make(gru_context *context, const tower_floor *floors, int32_t count, tower_sizes sizes) {
    tower *t = calloc(1, sizeof *t);
    REQUIRE(t && count <= TOWER_FLOORS, "a tower of %d floors", count);
    t->context = context;
    t->sizes = sizes;
    t->config.layers = t->layers;
    t->config.count = count;
    t->config.dropout = sizes.dropout;
    set_layers(t, floors, count);
    REQUIRE(gru_stack_create(context, &t->config, &t->stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sizes(t->stack, sizes.T, sizes.N, &t->memory) == GRU_OK, "%s", gru_last_error());
    set_run(t);
    return t;
}

void tower_free(tower *t) {
    gru_stack_release(t->stack);
    for (int i = 0; i < t->buffer_count; i++) tester_free(t->buffers[i]);
    free(t);
}

/* ---- by hand ---- */

/* One cell alone, dense. Returns its y. */
static void *run_cell(tower *t, int32_t cell, const void *x, void *hT) {
    gru_layer *layer = NULL;
    gru_sizes memory = GRU_INIT;
    gru_run run = GRU_INIT;
    void *y = tower_allocate(t, (size_t)t->sizes.T * tower_states(t, cell) * tower_io_bytes(t));
    REQUIRE(gru_layer_create(t->context, &t->cell[cell], t->weights[cell], &layer) == GRU_OK, "%s",
            gru_last_error());
    REQUIRE(gru_layer_sizes(layer, t->sizes.T, t->sizes.N, &memory) == GRU_OK, "%s", gru_last_error());
    run.T = t->sizes.T, run.N = t->sizes.N;
    run.x.data = x, run.y.data = y;
    run.h0 = t->run.h0 ? t->run.h0[cell] : NULL, run.hT = hT;
    run.lengths = t->run.data.lengths, run.restart = t->run.data.restart,
    run.attention = t->run.data.attention;
    run.workspace = tower_allocate(t, memory.workspace);
    run.workspace_size = memory.workspace;
    REQUIRE(mirror_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    gru_layer_release(layer);
    return y;
}

static void *concat(tower *t, const void *forward, const void *reverse, int32_t H) {
    const size_t rows = (size_t)(t->sizes.T * t->sizes.N), part = (size_t)H * tower_io_bytes(t);
    char *both = tower_allocate(t, 2 * rows * part);
    for (size_t i = 0; i < rows; i++) {
        memcpy(both + 2 * i * part, (const char *)forward + i * part, part);
        memcpy(both + (2 * i + 1) * part, (const char *)reverse + i * part, part);
    }
    return both;
}

static void *sum(tower *t, const void *forward, const void *reverse, int32_t H) {
    const size_t count = (size_t)(t->sizes.T * t->sizes.N * H);
    const int32_t type = t->sizes.type;
    void *both = tower_allocate(t, count * tower_io_bytes(t));
    for (size_t i = 0; i < count; i++)
        if (type == GRU_F64)
            ((double *)both)[i] = ((const double *)forward)[i] + ((const double *)reverse)[i];
        else
            gru_store_float(both, type, i,
                            gru_load_float(forward, type, i) + gru_load_float(reverse, type, i));
    return both;
}

/* What the next floor reads in training. The generator is the library's: test_dropout.c knows its numbers. */
static void drop(const tower *t, int32_t k, void *data, int64_t row) {
    const int32_t type = t->sizes.type;
    const double scale = 1 / (1 - (double)t->sizes.dropout);
    for (int64_t s = 0; s < t->sizes.T; s++)
        for (int64_t n = 0; n < t->sizes.N; n++)
            for (int64_t i = 0; i < row; i++) {
                const size_t at = (size_t)((s * t->sizes.N + n) * row + i);
                const uint32_t number = gru_dropout_numbers(t->dropout_seed, k, s, n, i / 4).word[i % 4];
                const int kept = number >= (double)t->sizes.dropout * 0x1p32;
                if (type == GRU_F64)
                    ((double *)data)[at] = kept ? ((double *)data)[at] * scale : 0;
                else
                    gru_store_float(data, type, at, kept ? gru_load_float(data, type, at) * (float)scale : 0);
            }
}

void tower_by_hand(tower *t, tower_outputs *out) {
    const int drops = t->sizes.dropout > 0 && t->sizes.mode != GRU_INFERENCE;
    const void *x = t->x;
    int32_t cell = 0;
    memset(out, 0, sizeof *out);
    for (int32_t k = 0; k < t->cells; k++)
        out->hT[k] = tower_allocate(t, tower_states(t, k) * tower_state_bytes(t));
    for (int32_t k = 0; k < t->config.count; k++) {
        const gru_stack_layer *layer = &t->layers[k];
        const int32_t H = layer->config.hidden;
        void *forward = run_cell(t, cell, x, out->hT[cell]), *reverse = NULL;
        cell++;
        if (layer->bidirectional) reverse = run_cell(t, cell, x, out->hT[cell]), cell++;
        out->y = forward;
        if (reverse && layer->merge == GRU_MERGE_CONCAT) out->y = concat(t, forward, reverse, H);
        if (reverse && layer->merge == GRU_MERGE_SUM) out->y = sum(t, forward, reverse, H);
        if (reverse && layer->merge == GRU_MERGE_SEPARATE) out->y_reverse = reverse;
        if (drops && k + 1 < t->config.count) drop(t, k, out->y, t->layers[k + 1].config.inputs);
        x = out->y;
    }
}

static void same(const char *what, const char *tensor, const void *a, const void *b, size_t bytes) {
    if (a == NULL && b == NULL) return;
    CHECK(a && b && memcmp(a, b, bytes) == 0, "%s: %s differs from its cells run one by one", what, tensor);
}

void check_tower(const tower *t, const char *what, const tower_outputs *expected) {
    char name[16];
    same(what, "y", t->y, expected->y, tower_y_count(t) * tower_io_bytes(t));
    same(what, "y_reverse", t->y_reverse, expected->y_reverse, tower_y_count(t) * tower_io_bytes(t));
    for (int32_t k = 0; k < t->cells; k++) {
        (void)snprintf(name, sizeof name, "hT[%d]", k);
        same(what, name, t->hT[k], expected->hT[k], tower_states(t, k) * tower_state_bytes(t));
    }
}
