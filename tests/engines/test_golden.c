/* test_golden.c: the reference engine against what PyTorch, Keras, ONNX Runtime and the ONNX test data computed, and the
 * gradients of every engine against PyTorch's and Keras'. */
#include <math.h>
#include <string.h>

#include "gru/import.h"
#include "core/number.h"
#include "support/tester.h"

/* NAME/config: golden/README.md. */
typedef struct golden_config {
    int32_t reset_mode, update, gate, candidate, direction;
    int32_t T, N, I, H;
    int32_t has_lengths, has_h0, has_gradients, layers, directions, has_bias, has_y, source_bits;
} golden_config;
enum {
    CONFIG_NUMBERS = sizeof(golden_config) / sizeof(int32_t),
    CELLS_MAX = 8,
    BUFFERS_MAX = 128,
    NAME_MAX_BYTES = 128
};

typedef struct golden {
    gru_context *context;
    gru_file *file;
    const char *name; /* of the case, without "/config" */
    const golden_config *config;
    int32_t type; /* the run's: f64, or f32, in which every input is the same number */
    double clip, hard_slope;
    const double *activations; /* [4] alpha and beta of the gates' function, then of the candidate's */
    double budget;
    int32_t cells;
    int64_t compared; /* numbers, in this case */
    void *buffers[BUFFERS_MAX];
    int32_t buffer_count;
} golden;

/* What differs from cell to cell: inputs from the file, NULL where it has none, and room for the outputs. */
typedef struct cells {
    const void *h0[CELLS_MAX], *dhT[CELLS_MAX];
    void *hT[CELLS_MAX], *dh0[CELLS_MAX], *dW[CELLS_MAX], *dR[CELLS_MAX], *dbW[CELLS_MAX], *dbR[CELLS_MAX];
} cells;

/* ---- the file --------------------------------------------------------------------------------------------------- */

/* NAME/KEY of a case with one cell or cell < 0, else NAME/cellK/KEY. */
static const void *tensor(const golden *g, int32_t cell, const char *key, int32_t type, int64_t count) {
    char name[NAME_MAX_BYTES];
    gru_tensor found = GRU_INIT;
    if (cell >= 0 && g->cells > 1)
        snprintf(name, sizeof name, "%s/cell%d/%s", g->name, (int)cell, key);
    else
        snprintf(name, sizeof name, "%s/%s", g->name, key);
    REQUIRE(gru_file_tensor(g->file, name, &found) == GRU_OK, "%s", gru_last_error());
    int64_t product = 1;
    for (int32_t k = 0; k < found.rank; k++) product *= found.shape[k];
    REQUIRE(found.type == type && product == count, "%s: type %d with %lld numbers, expected %d with %lld",
            name, (int)found.type, (long long)product, (int)type, (long long)count);
    return found.data;
}

static const void *numbers(const golden *g, int32_t cell, const char *key, int64_t count) {
    return tensor(g, cell, key, GRU_F64, count);
}

/* Single precision in the source: some 30 roundings of up to 6e-8 in the source's latest step; earlier ones have faded. The float in
 * gru_layer_config is as coarse where it cannot hold a slope, such as Keras' 1/6: a gate moves by half the slope's
 * relative error, 1.5e-8. Double precision: 1e-12 is the same 30 roundings of 1.1e-16 with room for a growth of 300
 * in gradients over 7 steps; single precision here: the same 30 roundings of 6e-8 with a growth of 50. Every mistake that
 * golden/mutations.py tries is over 1e-3. */
static double budget_of(const golden *g) {
    int held = (double)(float)g->hard_slope == g->hard_slope;
    for (int i = 0; i < 4; i++) held &= (double)(float)g->activations[i] == g->activations[i];
    if (g->type == GRU_F32) return 1e-4;
    return g->config->source_bits == 64 && held ? 1e-12 : 2e-6;
}

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

/* bytes of the context's memory, freed by leave_case. Starts as NaN, so that a number left out shows. */
static void *room(golden *g, size_t bytes) {
    REQUIRE(g->buffer_count < BUFFERS_MAX, "more than %d buffers", BUFFERS_MAX);
    void **buffer = &g->buffers[g->buffer_count];
    REQUIRE(gru_allocate(g->context, bytes, buffer) == GRU_OK, "%s", gru_last_error());
    g->buffer_count++;
    memset(*buffer, 0xff, bytes);
    return *buffer;
}

static void *room_for(golden *g, int64_t count) {
    return room(g, (size_t)count * gru_type_bytes(g->type));
}

/* Numbers of the file as the run reads them. */
static const void *given(golden *g, int32_t cell, const char *key, int64_t count) {
    const double *data = numbers(g, cell, key, count);
    if (g->type == GRU_F64) return data;
    float *rounded = room_for(g, count);
    for (int64_t k = 0; k < count; k++) rounded[k] = (float)data[k];
    return rounded;
}

static void leave_case(golden *g) {
    while (g->buffer_count > 0) gru_free(g->context, g->buffers[--g->buffer_count]);
}

/* Differences relative to the larger of 1 and the value; reports the first that is over the budget. */
static void compare(golden *g, int32_t cell, const char *key, const void *got, int64_t count) {
    const double *want = numbers(g, cell, key, count);
    double value = 0;
    int64_t k = 0;
    for (; k < count; k++) {
        value = gru_load_double(got, g->type, (size_t)k);
        if (!(fabs(value - want[k]) <= g->budget * fmax(1.0, fabs(want[k])))) break;
    }
    CHECK(k == count, "%s, cell %d: %s[%lld] of %lld is %.17g, expected %.17g within %.1g", g->name,
          (int)cell, key, (long long)k, (long long)count, value, want[k < count ? k : 0], g->budget);
    g->compared += count;
}

/* ---- a case ----------------------------------------------------------------------------------------------------- */

static int64_t inputs_of(const golden *g, int32_t cell) {
    const golden_config *c = g->config;
    return cell < c->directions ? c->I : c->directions * c->H;
}

static gru_layer_config config_of(const golden *g, int32_t cell) {
    const golden_config *c = g->config;
    gru_layer_config config = GRU_INIT;
    config.inputs = (int32_t)inputs_of(g, cell);
    config.hidden = c->H;
    config.reset_mode = c->reset_mode, config.update = c->update, config.direction = c->direction;
    config.gate = c->gate, config.candidate = c->candidate;
    config.io_type = config.state_type = config.weight_type = g->type;
    config.clip = (float)g->clip;
    config.hard_slope = (float)g->hard_slope;
    config.gate_alpha = (float)g->activations[0], config.gate_beta = (float)g->activations[1];
    config.candidate_alpha = (float)g->activations[2], config.candidate_beta = (float)g->activations[3];
    return config;
}

static gru_weights weights_of(golden *g, int32_t cell) {
    const int64_t H = g->config->H;
    gru_weights weights = GRU_INIT;
    weights.W = given(g, cell, "W", 3 * H * inputs_of(g, cell));
    weights.R = given(g, cell, "R", 3 * H * H);
    if (g->config->has_bias) {
        weights.bW = given(g, cell, "bW", 3 * H);
        weights.bR = given(g, cell, "bR", 3 * H);
    }
    weights.type = g->type;
    return weights;
}

static void fill_cells(golden *g, cells *all) {
    const int64_t H = g->config->H, state = g->config->N * H;
    for (int32_t k = 0; k < g->cells; k++) {
        all->h0[k] = g->config->has_h0 ? given(g, k, "h0", state) : NULL;
        all->hT[k] = room_for(g, state);
        if (!g->config->has_gradients) continue;
        all->dhT[k] = given(g, k, "dhT", state);
        all->dh0[k] = room_for(g, state);
        all->dW[k] = room_for(g, 3 * H * inputs_of(g, k));
        all->dR[k] = room_for(g, 3 * H * H);
        all->dbW[k] = room_for(g, 3 * H);
        all->dbR[k] = room_for(g, 3 * H);
    }
}

static int64_t outputs_count(const golden *g) {
    const golden_config *c = g->config;
    return (int64_t)c->T * c->N * c->directions * c->H;
}

/* Keras repeats an output at masked steps. */
static void set_mask(golden *g, gru_run *run) {
    const size_t steps = (size_t)(run->T * run->N);
    const int32_t *given_mask = tensor(g, -1, "mask", GRU_TENSOR_I32, (int64_t)steps);
    uint8_t *mask = room(g, steps);
    for (size_t i = 0; i < steps; i++) mask[i] = given_mask[i] != 0;
    run->mask.data = mask;
    run->absent_output = GRU_ABSENT_LAST;
}

/* All of a run but the states. */
static gru_run run_of(golden *g, int32_t mode, const gru_sizes *memory) {
    const golden_config *c = g->config;
    gru_run run = GRU_INIT;
    run.T = c->T, run.N = c->N, run.mode = mode;
    run.x.data = given(g, -1, "x", run.T * run.N * c->I);
    run.y.data = room_for(g, outputs_count(g));
    run.lengths = c->has_lengths == 1 ? tensor(g, -1, "lengths", GRU_TENSOR_I32, run.N) : NULL;
    if (c->has_lengths == 2) set_mask(g, &run);
    const int smaller = memory->workspace < memory->backward_workspace;
    run.workspace_size = smaller ? memory->backward_workspace : memory->workspace;
    run.workspace = room(g, run.workspace_size);
    if (mode != GRU_INFERENCE) {
        run.reserve_size = memory->reserve;
        run.reserve = room(g, run.reserve_size);
    }
    return run;
}

/* All of the gradients but those of cells. */
static gru_gradients gradients_of(golden *g) {
    const golden_config *c = g->config;
    gru_gradients gradients = GRU_INIT;
    gradients.parts = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;
    gradients.dy.data = given(g, -1, "dy", outputs_count(g));
    gradients.dx.data = room_for(g, (int64_t)c->T * c->N * c->I);
    return gradients;
}

static void compare_forward(golden *g, const void *y, const cells *all) {
    if (g->config->has_y) compare(g, -1, "y", y, outputs_count(g));
    for (int32_t k = 0; k < g->cells; k++) compare(g, k, "hT", all->hT[k], g->config->N * g->config->H);
}

static void compare_backward(golden *g, const void *dx, const cells *all) {
    const golden_config *c = g->config;
    const int64_t H = c->H;
    compare(g, -1, "dx", dx, (int64_t)c->T * c->N * c->I);
    for (int32_t k = 0; k < g->cells; k++) {
        compare(g, k, "dW", all->dW[k], 3 * H * inputs_of(g, k));
        compare(g, k, "dR", all->dR[k], 3 * H * H);
        if (c->has_h0) compare(g, k, "dh0", all->dh0[k], c->N * H);
        if (!c->has_bias) continue;
        compare(g, k, "dbW", all->dbW[k], 3 * H);
        compare(g, k, "dbR", all->dbR[k], 3 * H);
    }
}

static void check_backward(const golden *g, gru_status status) {
    if (status == GRU_UNSUPPORTED) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s: %s", g->name, gru_last_error());
}

/* ---- layers ----------------------------------------------------------------------------------------------------- */

static void run_layer(golden *g, int32_t mode) {
    const gru_layer_config config = config_of(g, 0);
    const gru_weights weights = weights_of(g, 0);
    gru_layer *layer = NULL;
    gru_sizes sizes = GRU_INIT;
    cells all = GRU_INIT;
    REQUIRE(gru_layer_create(g->context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_sizes(layer, g->config->T, g->config->N, &sizes) == GRU_OK, "%s", gru_last_error());
    fill_cells(g, &all);
    gru_run run = run_of(g, mode, &sizes);
    run.h0 = all.h0[0], run.hT = all.hT[0];
    REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s: %s", g->name, gru_last_error());
    compare_forward(g, run.y.data, &all);
    if (mode != GRU_INFERENCE) {
        gru_gradients gradients = gradients_of(g);
        gradients.dhT = all.dhT[0], gradients.dh0 = all.dh0[0];
        gradients.dW = all.dW[0], gradients.dR = all.dR[0], gradients.dbW = all.dbW[0],
        gradients.dbR = all.dbR[0];
        check_backward(g, gru_layer_backward(layer, &run, &gradients));
        compare_backward(g, gradients.dx.data, &all);
    }
    gru_layer_release(layer);
    leave_case(g);
}

/* ---- stacks ----------------------------------------------------------------------------------------------------- */

static gru_stack *make_stack(golden *g) {
    const golden_config *c = g->config;
    gru_stack_layer layers[CELLS_MAX] = GRU_INIT;
    gru_stack_config config = GRU_INIT;
    gru_stack *stack = NULL;
    for (int32_t k = 0; k < g->cells; k++) {
        gru_stack_layer *layer = &layers[k / c->directions];
        layer->config = config_of(g, k);
        layer->bidirectional = c->directions == 2;
        layer->merge = GRU_MERGE_CONCAT;
        layer->weights[k % c->directions] = weights_of(g, k);
    }
    config.layers = layers, config.count = c->layers;
    REQUIRE(gru_stack_create(g->context, &config, &stack) == GRU_OK, "%s: %s", g->name, gru_last_error());
    return stack;
}

static void run_stack(golden *g, int32_t mode) {
    gru_stack *stack = make_stack(g);
    gru_sizes sizes = GRU_INIT;
    cells all = GRU_INIT;
    gru_stack_run run = GRU_INIT;
    REQUIRE(gru_stack_sizes(stack, g->config->T, g->config->N, &sizes) == GRU_OK, "%s", gru_last_error());
    fill_cells(g, &all);
    run.data = run_of(g, mode, &sizes);
    run.h0 = all.h0, run.hT = all.hT;
    REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s: %s", g->name, gru_last_error());
    compare_forward(g, run.data.y.data, &all);
    if (mode != GRU_INFERENCE) {
        gru_stack_gradients gradients = GRU_INIT;
        gradients.data = gradients_of(g);
        gradients.dhT = all.dhT, gradients.dh0 = all.dh0;
        gradients.dW = all.dW, gradients.dR = all.dR, gradients.dbW = all.dbW, gradients.dbR = all.dbR;
        check_backward(g, gru_stack_backward(stack, &run, &gradients));
        compare_backward(g, gradients.data.dx.data, &all);
    }
    gru_stack_release(stack);
    leave_case(g);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void run_case(golden *g) {
    const int32_t first = GRU_INFERENCE,
                  last = g->config->has_gradients ? GRU_TRAIN_RECOMPUTE : GRU_INFERENCE;
    for (int32_t mode = first; mode <= last; mode++) {
        g->compared = 0;
        if (g->cells == 1)
            run_layer(g, mode);
        else
            run_stack(g, mode);
        REQUIRE(g->compared > 0, "%s compared nothing", g->name);
    }
}

/* Sets up the case whose config is the tensor called name; 0: it is another tensor. */
static int enter_case(golden *g, const char *name, char *stem) {
    const char *end = strrchr(name, '/');
    if (!end || strcmp(end, "/config") != 0) return 0;
    REQUIRE(end - name < NAME_MAX_BYTES, "%s is too long", name);
    snprintf(stem, NAME_MAX_BYTES, "%.*s", (int)(end - name), name);
    g->name = stem;
    g->cells = 1;
    g->config = tensor(g, -1, "config", GRU_TENSOR_I32, CONFIG_NUMBERS);
    g->cells = g->config->layers * g->config->directions;
    REQUIRE(g->cells >= 1 && g->cells <= CELLS_MAX, "%s has %d cells", stem, (int)g->cells);
    const double *parameters = numbers(g, -1, "parameters", 2);
    static const double none[4];
    const int others =
        g->config->gate >= GRU_ACTIVATION_SIGMOID || g->config->candidate >= GRU_ACTIVATION_SIGMOID;
    g->clip = parameters[0], g->hard_slope = parameters[1];
    g->activations = others ? numbers(g, -1, "numbers", 4) : none;
    g->budget = budget_of(g);
    return 1;
}

/* Every case of a file; case_count: how many it holds, so that none can get lost. */
static void run_file(const char *path, int32_t case_count, const char *engine, int32_t type) {
    golden g = {.type = type};
    char stem[NAME_MAX_BYTES];
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU;
    config.engine = engine;
    const gru_status opened = gru_file_open(path, &g.file);
    if (opened == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(opened == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_context_create(&config, &g.context) == GRU_OK, "%s", gru_last_error());
    int32_t count = 0;
    const char *name;
    for (int32_t k = 0; (name = gru_file_name(g.file, k)); k++) {
        if (!enter_case(&g, name, stem)) continue;
        run_case(&g);
        count++;
    }
    CHECK(count == case_count, "%s has %d cases, expected %d", path, (int)count, (int)case_count);
    gru_file_close(g.file);
    gru_context_release(g.context);
}

TEST(golden, pytorch) {
    run_file(TEST_DATA "/golden/pytorch.safetensors", 8, "cpu_reference", GRU_F64);
}
TEST(golden, keras) {
    run_file(TEST_DATA "/golden/keras.safetensors", 17, "cpu_reference", GRU_F64);
}
TEST(golden, keras_masks) {
    run_file(TEST_DATA "/golden/keras_masks.safetensors", 6, "cpu_reference", GRU_F64);
}
TEST(golden, onnxruntime) {
    run_file(TEST_DATA "/golden/onnxruntime.safetensors", 24, "cpu_reference", GRU_F64);
}
TEST(golden, onnx_node) {
    run_file(TEST_DATA "/golden/onnx_node.safetensors", 4, "cpu_reference", GRU_F64);
}
TEST(golden, activations) {
    run_file(TEST_DATA "/golden/activations.safetensors", 56, "cpu_reference", GRU_F64);
}

/* Ragged bidirectional stacks of PyTorch among them. In single precision all inputs are the same numbers. */
static void run_file_in_both(const char *path, int32_t case_count, const char *engine) {
    run_file(path, case_count, engine, GRU_F32);
    run_file(path, case_count, engine, GRU_F64);
}

ENGINE_TEST(golden, pytorch_on_every_engine) {
    ONLY_ON_THE_CPU(engine);
    run_file_in_both(TEST_DATA "/golden/pytorch.safetensors", 8, engine);
}
ENGINE_TEST(golden, keras_on_every_engine) {
    ONLY_ON_THE_CPU(engine);
    run_file_in_both(TEST_DATA "/golden/keras.safetensors", 17, engine);
    run_file_in_both(TEST_DATA "/golden/keras_masks.safetensors", 6, engine);
}
ENGINE_TEST(golden, activations_on_every_engine) {
    ONLY_ON_THE_CPU(engine);
    run_file_in_both(TEST_DATA "/golden/activations.safetensors", 56, engine);
}
