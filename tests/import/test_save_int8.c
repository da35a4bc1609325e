/* test_save_int8.c: int8 weights, given and rounded, saved and loaded with the same integers, scales and bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/file_fixture.h"
#include "support/stack_fixture.h"

/* ---- weights that are given as integers ---- */

enum { T = 4, N = 2, I = 5, H = 3, TOP = 4, OUTPUTS = T * N * TOP };

/* Two directions of given integers, under a layer whose weights are given in f32. */
typedef struct sample {
    int8_t W[2][3 * H * I], R[2][3 * H * H];
    float W_scale[2][3 * H], R_scale[2][3 * H], bias[3 * H], state[TOP];
    float W_top[3 * TOP * 2 * H], R_top[3 * TOP * TOP];
    gru_stack_layer layers[2];
    gru_stack_config config;
} sample;

static void make_direction(sample *s, int d) {
    const uint64_t seed = 4 * (uint64_t)d;
    tester_fill(s->W[d], GRU_INT8, 3 * H * I, 127, seed),
        tester_fill(s->R[d], GRU_INT8, 3 * H * H, 127, seed + 1);
    tester_fill(s->W_scale[d], GRU_F32, 3 * H, 0.01, seed + 2);
    tester_fill(s->R_scale[d], GRU_F32, 3 * H, 0.01, seed + 3);
    s->W[d][7] = s->R[d][2] = -128, s->W_scale[d][4] = 0, s->R_scale[d][5] = -0.02f;
    s->layers[0].weights[d] = (gru_weights){.W = s->W[d],
                                            .R = s->R[d],
                                            .bR = d ? s->bias : NULL,
                                            .type = GRU_INT8,
                                            .W_scale = s->W_scale[d],
                                            .R_scale = s->R_scale[d]};
}

static void make_sample(sample *s) {
    memset(s, 0, sizeof *s);
    for (int d = 0; d < 2; d++) make_direction(s, d);
    tester_fill(s->bias, GRU_F32, 3 * H, 0.5, 20), tester_fill(s->state, GRU_F32, TOP, 0.5, 21);
    tester_fill(s->W_top, GRU_F32, 3 * TOP * 2 * H, 0.5, 22);
    tester_fill(s->R_top, GRU_F32, 3 * TOP * TOP, 0.5, 23);
    s->layers[0].config =
        (gru_layer_config){.inputs = I, .hidden = H, .reset_mode = GRU_RESET_BEFORE, .weight_type = GRU_INT8};
    s->layers[0].bidirectional = 1;
    s->layers[1].config = (gru_layer_config){.inputs = 2 * H, .hidden = TOP, .weight_type = GRU_INT8};
    s->layers[1].weights[0] = (gru_weights){.W = s->W_top, .R = s->R_top};
    s->layers[1].h0[0] = s->state;
    s->config = (gru_stack_config){.layers = s->layers, .count = 2};
}

static void run_stack(gru_context *context, const gru_stack *stack, float *y) {
    float x[T * N * I];
    gru_stack_run run = {.data = {.T = T, .N = N, .x.data = x, .y.data = y}};
    tester_fill(x, GRU_F32, T * N * I, 1, 30);
    REQUIRE(gru_stack_allocate(stack, &run.data) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
    gru_run_free(context, &run.data);
}

static void check_tensor(const gru_file *file, const char *name, int32_t type, const void *data,
                         size_t bytes) {
    gru_tensor tensor;
    REQUIRE(gru_file_tensor(file, name, &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.type == type && tensor.bytes == bytes && memcmp(tensor.data, data, bytes) == 0,
          "%s: type %d, %zu bytes, or another content", name, tensor.type, tensor.bytes);
}

static void check_integers(const gru_file *file, const sample *s) {
    check_tensor(file, "weight_ih_l0", GRU_INT8, s->W[0], sizeof s->W[0]);
    check_tensor(file, "weight_hh_l0_reverse", GRU_INT8, s->R[1], sizeof s->R[1]);
    check_tensor(file, "weight_ih_scale_l0_reverse", GRU_F32, s->W_scale[1], sizeof s->W_scale[1]);
    check_tensor(file, "weight_hh_scale_l0", GRU_F32, s->R_scale[0], sizeof s->R_scale[0]);
}

static void check_floats(const gru_file *file, const sample *s) {
    const float zeros[3 * H] = {0};
    check_tensor(file, "bias_ih_l0_reverse", GRU_F32, zeros, sizeof zeros);
    check_tensor(file, "bias_hh_l0_reverse", GRU_F32, s->bias, sizeof s->bias);
    check_tensor(file, "weight_hh_l1", GRU_F32, s->R_top, sizeof s->R_top);
    check_tensor(file, "h0_l1", GRU_F32, s->state, sizeof s->state);
}

static void require_saved(gru_status status) {
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
}

static void save_stack(const char *path, const gru_stack *stack) {
    require_saved(gru_stack_save(path, stack, NULL, NULL, 0, NULL));
}

static void remove_file(const file_folder *f) {
    CHECK(unlink(f->path) == 0 && rmdir(f->name) == 0, "something is left in %s", f->name);
}

TEST(save_int8, given_integers_are_saved_and_loaded_as_they_are) {
    static sample s;
    const file_folder f = file_fixture_folder();
    const gru_load_options int8 = {.weight_type = GRU_INT8};
    gru_context *context = tester_context(NULL, 1);
    gru_stack *made = NULL, *loaded = NULL;
    gru_file *file = NULL;
    float expected[OUTPUTS], y[OUTPUTS];
    make_sample(&s);
    require_saved(gru_file_save(f.path, &s.config, NULL));
    file_fixture_open(f.path, &file);
    check_integers(file, &s), check_floats(file, &s);
    REQUIRE(gru_stack_create(context, &s.config, &made) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_load(context, file, &int8, &loaded) == GRU_OK, "%s", gru_last_error());
    run_stack(context, made, expected), run_stack(context, loaded, y);
    CHECK(memcmp(y, expected, sizeof y) == 0, "the loaded stack computes something else");
    gru_file_close(file);
    save_stack(f.path, made);
    file_fixture_open(f.path, &file);
    check_integers(file, &s);
    gru_stack_release(made), gru_stack_release(loaded);
    gru_file_close(file);
    gru_context_release(context);
    remove_file(&f);
}

TEST(save_int8, scales_that_are_no_numbers_are_refused) {
    static sample s;
    const file_folder f = file_fixture_folder();
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 6; i++) {
        make_sample(&s);
        (i < 3 ? s.W_scale : s.R_scale)[1][2] = wrong[i % 3];
        const gru_status got = gru_file_save(f.path, &s.config, NULL);
        if (got == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
        CHECK(got == GRU_BAD_DATA && strstr(gru_last_error(), "config.layers[0], reverse: weights.") &&
                  strstr(gru_last_error(), "_scale[2] is ") && access(f.path, F_OK) != 0,
              "%g: %s, \"%s\"", (double)wrong[i % 3], gru_status_name(got), gru_last_error());
    }
    CHECK(rmdir(f.name) == 0, "something is left in %s", f.name);
}

/* ---- weights that a stack has rounded ---- */

static const layer_spec specs[] = {{.hidden = 3, .bidirectional = 1}, {.hidden = 20}};
static const stack_fixture_sizes sizes = {.T = T, .N = N, .I = I, .weights = GRU_INT8};

/* The same bits as the fixture's stack, which has run. */
static void expect_output(stack_fixture *fixture, const gru_stack *stack, const char *what) {
    const size_t bytes = stack_fixture_y_count(fixture) * sizeof(float);
    gru_stack_run run = fixture->run;
    run.data.y.data = stack_fixture_allocate(fixture, bytes);
    run.data.workspace = NULL;
    REQUIRE(gru_stack_allocate(stack, &run.data) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
    CHECK(memcmp(run.data.y.data, fixture->y, bytes) == 0, "%s computes something else", what);
    gru_run_free(fixture->context, &run.data);
}

/* Saves the stack again, and compares the bytes with those of the first time. */
static void expect_same_file(const char *path, const gru_stack *stack) {
    size_t size[2] = {0, 0};
    void *first = file_read(path, &size[0]);
    save_stack(path, stack);
    void *second = file_read(path, &size[1]);
    CHECK(first && second && size[0] == size[1] && memcmp(first, second, size[0]) == 0,
          "the stack is saved as other bytes");
    free(first), free(second);
}

/* Rounded numbers rounded again would get another scale. */
TEST(save_int8, a_stack_keeps_its_integers_in_a_file) {
    const file_folder f = file_fixture_folder();
    const gru_load_options int8 = {.weight_type = GRU_INT8};
    gru_context *context = tester_context(NULL, 1);
    stack_fixture *fixture = stack_fixture_make(context, specs, 2, sizes);
    gru_stack *loaded = NULL, *updated = NULL;
    gru_file *file = NULL;
    fixture->run.h0 = NULL;
    REQUIRE(gru_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
    save_stack(f.path, fixture->stack);
    file_fixture_open(f.path, &file);
    REQUIRE(gru_stack_load(context, file, &int8, &loaded) == GRU_OK, "%s", gru_last_error());
    expect_output(fixture, loaded, "the loaded stack");
    float *other = stack_fixture_allocate(fixture, 3 * 20 * 20 * sizeof *other);
    tester_fill(other, GRU_F32, 3 * 20 * 20, 1, 40);
    fixture->layers[1].weights[0].R = other;
    REQUIRE(gru_stack_create(context, &fixture->config, &updated) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_update_from_file(updated, file, NULL, NULL) == GRU_OK, "%s", gru_last_error());
    expect_output(fixture, updated, "the updated stack");
    gru_file_close(file);
    expect_same_file(f.path, updated);
    gru_stack_release(loaded), gru_stack_release(updated);
    stack_fixture_free(fixture);
    gru_context_release(context);
    remove_file(&f);
}
