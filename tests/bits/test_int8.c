/* test_int8.c: layers of int8 weights: exact within their bound, the same bits in all circumstances, and how weights become
 * int8. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/number.h"
#include "cpu/cpu_features.h"
#include "support/properties.h"

static problem *make_problem(const shape *sizes, int variant, uint32_t options, uint64_t draw) {
    return problem_of_weights(GRU_INT8, sizes, variant, options, draw);
}

static problem *problem_of_draw(int number, int draws, uint64_t draw, uint32_t options) {
    const int variant = number % draws ? (int)(tester_random(1, draw) % VARIANTS) : 0;
    return make_problem(&tester_shapes[number / draws], variant, options, draw);
}

/* ---- error ------------------------------------------------------------------------------------------------------- */

ENGINE_TEST(int8, agrees_on_every_variant) {
    static const shape sizes = {4, 3, 5, 19, "a panel and three units"};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < VARIANTS; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = make_problem(&sizes, i, problem_options((uint64_t)i + 300), (uint64_t)i);
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

ENGINE_TEST(int8, agrees_on_every_shape) {
    enum { DRAWS = 2 };
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < tester_shape_count * DRAWS; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_draw(i, DRAWS, (uint64_t)i + 900, problem_options((uint64_t)i + 900));
        CHECK(check_problem(p, context), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(context);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

/* The property of a drawn problem on every shape. */
static void for_shapes(const char *engine, property check) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < tester_shape_count; i++) {
        const uint64_t draw = (uint64_t)i + 50;
        if (!tester_takes((uint64_t)i)) continue;
        problem *p = problem_of_draw(2 * i + 1, 2, draw, problem_options(draw) & property_options);
        result plain;
        problem_run(p, context, &plain);
        check(context, p, &plain);
        result_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}

static gru_context *two_threads, *four_threads, *scalar;

static void check_threads(gru_context *context, const problem *p, const result *plain) {
    (void)context;
    property_elsewhere(two_threads, p, plain), property_elsewhere(four_threads, p, plain);
}

ENGINE_TEST(int8, bits_do_not_depend_on_threads) {
    ONLY_ON_THE_CPU(engine);
    two_threads = tester_context(engine, 2), four_threads = tester_context(engine, 4);
    for_shapes(engine, check_threads);
    gru_context_release(two_threads), gru_context_release(four_threads);
}

static void check_ways(gru_context *context, const problem *p, const result *plain) {
    if (scalar) property_elsewhere(scalar, p, plain);
    property_every_way(context, p, plain);
}

ENGINE_TEST(int8, bits_do_not_depend_on_the_way) {
    ONLY_ON_THE_CPU(engine);
    const int is_fast = strcmp(engine, "cpu_reference") != 0;
    scalar = is_fast ? tester_context("cpu_scalar", 1) : NULL;
    for_shapes(engine, check_ways);
    gru_context_release(scalar);
}

/* Where the processor multiplies and adds in one instruction, the same without it. */
static void check_plain_products(gru_context *context, const problem *p, const result *plain) {
    tester_hide_also(GRU_CPU_AVX512_VNNI);
    property_elsewhere(context, p, plain);
    tester_hide_also(0);
}

ENGINE_TEST(int8, bits_do_not_depend_on_the_instruction) {
    ONLY_ON_THE_CPU(engine);
    for_shapes(engine, check_plain_products);
}

/* ---- weights become int8 ------------------------------------------------------------------------------------------ */

enum { I = 3, H = 5, ROWS_OF = 3 * H };

typedef struct layer_of {
    gru_context *context;
    gru_layer *layer;
    double W[ROWS_OF * I], R[ROWS_OF * H]; /* as the layer holds them */
} layer_of;

static gru_layer_config small_config(int32_t reset_mode) {
    const gru_layer_config config = {
        .inputs = I, .hidden = H, .reset_mode = reset_mode, .weight_type = GRU_INT8};
    return config;
}

static void read_layer(layer_of *l, int32_t reset_mode, const gru_weights *weights) {
    const gru_layer_config config = small_config(reset_mode);
    const gru_weights_out out = {.W = l->W, .R = l->R, .type = GRU_F64};
    l->context = tester_context(NULL, 1);
    REQUIRE(gru_layer_create(l->context, &config, weights, &l->layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_read(l->layer, &out, NULL) == GRU_OK, "%s", gru_last_error());
    gru_layer_release(l->layer);
    gru_context_release(l->context);
}

/* The largest number of a row becomes 127 times the scale; every number is rounded to the nearest integer. */
static void check_rows(const char *what, const double *given, const double *held, int columns) {
    for (int row = 0; row < ROWS_OF; row++) {
        double largest = 0;
        for (int k = 0; k < columns; k++) largest = fmax(largest, fabs(given[row * columns + k]));
        const double scale = (double)(float)(largest / 127);
        for (int k = 0; k < columns; k++) {
            const double number = held[row * columns + k], error = fabs(number - given[row * columns + k]);
            const double expected = scale == 0 ? 0 : scale * rint(given[row * columns + k] / scale);
            CHECK(number == expected && error <= scale / 2 * (1 + 4e-7),
                  "%s[%d][%d] of %.9g is %.9g, expected %.9g", what, row, k, given[row * columns + k], number,
                  expected);
        }
    }
}

TEST(int8, weights_are_rounded_row_by_row) {
    static const int32_t types[] = {GRU_F32, GRU_F16, GRU_BF16, GRU_F64};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int32_t reset_mode = 0; reset_mode < 3; reset_mode++) {
            double room_W[ROWS_OF * I], room_R[ROWS_OF * H], W[ROWS_OF * I], R[ROWS_OF * H];
            const gru_weights weights = {.W = room_W, .R = room_R, .type = types[t]};
            layer_of l;
            tester_fill(room_W, types[t], ROWS_OF * I, 3, 1),
                tester_fill(room_R, types[t], ROWS_OF * H, 0.25, 2);
            for (size_t k = 0; k < I; k++)
                gru_store_float(room_W, types[t], 2 * I + k, 0.0f); /* a row of zeros */
            for (size_t i = 0; i < ROWS_OF * I; i++) W[i] = gru_load_double(room_W, types[t], i);
            for (size_t i = 0; i < ROWS_OF * H; i++) R[i] = gru_load_double(room_R, types[t], i);
            read_layer(&l, reset_mode, &weights);
            check_rows("W", W, l.W, I), check_rows("R", R, l.R, H);
        }
}

/* Halves go to the even neighbour: a row whose scale is exactly 1. */
TEST(int8, ties_go_to_even) {
    static const float row[I] = {127, 2.5f, -3.5f}, expected[I] = {127, 2, -4};
    float W[ROWS_OF * I], R[ROWS_OF * H] = {0};
    const gru_weights weights = {.W = W, .R = R};
    layer_of l;
    for (int i = 0; i < ROWS_OF * I; i++) W[i] = row[i % I];
    read_layer(&l, GRU_RESET_AFTER, &weights);
    for (int i = 0; i < ROWS_OF * I; i++)
        CHECK(l.W[i] == (double)expected[i % I], "%g became %g", (double)W[i], l.W[i]);
}

/* int8 weights that are given are kept, -128 and scales of 0 and below included. */
TEST(int8, given_integers_are_kept) {
    int8_t W[ROWS_OF * I], R[ROWS_OF * H];
    float W_scale[ROWS_OF], R_scale[ROWS_OF];
    const gru_weights weights = {.W = W, .R = R, .type = GRU_INT8, .W_scale = W_scale, .R_scale = R_scale};
    layer_of l;
    tester_fill(W, GRU_INT8, ROWS_OF * I, 127, 1), tester_fill(R, GRU_INT8, ROWS_OF * H, 127, 2);
    tester_fill(W_scale, GRU_F32, ROWS_OF, 1, 3), tester_fill(R_scale, GRU_F32, ROWS_OF, 1, 4);
    W[4] = R[7] = -128, W_scale[3] = 0;
    read_layer(&l, GRU_RESET_BEFORE, &weights);
    for (int i = 0; i < ROWS_OF * I; i++)
        CHECK(l.W[i] == (double)W[i] * (double)W_scale[i / I], "W[%d] is %.17g", i, l.W[i]);
    for (int i = 0; i < ROWS_OF * H; i++)
        CHECK(l.R[i] == (double)R[i] * (double)R_scale[i / H], "R[%d] is %.17g", i, l.R[i]);
}

/* Without inputs W has no rows, and needs no scales. */
TEST(int8, no_inputs_need_no_scales) {
    const gru_layer_config config = {.hidden = 1, .weight_type = GRU_INT8};
    const int8_t R[3] = {127, -128, 3};
    const float scales[3] = {0.5f, 0.25f, 2};
    const gru_weights weights = {.R = R, .type = GRU_INT8, .R_scale = scales};
    double held[3];
    const gru_weights_out out = {.R = held, .type = GRU_F64};
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = NULL;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_read(layer, &out, NULL) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < 3; i++) CHECK(held[i] == R[i] * (double)scales[i], "R[%d] is %.17g", i, held[i]);
    gru_layer_release(layer);
    gru_context_release(context);
}

/* ---- the largest sums --------------------------------------------------------------------------------------------- */

/* Every product as large as it can be: no sum of 32 bits overflows, in any number of inputs. */
ENGINE_TEST(int8, largest_sums_do_not_overflow) {
    static const int32_t sizes[] = {1, 2, 511, 512, 513, 4000, 65536};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int32_t K = sizes[i];
        const gru_layer_config config = {
            .inputs = K, .hidden = 1, .weight_type = GRU_INT8, .candidate = GRU_CANDIDATE_LINEAR};
        int8_t *W = tester_allocate(3 * (size_t)K);
        float *x = tester_allocate((size_t)K * sizeof *x), y = 0;
        const int8_t R[3] = {0};
        const float scales[3] = {1, 1, 1}, bW[3] = {0, -100, 0}; /* z is 0: y is the candidate */
        gru_layer *layer = NULL;
        memset(W, 0, 2 * (size_t)K), memset(W + 2 * (size_t)K, -128, (size_t)K);
        for (int32_t k = 0; k < K; k++) x[k] = -2;
        const gru_weights weights = {
            .W = W, .R = R, .bW = bW, .type = GRU_INT8, .W_scale = scales, .R_scale = scales};
        gru_run run = {.T = 1, .N = 1, .x.data = x, .y.data = &y};
        REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
        const double exact = 256.0 * K;
        CHECK(fabs((double)y - exact) <= exact * 3 * (double)FLT_EPSILON, "%d products of 256 are %.9g", K,
              (double)y);
        gru_run_free(context, &run);
        gru_layer_release(layer);
        tester_free(W), tester_free(x);
    }
    gru_context_release(context);
}

/* Rows too small for a scale, and the smallest that have one. */
ENGINE_TEST(int8, tiny_and_huge_inputs) {
    static const float sizes[] = {0,        0x1p-149f, 0x1p-126f, 0x1p-101f, 0x1p-100f,
                                  0x1p-30f, 0x1p100f,  1e37f,     0x1p127f};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    const gru_layer_config config = {
        .inputs = 1, .hidden = 1, .weight_type = GRU_INT8, .candidate = GRU_CANDIDATE_LINEAR};
    const float W[3] = {0, 0, 1}, R[3] = {0}, bW[3] = {0, -100, 0};
    const gru_weights weights = {.W = W, .R = R, .bW = bW};
    gru_layer *layer = NULL;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        float y = -1;
        gru_run run = {.T = 1, .N = 1, .x.data = &sizes[i], .y.data = &y};
        REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
        const double x = (double)sizes[i], bound = fmax(0x1p-115, x * 4 * (double)FLT_EPSILON);
        CHECK(fabs((double)y - x) <= bound, "%.9g became %.9g", x, (double)y);
        gru_run_free(context, &run);
    }
    gru_layer_release(layer);
    gru_context_release(context);
}

/* The largest scales and inputs whose products f32 can hold: no product of three factors overflows on the way. */
ENGINE_TEST(int8, extreme_scales) {
    static const struct {
        float scale, x;
    } cases[] = {{0x1p96f, 0x1p20f},     {0x1p96f, 0x1p-100f}, {0x1p-149f, 0x1p127f}, {-0x1p-126f, 1e37f},
                 {0x1p-100f, -0x1p127f}, {0, 0x1p127f},        {0x1p-60f, 0x1p-60f}};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 1);
    const gru_layer_config config = {
        .inputs = 1, .hidden = 1, .weight_type = GRU_INT8, .candidate = GRU_CANDIDATE_LINEAR};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int8_t W[3] = {0, 0, 127}, R[3] = {0};
        const float bW[3] = {0, -100, 0}, scales[3] = {0, 0, cases[i].scale}; /* z is 0: y is the candidate */
        const gru_weights weights = {
            .W = W, .R = R, .bW = bW, .type = GRU_INT8, .W_scale = scales, .R_scale = scales};
        gru_layer *layer = NULL;
        float y = -1;
        gru_run run = {.T = 1, .N = 1, .x.data = &cases[i].x, .y.data = &y};
        REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
        const double exact = 127.0 * (double)cases[i].scale * (double)cases[i].x;
        CHECK(fabs((double)y - exact) <= fabs(exact) * 4 * (double)FLT_EPSILON + FLT_MIN,
              "%g times %g is %g, expected %g", 127 * (double)cases[i].scale, (double)cases[i].x, (double)y,
              exact);
        gru_run_free(context, &run);
        gru_layer_release(layer);
    }
    gru_context_release(context);
}

/* ---- what is refused ---------------------------------------------------------------------------------------------- */

static void refused(gru_context *context, const gru_layer_config *config, const gru_weights *weights,
                    gru_status status, const char *words) {
    gru_layer *layer = NULL;
    const gru_status got = gru_layer_create(context, config, weights, &layer);
    CHECK(got == status && strstr(gru_last_error(), words) && !layer, "%s, \"%s\", expected \"%s\"",
          gru_status_name(got), gru_last_error(), words);
}

TEST(int8, wrong_numbers_have_their_sentences) {
    gru_context *context = tester_context(NULL, 1);
    gru_layer_config config = small_config(GRU_RESET_AFTER);
    float W[ROWS_OF * I] = {0}, R[ROWS_OF * H] = {0}, scales[ROWS_OF] = {0};
    double wide[ROWS_OF * H] = {0};
    const int8_t integers[ROWS_OF * H] = {0};
    gru_weights weights = {.W = W, .R = R};
    W[4] = NAN;
    refused(context, &config, &weights, GRU_BAD_DATA, "weights.W[4] is nan, expected a finite number");
    W[4] = 0, R[7] = -INFINITY;
    refused(context, &config, &weights, GRU_BAD_DATA, "weights.R[7] is -inf, expected a finite number");
    weights.W = weights.R = wide, weights.type = GRU_F64, wide[1] = 1.01e31;
    refused(context, &config, &weights, GRU_BAD_DATA,
            "weights.W[1] is 1.01e+31, expected a finite number, up to");
    weights.W = weights.R = integers, weights.W_scale = weights.R_scale = scales, weights.type = GRU_INT8;
    scales[2] = NAN;
    refused(context, &config, &weights, GRU_BAD_DATA, "weights.W_scale[2] is nan, expected a finite scale");
    scales[2] = -0x1.1p96f;
    refused(context, &config, &weights, GRU_BAD_DATA,
            "weights.W_scale[2] is -8.41799e+28, expected a finite scale, up to 2^96");
    config.hidden = 65537;
    refused(context, &config, NULL, GRU_BAD_ARGUMENT,
            "hidden 65537, expected at most 65536 with int8 weights");
    gru_context_release(context);
}

TEST(int8, training_is_refused) {
    static const shape sizes = {4, 3, I, H, "small"};
    static const int32_t modes[] = {GRU_TRAIN, GRU_TRAIN_RECOMPUTE};
    gru_context *context = tester_context(NULL, 1);
    problem *p = make_problem(&sizes, 0, 0, 2);
    const gru_gradients none = GRU_INIT;
    result r;
    problem_run(p, context, &r);
    for (int i = 0; i < 2; i++) {
        gru_run run = r.run;
        run.mode = modes[i];
        CHECK(gru_layer_forward(r.layer, &run) == GRU_UNSUPPORTED && strstr(gru_last_error(), "int8"), "%s",
              gru_last_error());
        CHECK(gru_layer_backward(r.layer, &run, &none) == GRU_UNSUPPORTED && strstr(gru_last_error(), "int8"),
              "%s", gru_last_error());
    }
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}
