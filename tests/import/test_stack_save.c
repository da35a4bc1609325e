/* test_stack_save.c: what a stack's layers hold, saved with a head beside it, and taken back from a file. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/number.h"
#include "gru/import.h"
#include "support/file_fixture.h"
#include "support/stack_fixture.h"

static const layer_spec specs[] = {{.hidden = 3,
                                    .bidirectional = 1,
                                    .merge = GRU_MERGE_MULTIPLY,
                                    .reverse_hidden = 3,
                                    .reverse_reset = GRU_RESET_ALL},
                                   {.hidden = 4}};
static const stack_fixture_sizes sizes = {.T = 4, .N = 2, .I = 5, .weights = GRU_BF16};

/* Numbers of bf16, held by the file in f32. */
static void check_held(const gru_file *file, const char *name, const void *data, int32_t type, size_t count) {
    gru_tensor tensor;
    REQUIRE(gru_file_tensor(file, name, &tensor) == GRU_OK, "%s", gru_last_error());
    REQUIRE(tensor.type == GRU_F32 && tensor.bytes == count * sizeof(float), "%s is of type %d", name,
            tensor.type);
    for (size_t i = 0; i < count; i++)
        CHECK(gru_load_double(tensor.data, GRU_F32, i) == gru_load_double(data, type, i),
              "%s[%zu] is not %.9g", name, i, gru_load_double(data, type, i));
}

static const float head[2][3] = {{1, 2, 3}, {4, 5, 6}};
static const double scale = 0.25;

/* The file of a stack with a head, a scalar and an empty tensor beside it; NULL: the library has no files. */
static gru_file *save(const file_folder *f, const gru_stack *stack) {
    const gru_named_tensor tensors[] = {
        {.name = "head.weight", .data = head, .type = GRU_F32, .rank = 2, .shape = {2, 3}},
        {.name = "scale", .data = &scale, .type = GRU_F64},
        {.name = "none", .type = GRU_BF16, .rank = 1}};
    gru_file *file = NULL;
    const gru_status status = gru_stack_save(f->path, stack, "net.", tensors, 3, NULL);
    if (status == GRU_NOT_BUILT) return NULL;
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    file_fixture_open(f->path, &file);
    return file;
}

/* A stack of the fixture's layers, the second of which has a learned initial state. */
static stack_fixture *make(gru_context *context) {
    stack_fixture *fixture = stack_fixture_make(context, specs, 2, sizes);
    uint16_t *state = stack_fixture_allocate(fixture, 4 * sizeof *state);
    tester_fill(state, GRU_BF16, 4, 1, 77);
    fixture->layers[1].h0[0] = state;
    fixture->run.h0 = NULL;
    gru_stack_release(fixture->stack);
    REQUIRE(gru_stack_create(context, &fixture->config, &fixture->stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sizes(fixture->stack, sizes.T, sizes.N, &fixture->needed) == GRU_OK, "%s",
            gru_last_error());
    fixture->run.data.workspace_size = fixture->needed.workspace;
    fixture->run.data.workspace = stack_fixture_allocate(fixture, fixture->needed.workspace);
    return fixture;
}

TEST(stack_save, the_file_holds_what_the_layers_hold_and_a_head) {
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = make(context);
    gru_tensor tensor;
    gru_file *file = save(&f, fixture->stack);
    if (!file) SKIP("%s", gru_last_error());
    check_held(file, "net.weight_ih_l0", fixture->weights[0]->W, GRU_BF16, 45);
    check_held(file, "net.weight_hh_l0_reverse", fixture->weights[1]->R, GRU_BF16, 27);
    check_held(file, "net.bias_ih_l1", fixture->weights[2]->bW, GRU_BF16, 12);
    check_held(file, "net.bias_hh_l1", fixture->weights[2]->bR, GRU_BF16, 12);
    check_held(file, "net.h0_l1", fixture->layers[1].h0[0], GRU_BF16, 4);
    check_held(file, "head.weight", head, GRU_F32, 6);
    REQUIRE(gru_file_tensor(file, "scale", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.rank == 0 && tensor.type == GRU_F64 && *(const double *)tensor.data == scale,
          "another scale");
    REQUIRE(gru_file_tensor(file, "none", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.rank == 1 && tensor.shape[0] == 0 && tensor.bytes == 0, "an empty tensor is not empty");
    gru_file_close(file);
    stack_fixture_free(fixture);
    gru_context_release(context);
    CHECK(unlink(f.path) == 0 && rmdir(f.name) == 0, "something is left in %s", f.name);
}

static void expect_output(stack_fixture *fixture, const gru_stack *stack, const void *expected,
                          const char *what) {
    memset(fixture->y, 0xFF, stack_fixture_y_count(fixture) * sizeof(float));
    gru_stack_run run = fixture->run;
    run.data.workspace = NULL;
    REQUIRE(gru_stack_allocate(stack, &run.data) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
    gru_run_free(fixture->context, &run.data);
    CHECK(memcmp(fixture->y, expected, stack_fixture_y_count(fixture) * sizeof(float)) == 0,
          "%s computes something else", what);
}

TEST(stack_save, a_stack_is_updated_from_a_file) {
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = make(context);
    const gru_load_options bf16 = {.prefix = "net.", .weight_type = GRU_BF16};
    gru_stack *loaded = NULL;
    gru_layer *layer = NULL;
    gru_file *file = save(&f, fixture->stack);
    if (!file) SKIP("%s", gru_last_error());
    float *y = stack_fixture_allocate(fixture, stack_fixture_y_count(fixture) * sizeof *y);
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    memcpy(y, fixture->y, stack_fixture_y_count(fixture) * sizeof *y);
    REQUIRE(gru_stack_load(context, file, &bf16, &loaded) == GRU_OK, "%s", gru_last_error());
    expect_output(fixture, loaded, y, "the loaded stack");
    const float zeros[3 * 4 * 4] = {0};
    const gru_weights none = {.W = zeros, .R = zeros};
    REQUIRE(gru_stack_sublayer(loaded, 2, NULL, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_update(layer, &none, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_update_from_file(loaded, file, NULL, NULL) == GRU_OK, "%s", gru_last_error());
    expect_output(fixture, loaded, y, "the updated stack");
    gru_stack_release(loaded);

    uint16_t other[4]; /* another learned initial state gives way, none is no place for it */
    const void *learned = fixture->layers[1].h0[0];
    tester_fill(other, GRU_BF16, 4, 1, 78);
    fixture->layers[1].h0[0] = other;
    REQUIRE(gru_stack_create(context, &fixture->config, &loaded) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_update_from_file(loaded, file, NULL, NULL) == GRU_OK, "%s", gru_last_error());
    expect_output(fixture, loaded, y, "the stack with another state");
    gru_stack_release(loaded);
    fixture->layers[1].h0[0] = NULL;
    REQUIRE(gru_stack_create(context, &fixture->config, &loaded) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_update_from_file(loaded, file, NULL, NULL) == GRU_BAD_DATA &&
              strstr(gru_last_error(), "has a learned initial state, and the stack has none"),
          "%s", gru_last_error());
    gru_stack_release(loaded);
    fixture->layers[1].h0[0] = learned;

    fixture->config.count = 1;
    REQUIRE(gru_stack_create(context, &fixture->config, &loaded) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_update_from_file(loaded, file, NULL, NULL) == GRU_BAD_DATA &&
              strstr(gru_last_error(), "has 3 sublayers, expected 2"),
          "%s", gru_last_error());
    gru_stack_release(loaded);
    fixture->config.count = 2, fixture->layers[1].config.clip = 0.5f;
    REQUIRE(gru_stack_create(context, &fixture->config, &loaded) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_update_from_file(loaded, file, NULL, NULL) == GRU_BAD_DATA &&
              strstr(gru_last_error(), "sublayer 2 of the file has another direction or variant"),
          "%s", gru_last_error());
    gru_stack_release(loaded);
    gru_file_close(file);
    stack_fixture_free(fixture);
    gru_context_release(context);
    CHECK(unlink(f.path) == 0 && rmdir(f.name) == 0, "something is left in %s", f.name);
}

/* A stack of two units in f16, whose weights and learned initial state are all this number. */
static gru_stack *make_small(gru_context *context, float number) {
    const float numbers[] = {number, number, number, number, number, number,
                             number, number, number, number, number, number};
    const gru_stack_layer layer = {.config = {.inputs = 1,
                                              .hidden = 2,
                                              .io_type = GRU_F16,
                                              .state_type = GRU_F16,
                                              .weight_type = GRU_F16},
                                   .weights = {{.W = numbers, .R = numbers}},
                                   .h0 = {numbers}};
    const gru_stack_config config = {.layers = &layer, .count = 1};
    gru_stack *stack = NULL;
    REQUIRE(gru_stack_create(context, &config, &stack) == GRU_OK, "%s", gru_last_error());
    return stack;
}

/* The numbers of a file may fit their places in a stack or not, the weights and the initial state. */
TEST(stack_save, an_update_that_is_refused_changes_nothing) {
    static const struct {
        float weight, state;
        const char *words;
    } files[] = {{2, 70000, "h0[0] is 70000, which f16 cannot hold"},
                 {70000, 2, "layer 0: weights.W[0] is 70000, which f16 cannot hold"},
                 {2, 3, NULL}};
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    gru_stack *stack = make_small(context, 1);
    for (int i = 0; i < 3; i++) {
        const float w = files[i].weight, h = files[i].state;
        const float W[6] = {w, w, w, w, w, w}, R[12] = {w, w, w, w, w, w, w, w, w, w, w, w}, h0[2] = {h, h};
        const gru_stack_layer layer = {
            .config = {.inputs = 1, .hidden = 2}, .weights = {{.W = W, .R = R}}, .h0 = {h0}};
        const gru_stack_config config = {.layers = &layer, .count = 1};
        const gru_status saved = gru_file_save(f.path, &config, NULL);
        if (saved == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
        REQUIRE(saved == GRU_OK, "%s", gru_last_error());
        gru_file *file = NULL;
        gru_states *states = NULL;
        gru_layer *held = NULL;
        float read[6];
        const gru_weights_out out = {.W = read};
        file_fixture_open(f.path, &file);
        const gru_status got = gru_stack_update_from_file(stack, file, NULL, NULL);
        CHECK(got == (files[i].words ? GRU_BAD_DATA : GRU_OK) &&
                  (!files[i].words || strstr(gru_last_error(), files[i].words)),
              "file %d: %s", i, gru_last_error());
        REQUIRE(gru_stack_sublayer(stack, 0, NULL, &held) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_read(held, &out, NULL) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_states_create(stack, 1, &states) == GRU_OK, "%s", gru_last_error());
        const double state = gru_load_double(gru_states_initial(states)[0], GRU_F16, 1);
        CHECK(read[0] == (files[i].words ? 1 : w), "file %d: the weights are %g", i, (double)read[0]);
        CHECK(state == (files[i].words ? 1 : (double)h), "file %d: the initial state is %g", i, state);
        gru_states_release(states);
        gru_file_close(file);
    }
    gru_stack_release(stack);
    gru_context_release(context);
    CHECK(unlink(f.path) == 0 && rmdir(f.name) == 0, "something is left in %s", f.name);
}

/* A forward layer and a reverse one on it have the sublayers of one layer of two directions. */
static gru_stack *make_layers(gru_context *context, const char *layers) {
    static const float zeros[12];
    gru_stack_layer made[3];
    const gru_stack_config config = {.layers = made, .count = (int32_t)strlen(layers)};
    gru_stack *stack = NULL;
    for (int32_t k = 0; k < config.count; k++)
        made[k] = (gru_stack_layer){.config = {.inputs = 2, .hidden = 2, .direction = layers[k] == 'r'},
                                    .bidirectional = layers[k] == 'b',
                                    .merge = GRU_MERGE_SUM,
                                    .weights = {{.W = zeros, .R = zeros}, {.W = zeros, .R = zeros}}};
    REQUIRE(gru_stack_create(context, &config, &stack) == GRU_OK, "%s", gru_last_error());
    return stack;
}

TEST(stack_save, layers_of_the_same_sublayers_are_told_apart) {
    static const char *const cases[][3] = {{"fr", "b", "the file has 1 layers, expected 2"},
                                           {"b", "fr", "the file has 2 layers, expected 1"},
                                           {"bfr", "frb", "layer 0 of the file has 1 directions, expected 2"},
                                           {"frb", "frb", NULL}};
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    for (int i = 0; i < 4; i++) {
        gru_stack *stack = make_layers(context, cases[i][0]), *saved = make_layers(context, cases[i][1]);
        gru_file *file = NULL;
        const gru_status status = gru_stack_save(f.path, saved, NULL, NULL, 0, NULL);
        if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
        file_fixture_open(f.path, &file);
        const gru_status got = gru_stack_update_from_file(stack, file, NULL, NULL);
        CHECK(cases[i][2] ? got == GRU_BAD_DATA && strstr(gru_last_error(), cases[i][2]) : got == GRU_OK,
              "%s from %s: %s", cases[i][0], cases[i][1], gru_last_error());
        gru_file_close(file);
        gru_stack_release(stack);
        gru_stack_release(saved);
    }
    gru_context_release(context);
    CHECK(unlink(f.path) == 0 && rmdir(f.name) == 0, "something is left in %s", f.name);
}

static void refuse_tensor(const file_folder *f, const gru_stack *stack, gru_named_tensor wrong,
                          const char *words) {
    const float six[6] = {0};
    const gru_named_tensor tensors[] = {
        {.name = "head", .data = six, .type = GRU_F32, .rank = 1, .shape = {6}}, wrong};
    const gru_status status = gru_stack_save(f->path, stack, "net.", tensors, 2, NULL);
    CHECK(status != GRU_OK && strstr(gru_last_error(), words), "expected \"%s\", got %s, \"%s\"", words,
          gru_status_name(status), gru_last_error());
    CHECK(access(f->path, F_OK) != 0, "a refused save wrote");
}

TEST(save, wrong_tensors_beside_a_stack_are_refused) {
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, specs, 2, sizes);
    gru_stack *stack = fixture->stack;
    if (gru_stack_save(f.path, NULL, NULL, NULL, 0, NULL) == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    CHECK(strstr(gru_last_error(), "stack is NULL"), "%s", gru_last_error());
    CHECK(gru_stack_save(f.path, stack, NULL, NULL, 2, NULL) == GRU_BAD_ARGUMENT, "tensors is NULL");
    CHECK(gru_stack_save(f.path, stack, NULL, NULL, -1, NULL) == GRU_BAD_ARGUMENT, "count is -1");
    CHECK(gru_stack_save(NULL, stack, NULL, NULL, 0, NULL) == GRU_BAD_ARGUMENT, "path is NULL");
    CHECK(gru_stack_update_from_file(NULL, NULL, NULL, NULL) == GRU_BAD_ARGUMENT, "stack is NULL");
    CHECK(gru_stack_update_from_file(stack, NULL, NULL, NULL) == GRU_BAD_ARGUMENT, "file is NULL");
#define WRONG(words, ...) refuse_tensor(&f, stack, (gru_named_tensor){__VA_ARGS__}, words)
    WRONG("tensors[1].name is NULL", .rank = 0);
    WRONG("tensors[1].name is \"head\", as that of tensors[0]", .name = "head");
    WRONG("tensors[1].name is not UTF-8", .name = "\xff");
    WRONG("a name that the stack's file needs itself", .name = "net.weight_ih_l0");
    WRONG("a name that the stack's file needs itself", .name = "net.h0_l9_reverse");
    WRONG("a name that the stack's file needs itself", .name = "__metadata__");
    WRONG("tensors[1].type is 4, expected f32", .name = "a", .type = GRU_INT8);
    WRONG("tensors[1].rank is 9", .name = "a", .rank = 9);
    WRONG("tensors[1].rank is -1", .name = "a", .rank = -1);
    WRONG("tensors[1].shape[1] is -2", .name = "a", .rank = 2, .shape = {1, -2});
    WRONG("expected less than", .name = "a", .rank = 3, .shape = {1ll << 40, 1ll << 40, 1});
    WRONG("tensors[1].data is NULL, expected 8 bytes", .name = "a", .rank = 1, .shape = {2});
    WRONG("tensors[1].reserved[1] is 3", .name = "a", .rank = 1, .reserved = {0, 3});
#undef WRONG
    stack_fixture_free(fixture);
    gru_context_release(context);
    CHECK(rmdir(f.name) == 0, "something is left in %s", f.name);
}
