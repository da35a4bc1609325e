/* test_api.c: every argument of layers, wrong in every way; nothing may have been written. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "support/device_mirror.h"
#include "support/problem.h"
#include "support/refusal.h"

/* ---- layers ------------------------------------------------------------------------------------------------------- */

typedef struct fixture {
    gru_context *context;
    problem *p;
    result r;
} fixture;

static void set_up(fixture *f) {
    const shape sizes = {2, 2, 3, 5, "small"};
    const gru_layer_config config = GRU_INIT;
    f->context = tester_context(NULL, 1);
    f->p = problem_make(&sizes, &config, PROBLEM_PACKED, 1);
    problem_run(f->p, f->context, &f->r);
}

static void tear_down(fixture *f) {
    result_free(&f->r);
    problem_free(f->p);
    gru_context_release(f->context);
}

static void layer_refused(const fixture *f, const gru_layer_config *config, const gru_weights *weights,
                          gru_status expected, const char *what, const char *name, const char *value) {
    gru_layer *layer = f->r.layer;
    check_refusal(gru_layer_create(f->context, config, weights, &layer), expected, what, name, value);
    CHECK(layer == f->r.layer, "%s: *layer was written", what);
}

#define CONFIG_REFUSED(change, expected, name, value)                                    \
    do {                                                                                 \
        gru_layer_config config = f.p->config;                                           \
        change;                                                                          \
        layer_refused(&f, &config, &f.p->weights, (expected), #change, (name), (value)); \
    } while (0)

TEST(api, layer_configurations) {
    fixture f;
    set_up(&f);
    gru_layer *layer = NULL;
    REFUSED(gru_layer_create(NULL, &f.p->config, &f.p->weights, &layer), "context", "NULL");
    REFUSED(gru_layer_create(f.context, NULL, &f.p->weights, &layer), "config", "NULL");
    REFUSED(gru_layer_create(f.context, &f.p->config, &f.p->weights, NULL), "layer", "NULL");
    CHECK(!layer, "a refused layer was made");
    CONFIG_REFUSED(config.inputs = -1, GRU_BAD_ARGUMENT, "config.inputs", "-1");
    CONFIG_REFUSED(config.inputs = INT_MAX, GRU_BAD_ARGUMENT, "config.inputs", "2147483647");
    CONFIG_REFUSED(config.hidden = 0, GRU_BAD_ARGUMENT, "config.hidden", "0");
    CONFIG_REFUSED(config.hidden = INT_MIN, GRU_BAD_ARGUMENT, "config.hidden", "-2147483648");
    CONFIG_REFUSED(config.hidden = INT_MAX, GRU_BAD_ARGUMENT, "config.hidden", "2147483647");
    CONFIG_REFUSED((config.inputs = 1 << 24, config.hidden = 1 << 24), GRU_OUT_OF_MEMORY, "memory", "bytes");
    CONFIG_REFUSED(config.reset_mode = 3, GRU_BAD_ARGUMENT, "config.reset_mode", "3");
    CONFIG_REFUSED(config.update = 2, GRU_BAD_ARGUMENT, "config.update", "2");
    CONFIG_REFUSED(config.gate = -1, GRU_BAD_ARGUMENT, "config.gate", "-1");
    CONFIG_REFUSED(config.candidate = 3, GRU_BAD_ARGUMENT, "config.candidate", "3");
    CONFIG_REFUSED(config.direction = 2, GRU_BAD_ARGUMENT, "config.direction", "2");
    CONFIG_REFUSED(config.io_type = GRU_INT8, GRU_BAD_ARGUMENT, "config.io_type is int8 (4)",
                   "f32, f16, bf16 or f64");
    CONFIG_REFUSED(config.io_type = GRU_F64, GRU_BAD_ARGUMENT, "config.io_type", "f64");
    CONFIG_REFUSED(config.state_type = 7, GRU_BAD_ARGUMENT, "config.state_type", "7");
    CONFIG_REFUSED(config.state_type = GRU_F16, GRU_BAD_ARGUMENT, "config.state_type", "f16");
    CONFIG_REFUSED((config.io_type = GRU_F16, config.state_type = GRU_BF16), GRU_BAD_ARGUMENT,
                   "config.state_type", "bf16");
    CONFIG_REFUSED(config.weight_type = 5, GRU_BAD_ARGUMENT, "config.weight_type", "f64 or int8");
    CONFIG_REFUSED(config.weight_type = GRU_F64, GRU_BAD_ARGUMENT, "weight_type", "f64");
    CONFIG_REFUSED(config.clip = -1, GRU_BAD_ARGUMENT, "config.clip", "-1");
    CONFIG_REFUSED(config.clip = NAN, GRU_BAD_ARGUMENT, "config.clip", "nan");
    CONFIG_REFUSED(config.clip = INFINITY, GRU_BAD_ARGUMENT, "config.clip", "inf");
    CONFIG_REFUSED(config.hard_slope = -0.5f, GRU_BAD_ARGUMENT, "config.hard_slope", "-0.5");
    CONFIG_REFUSED(config.hard_slope = NAN, GRU_BAD_ARGUMENT, "config.hard_slope", "nan");
    CONFIG_REFUSED(config.hard_slope = INFINITY, GRU_BAD_ARGUMENT, "config.hard_slope", "inf");
    for (int i = 0; i < 6; i++)
        CONFIG_REFUSED(config.reserved[i] = 9, GRU_BAD_ARGUMENT, "config.reserved", "9");
    tear_down(&f);
}

/* A wrong number of an activation, or a number that it does not take; a row each. */
TEST(api, activations) {
    enum { FIRST = GRU_ACTIVATION_SIGMOID, LAST = GRU_ACTIVATION_MISH };
    fixture f;
    set_up(&f);
    CONFIG_REFUSED(config.gate = 2, GRU_BAD_ARGUMENT, "config.gate is 2", "16 to 36");
    CONFIG_REFUSED(config.gate = FIRST - 1, GRU_BAD_ARGUMENT, "config.gate is 15", "16 to 36");
    CONFIG_REFUSED(config.gate = LAST + 1, GRU_BAD_ARGUMENT, "config.gate is 37", "16 to 36");
    CONFIG_REFUSED(config.candidate = LAST + 1, GRU_BAD_ARGUMENT, "config.candidate is 37", "16 to 36");
    CONFIG_REFUSED(config.candidate = INT_MIN, GRU_BAD_ARGUMENT, "config.candidate", "-2147483648");
    CONFIG_REFUSED(config.gate_alpha = 0.5f, GRU_BAD_ARGUMENT, "config.gate_alpha is 0.5",
                   "gate 0 (sigmoid) takes no alpha");
    CONFIG_REFUSED((config.gate = GRU_GATE_HARD_SIGMOID, config.gate_alpha = 0.5f), GRU_BAD_ARGUMENT,
                   "config.gate_alpha is 0.5", "gate 1 (hard_sigmoid) takes no alpha");
    CONFIG_REFUSED((config.gate = GRU_GATE_HARD_SIGMOID, config.gate_beta = NAN), GRU_BAD_ARGUMENT,
                   "config.gate_beta is nan", "a finite number for hard_sigmoid");
    CONFIG_REFUSED(config.candidate_alpha = NAN, GRU_BAD_ARGUMENT, "config.candidate_alpha is nan",
                   "candidate 0 (tanh) takes no alpha");
    CONFIG_REFUSED((config.candidate = GRU_ACTIVATION_ELU, config.candidate_beta = 1), GRU_BAD_ARGUMENT,
                   "config.candidate_beta is 1", "candidate 25 (elu) takes no beta");
    CONFIG_REFUSED((config.candidate = GRU_ACTIVATION_ELU, config.candidate_alpha = -1), GRU_BAD_ARGUMENT,
                   "config.candidate_alpha is -1", "0 (for the default) or more, for elu");
    CONFIG_REFUSED((config.gate = GRU_ACTIVATION_LEAKY_RELU, config.gate_alpha = -0.1f), GRU_BAD_ARGUMENT,
                   "config.gate_alpha is -0.1", "or more, for leaky_relu");
    CONFIG_REFUSED((config.gate = GRU_ACTIVATION_THRESHOLDED_RELU, config.gate_alpha = -2), GRU_BAD_ARGUMENT,
                   "config.gate_alpha is -2", "or more, for thresholded_relu");
    CONFIG_REFUSED((config.gate = GRU_ACTIVATION_HARD_SIGMOID, config.gate_alpha = -2), GRU_BAD_ARGUMENT,
                   "config.gate_alpha is -2", "or more, for hard_sigmoid");
    CONFIG_REFUSED((config.gate = GRU_ACTIVATION_AFFINE, config.gate_alpha = NAN), GRU_BAD_ARGUMENT,
                   "config.gate_alpha is nan", "a finite number for affine");
    CONFIG_REFUSED((config.gate = GRU_ACTIVATION_SCALED_TANH, config.gate_beta = INFINITY), GRU_BAD_ARGUMENT,
                   "config.gate_beta is inf", "a finite number for scaled_tanh");
    CONFIG_REFUSED((config.candidate = GRU_ACTIVATION_AFFINE, config.candidate_beta = NAN), GRU_BAD_ARGUMENT,
                   "config.candidate_beta is nan", "a finite number for affine");
    for (int32_t k = FIRST; k <= LAST; k++) { /* every one is accepted with zeros, in both places */
        gru_layer_config config = f.p->config;
        gru_layer *layer = NULL;
        config.gate = config.candidate = k;
        CHECK(gru_layer_create(f.context, &config, &f.p->weights, &layer) == GRU_OK, "%d: %s", k,
              gru_last_error());
        gru_layer_release(layer);
    }
    tear_down(&f);
}

static void bytes_of_layer(const fixture *f, float y[20]) {
    result r = f->r;
    gru_run run = r.run;
    run.packed = NULL;
    run.y.data = y;
    run.hT = NULL;
    REQUIRE(gru_layer_forward(r.layer, &run) == GRU_OK, "%s", gru_last_error());
}

/* Wrong weights are refused alike when a layer is made (which may have none), updated and packed, and the old ones stay. */
static void weights_refused(const fixture *f, const gru_weights *weights, const char *what, const char *name,
                            const char *value) {
    float before[20], after[20];
    void *packed = tester_allocate(f->r.sizes.packed);
    if (weights) layer_refused(f, &f->p->config, weights, GRU_BAD_ARGUMENT, what, name, value);
    bytes_of_layer(f, before);
    check_refusal(gru_layer_update(f->r.layer, weights, NULL), GRU_BAD_ARGUMENT, what, name, value);
    bytes_of_layer(f, after);
    CHECK(memcmp(before, after, sizeof before) == 0, "%s: the layer's weights changed", what);
    check_refusal(gru_layer_pack(f->r.layer, weights, packed, NULL), GRU_BAD_ARGUMENT, what, name, value);
    CHECK(tester_untouched(packed, f->r.sizes.packed), "%s: packed was written", what);
    tester_free(packed);
}

#define WEIGHTS_REFUSED(change, name, value)                     \
    do {                                                         \
        gru_weights weights = f.p->weights;                      \
        change;                                                  \
        weights_refused(&f, &weights, #change, (name), (value)); \
    } while (0)

TEST(api, weights) {
    fixture f;
    float scale[15] = {0};
    set_up(&f);
    const void *odd = (const char *)f.p->weights.W + 2;
    weights_refused(&f, NULL, "no weights", "weights", "NULL");
    WEIGHTS_REFUSED(weights.W = NULL, "weights.W", "[15][3]");
    WEIGHTS_REFUSED(weights.R = NULL, "weights.R", "[15][5]");
    WEIGHTS_REFUSED(weights.type = -1, "weights.type", "-1");
    WEIGHTS_REFUSED(weights.type = 5, "weights.type", "5");
    WEIGHTS_REFUSED(weights.on_device = 2, "weights.on_device", "2");
    WEIGHTS_REFUSED(weights.on_device = 1, "weights.on_device", "CPU");
    WEIGHTS_REFUSED(weights.W = odd, "weights.W", "multiple");
    WEIGHTS_REFUSED(weights.R = odd, "weights.R", "multiple");
    WEIGHTS_REFUSED(weights.bW = odd, "weights.bW", "multiple");
    WEIGHTS_REFUSED(weights.bR = odd, "weights.bR", "multiple");
    WEIGHTS_REFUSED(weights.type = GRU_INT8, "weights.R_scale", "NULL");
    WEIGHTS_REFUSED((weights.type = GRU_INT8, weights.R_scale = scale), "weights.W_scale", "NULL");
    WEIGHTS_REFUSED((weights.type = GRU_INT8, weights.R_scale = scale, weights.W_scale = odd),
                    "weights.W_scale", "multiple");
    WEIGHTS_REFUSED(weights.W_scale = scale, "weights.W_scale is given", "int8");
    for (int i = 0; i < 4; i++) WEIGHTS_REFUSED(weights.reserved[i] = 8, "weights.reserved", "8");
    tear_down(&f);
}

TEST(api, layer_calls) {
    fixture f;
    set_up(&f);
    gru_layer_config config;
    gru_sizes sizes;
    gru_weights inside = f.p->weights;
    char *packed = tester_allocate(f.r.sizes.packed);
    memset(&config, 0xFF, sizeof config);
    memset(&sizes, 0xFF, sizeof sizes);
    REFUSED(gru_layer_describe(NULL, &config), "layer", "NULL");
    REFUSED(gru_layer_describe(f.r.layer, NULL), "config", "NULL");
    REFUSED(gru_layer_update(NULL, &f.p->weights, NULL), "layer", "NULL");
    REFUSED(gru_layer_update(f.r.layer, &f.p->weights, packed), "stream", "CPU");
    REFUSED(gru_layer_pack(NULL, &f.p->weights, packed, NULL), "layer", "NULL");
    REFUSED(gru_layer_pack(f.r.layer, &f.p->weights, NULL, NULL), "packed", "aligned to 64");
    REFUSED(gru_layer_pack(f.r.layer, &f.p->weights, packed + 32, NULL), "packed", "aligned to 64");
    REFUSED(gru_layer_pack(f.r.layer, &f.p->weights, packed, packed), "stream", "CPU");
    inside.bR = packed + 64;
    REFUSED(gru_layer_pack(f.r.layer, &inside, packed, NULL), "weights.bR", "packed");
    CHECK(tester_untouched(packed, f.r.sizes.packed), "a refused gru_layer_pack wrote");
    REFUSED(gru_layer_sizes(NULL, 1, 1, &sizes), "layer", "NULL");
    REFUSED(gru_layer_sizes(f.r.layer, 1, 1, NULL), "sizes", "NULL");
    REFUSED(gru_layer_sizes(f.r.layer, -1, 1, &sizes), "T is -1", "0 or more");
    REFUSED(gru_layer_sizes(f.r.layer, 1, INT64_MIN, &sizes), "N is -9223372036854775808", "0 or more");
    REFUSED(gru_layer_sizes(f.r.layer, INT64_MAX, INT64_MAX, &sizes), "T is 9223372036854775807",
            "addresses");
    REFUSED(gru_layer_sizes(f.r.layer, INT64_MAX, 1, &sizes), "T is 9223372036854775807", "addresses");
    REFUSED(gru_layer_sizes(f.r.layer, 0, INT64_MAX, &sizes), "N is 9223372036854775807", "addresses");
    CHECK(tester_untouched(&config, sizeof config) && tester_untouched(&sizes, sizeof sizes),
          "a refused call wrote its result");
    tester_free(packed);
    gru_layer_release(NULL);
    tear_down(&f);
}

TEST(api, defaults_are_described) {
    fixture f;
    set_up(&f);
    gru_layer_config config = GRU_INIT;
    CHECK(gru_layer_describe(f.r.layer, &config) == GRU_OK, "%s", gru_last_error());
    CHECK(config.inputs == 3 && config.hidden == 5 && config.hard_slope == 0.2f && config.clip == 0,
          "I %d, H %d, slope %g, clip %g", config.inputs, config.hidden, (double)config.hard_slope,
          (double)config.clip);
    tear_down(&f);
}

/* ---- sizes, updates, lifetimes -------------------------------------------------------------------------------------- */

static int less(gru_sizes a, gru_sizes b) {
    return a.workspace < b.workspace || a.backward_workspace < b.backward_workspace ||
           a.reserve < b.reserve || a.reserve_recompute < b.reserve_recompute;
}

/* A server sizes once: more steps or rows never need less. The reserve is A + B T N, for callers that compute with symbols. */
ENGINE_TEST(api, sizes_grow_with_steps_and_rows) {
    gru_context *context = tester_context(engine, 4);
    for (int i = 0; i < VARIANTS; i += 5) {
        const shape sizes = {1, 1, 40, 1 + i % 7 * 50, "any"};
        gru_layer_config config = problem_variant(i);
        problem_types(&config, i % problem_type_count(context));
        problem *p = problem_make(&sizes, &config, 0, 1);
        result r;
        REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
        gru_sizes none, one, here, longer, wider;
        REQUIRE(gru_layer_sizes(r.layer, 0, 0, &none) == GRU_OK &&
                    gru_layer_sizes(r.layer, 1, 1, &one) == GRU_OK,
                "%s", gru_last_error());
        for (int64_t T = 0; T < 300; T += 1 + T / 5)
            for (int64_t N = 0; N < 300; N += 1 + N / 5) {
                REQUIRE(gru_layer_sizes(r.layer, T, N, &here) == GRU_OK &&
                            gru_layer_sizes(r.layer, T + 1, N, &longer) == GRU_OK &&
                            gru_layer_sizes(r.layer, T, N + 1, &wider) == GRU_OK,
                        "%s", gru_last_error());
                CHECK(
                    here.reserve == none.reserve + (one.reserve - none.reserve) * (size_t)(T * N),
                    "T %lld, N %lld: the reserve of %zu bytes is not %zu and %zu for each row of a step: %s",
                    (long long)T, (long long)N, here.reserve, none.reserve, one.reserve - none.reserve,
                    p->text);
                const size_t number = p->config.io_type == GRU_F64 ? sizeof(double) : sizeof(float);
                const size_t states = 64 + (size_t)(T * N * sizes.H) * number;
                CHECK(here.reserve_recompute == states && states <= here.reserve,
                      "T %lld, N %lld: %zu bytes where backward recomputes, %zu else, %zu of states: %s",
                      (long long)T, (long long)N, here.reserve_recompute, here.reserve, states, p->text);
                CHECK(!less(longer, here) && !less(wider, here),
                      "T %lld, N %lld need more than one step or row more: %s", (long long)T, (long long)N,
                      p->text);
            }
        result_free(&r);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(api, updated_layers_equal_new_ones) {
    const shape sizes = {3, 2, 4, 19, "a panel and three units"};
    gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(engine, 1);
    config.reset_mode = GRU_RESET_BEFORE;
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    problem *other = problem_make(&sizes, &config, PROBLEM_H0, 2);
    result fresh, updated;
    problem_run(p, context, &fresh);
    problem_run(other, context, &updated);
    result_free(&updated);
    REQUIRE(problem_open(p, context, &updated) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_layer_update(updated.layer, &other->weights, NULL) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_layer_update(updated.layer, &p->weights, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_wait(context, NULL) == GRU_OK, "%s", gru_last_error()); /* the run may be on another stream */
    REQUIRE(problem_call(p, &updated) == GRU_OK, "%s", gru_last_error());
    check_same_bits(p, "y", fresh.y, updated.y);
    result_free(&fresh), result_free(&updated);
    problem_free(p), problem_free(other);
    gru_context_release(context);
}

/* Weights that come with each run: the bits of a layer that has them, streaming too. Without any a run is refused. */
ENGINE_TEST(api, layers_without_weights_run_on_packed_ones) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < 2; i++) {
        const shape sizes =
            i ? (shape){1, 1, 4, 19, "one step"} : (shape){3, 2, 4, 19, "a panel and three units"};
        const gru_layer_config config = GRU_INIT;
        problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
        result own, bare;
        problem_run(p, context, &own), problem_run(p, context, &bare);
        gru_layer *layer = NULL;
        REQUIRE(gru_layer_create(context, &p->config, NULL, &layer) == GRU_OK, "%s", gru_last_error());
        gru_layer_release(bare.layer);
        bare.layer = layer;
        void *packed = tester_allocate(own.sizes.packed);
        CHECK(problem_call(p, &bare) == GRU_BAD_ARGUMENT && strstr(gru_last_error(), "run.packed is NULL"),
              "%s", gru_last_error());
        CHECK(gru_layer_update(layer, &p->weights, NULL) == GRU_BAD_ARGUMENT &&
                  strstr(gru_last_error(), "created without weights"),
              "%s", gru_last_error());
        REQUIRE(device_mirror_pack(layer, &p->weights, packed) == GRU_OK, "%s", gru_last_error());
        bare.run.packed = packed;
        REQUIRE(problem_call(p, &bare) == GRU_OK, "%s", gru_last_error());
        check_same_bits(p, "y", own.y, bare.y);
        result_free(&own), result_free(&bare);
        tester_free(packed);
        problem_free(p);
    }
    gru_context_release(context);
}

/* int8 weights with a scale per row are the f32 weights that they stand for, in layers of f32 and of f64. */
static void check_int8_weights(int32_t type) {
    enum { I = 3, H = 5 };
    const shape sizes = {3, 2, I, H, "small"};
    gru_layer_config config = GRU_INIT;
    config.io_type = config.state_type = config.weight_type = type;
    gru_context *context = tester_context(NULL, 1);
    int8_t W[3 * H * I], R[3 * H * H];
    float W_scale[3 * H], R_scale[3 * H], W_float[3 * H * I], R_float[3 * H * H];
    tester_fill(W, GRU_INT8, 3 * H * I, 127, 1), tester_fill(R, GRU_INT8, 3 * H * H, 127, 2);
    tester_fill(W_scale, GRU_F32, 3 * H, 0.01, 3), tester_fill(R_scale, GRU_F32, 3 * H, 0.01, 4);
    for (int i = 0; i < 3 * H * I; i++) W_float[i] = (float)W[i] * W_scale[i / I];
    for (int i = 0; i < 3 * H * H; i++) R_float[i] = (float)R[i] * R_scale[i / H];
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    gru_weights products = p->weights;
    result a, b;
    problem_run(p, context, &a), problem_run(p, context, &b);
    products.W = W_float, products.R = R_float, products.bW = products.bR = NULL;
    products.type = GRU_F32;
    CHECK(gru_layer_update(a.layer, &products, NULL) == GRU_OK, "%s", gru_last_error());
    products.type = GRU_INT8;
    products.W = W, products.R = R, products.W_scale = W_scale, products.R_scale = R_scale;
    CHECK(gru_layer_update(b.layer, &products, NULL) == GRU_OK, "%s", gru_last_error());
    REQUIRE(problem_call(p, &a) == GRU_OK && problem_call(p, &b) == GRU_OK, "%s", gru_last_error());
    check_same_bits(p, "y", a.y, b.y);
    result_free(&a), result_free(&b);
    problem_free(p);
    gru_context_release(context);
}

TEST(api, int8_weights_are_their_products) {
    check_int8_weights(GRU_F32);
    check_int8_weights(GRU_F64);
}

/* Layers keep their context alive. */
ENGINE_TEST(api, contexts_may_be_released_first) {
    const shape sizes = {3, 2, 4, 19, "any"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(engine, 2);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result r;
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s", gru_last_error());
    gru_context_release(context);
    CHECK(problem_call(p, &r) == GRU_OK, "%s", gru_last_error());
    result_free(&r);
    problem_free(p);
}
