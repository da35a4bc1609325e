/* test_import.c: the weight orders of other libraries, against arrays written out, golden files and the function itself. */
#include <math.h>

#include "order_case.h"

TEST(import, every_number_of_every_order) {
    int seen[ORDERS] = {0};
    for (int i = 0; i < ORDER_CASES; i++) {
        const order_case *c = &order_cases[i];
        const gru_layer_config variant = shape_of(I3, H2, c->reset_mode, GRU_UPDATE_KEEP);
        const gru_framework_weights source = foreign_of(c);
        const native_weights want = expected(c);
        native_weights got;
        memset(&got, 0, sizeof got);
        const gru_native_weights target = target_of(&got);
        REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "case %d: %s", i, gru_last_error());
        CHECK(memcmp(&got, &want, sizeof got) == 0, "order %d, reset %d: other numbers came in", c->order,
              c->reset_mode);
        size_t counts[8];
        REQUIRE(gru_order_counts(c->order, &variant, counts) == GRU_OK, "%s", gru_last_error());
        for (int a = 0; a < 8; a++)
            CHECK(counts[a] == c->counts[a], "order %d: counts[%d] is %zu, expected %zu", c->order, a,
                  counts[a], c->counts[a]);
        seen[c->order] = 1;
    }
    for (int order = 0; order < ORDERS; order++) CHECK(seen[order], "order %d has no case", order);
}

TEST(import, export_writes_the_same_numbers) {
    static framework_buffer out;
    for (int i = 0; i < ORDER_CASES; i++) {
        const order_case *c = &order_cases[i];
        const gru_layer_config variant = shape_of(I3, H2, c->reset_mode, GRU_UPDATE_KEEP);
        const native_weights numbers = expected(c);
        const gru_weights weights = weights_of(&numbers);
        make_target(&out, c->order, &variant);
        REQUIRE(gru_export(&weights, &variant, &out.target) == GRU_OK, "case %d: %s", i, gru_last_error());
        for (int a = 0; a < 4; a++) {
            CHECK(memcmp(out.arrays[a], c->arrays[a], c->counts[a] * sizeof(float)) == 0,
                  "order %d, reset %d: array %d has other numbers", c->order, c->reset_mode, a);
            CHECK(isnan(out.arrays[a][c->counts[a]]), "order %d: array %d was written past its end", c->order,
                  a);
        }
    }
}

TEST(import, round_trip_of_larger_layers) {
    static const int32_t sizes[][2] = {{0, 1}, {1, 1}, {1, 5}, {7, 3}, {5, 16}, {17, 9}};
    static framework_buffer out;
    for (int i = 0; i < ORDER_CASES; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int update = GRU_UPDATE_KEEP; update <= GRU_UPDATE_WRITE; update++) {
                const order_case *c = &order_cases[i];
                const int32_t I = sizes[s][0], H = sizes[s][1];
                const gru_layer_config variant = shape_of(I, H, c->reset_mode, GRU_UPDATE_KEEP);
                native_weights numbers, back;
                fill(&numbers, I, H, (uint64_t)i);
                for (int32_t j = 0; j < 3 * H; j++)
                    if (c->recurrent == RECURRENT_NONE || (c->recurrent == RECURRENT_N && j < 2 * H))
                        numbers.bR[j] = 0;
                memset(&back, 0, sizeof back);
                const gru_weights weights = weights_of(&numbers);
                make_target(&out, c->order, &variant);
                out.target.update = update; /* twice the same change of sign is none */
                REQUIRE(gru_export(&weights, &variant, &out.target) == GRU_OK, "%s", gru_last_error());
                const gru_framework_weights source = source_of(&out);
                const gru_native_weights target = target_of(&back);
                REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "%s", gru_last_error());
                for (int32_t j = 0; j < 3 * H; j++) back.bR[j] += 0.0f; /* -0 */
                CHECK(memcmp(&back, &numbers, sizeof back) == 0,
                      "order %d, I %d, H %d, update %d came back changed", c->order, I, H, update);
            }
}

TEST(import, missing_biases_are_zeros) {
    static framework_buffer out;
    for (int i = 0; i < ORDER_CASES; i++) {
        const order_case *c = &order_cases[i];
        const gru_layer_config variant = shape_of(I3, H2, c->reset_mode, GRU_UPDATE_KEEP);
        gru_framework_weights source = foreign_of(c);
        const int first_bias = c->order == GRU_ORDER_TF1 || c->order == GRU_ORDER_TFLITE ? 1 : 2;
        source.arrays[first_bias] = source.arrays[3] = NULL;
        source.counts[first_bias] = 0;
        native_weights got;
        memset(&got, 0xff, sizeof got);
        const gru_native_weights target = target_of(&got);
        REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "case %d: %s", i, gru_last_error());
        for (int j = 0; j < 3 * H2; j++)
            CHECK(got.bW[j] == 0 && got.bR[j] == 0, "order %d: bias %d is %g, %g", c->order, j,
                  (double)got.bW[j], (double)got.bR[j]);
        gru_weights weights = weights_of(&got);
        weights.bW = weights.bR = NULL;
        make_target(&out, c->order, &variant);
        REQUIRE(gru_export(&weights, &variant, &out.target) == GRU_OK, "%s", gru_last_error());
        CHECK(out.arrays[first_bias][0] == 0, "order %d: a bias from nowhere", c->order);
    }
}

/* ---- the same function ---- */

enum { T = 5, N = 3, MOST_Y = T * N * 16 };

/* y [T][N][H] of the reference in double precision. */
static void run(const native_weights *native, gru_layer_config config, double *y) {
    static double x[T * N * 32];
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = NULL;
    gru_sizes sizes = GRU_INIT;
    gru_run call = GRU_INIT;
    const gru_weights weights = weights_of(native);
    config.io_type = config.state_type = config.weight_type = GRU_F64;
    tester_fill(x, GRU_F64, (size_t)(T * N * config.inputs), 1.0, 99);
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_sizes(layer, T, N, &sizes) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_allocate(context, sizes.workspace, &call.workspace) == GRU_OK, "%s", gru_last_error());
    call.T = T, call.N = N;
    call.x.data = x, call.y.data = y;
    call.workspace_size = sizes.workspace;
    REQUIRE(gru_layer_forward(layer, &call) == GRU_OK, "%s", gru_last_error());
    gru_free(context, call.workspace);
    gru_layer_release(layer);
    gru_context_release(context);
}

static double largest_difference(const double *a, const double *b, int count) {
    double largest = 0;
    for (int i = 0; i < count; i++) largest = fmax(largest, fabs(a[i] - b[i]));
    return largest;
}

TEST(import, keep_and_write_are_one_function) {
    static double keep[MOST_Y], write[MOST_Y], wrong[MOST_Y];
    const int32_t I = 7, H = 9;
    for (int reset = GRU_RESET_AFTER; reset <= GRU_RESET_BEFORE; reset++)
        for (int gate = GRU_GATE_SIGMOID; gate <= GRU_GATE_HARD_SIGMOID; gate++) {
            native_weights numbers, converted;
            fill(&numbers, I, H, 5);
            gru_layer_config variant = shape_of(I, H, reset, GRU_UPDATE_KEEP);
            variant.gate = gate;
            run(&numbers, variant, keep);
            gru_framework_weights source = GRU_INIT;
            float B[6 * 9];
            static framework_buffer onnx;
            const gru_weights weights = weights_of(&numbers);
            make_target(&onnx, GRU_ORDER_ONNX, &variant);
            onnx.target.arrays[2] = B;
            REQUIRE(gru_export(&weights, &variant, &onnx.target) == GRU_OK, "%s", gru_last_error());
            source = source_of(&onnx);
            variant.update = GRU_UPDATE_WRITE;
            const gru_native_weights target = target_of(&converted);
            REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "%s", gru_last_error());
            run(&converted, variant, write);
            run(&numbers, variant, wrong);
            const double same = largest_difference(keep, write, T * N * H);
            const double other = largest_difference(keep, wrong, T * N * H);
            CHECK(same < 1e-14, "reset %d, gate %d: KEEP and WRITE differ by %g", reset, gate, same);
            CHECK(other > 1e-2, "reset %d, gate %d: without conversion they differ by %g only", reset, gate,
                  other);
        }
}

/* Only where 1 - f(v) is f(-v); f itself makes no difference otherwise. */
TEST(import, other_gates_keep_their_update) {
    static const struct {
        int32_t gate;
        float beta;
        int converts;
    } cases[] = {{GRU_ACTIVATION_SIGMOID, 0, 1},    {GRU_ACTIVATION_HARD_SIGMOID, 0, 1},
                 {GRU_ACTIVATION_AFFINE, 0.5f, 1},  {GRU_ACTIVATION_HARD_SIGMOID, 0.25f, 0},
                 {GRU_ACTIVATION_AFFINE, 0.25f, 0}, {GRU_ACTIVATION_TANH, 0, 0},
                 {GRU_ACTIVATION_RELU, 0, 0},       {GRU_ACTIVATION_SOFTSIGN, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        native_weights numbers;
        static framework_buffer onnx;
        fill(&numbers, I3, H2, 5);
        const gru_weights weights = weights_of(&numbers);
        gru_layer_config variant = shape_of(I3, H2, GRU_RESET_AFTER, GRU_UPDATE_WRITE);
        variant.gate = cases[i].gate, variant.gate_beta = cases[i].beta;
        make_target(&onnx, GRU_ORDER_ONNX, &variant);
        onnx.target.update = GRU_UPDATE_KEEP;
        const gru_status status = gru_export(&weights, &variant, &onnx.target);
        CHECK(status == (cases[i].converts ? GRU_OK : GRU_UNSUPPORTED), "gate %d with beta %g: status %d, %s",
              cases[i].gate, (double)cases[i].beta, status, gru_last_error());
        CHECK(cases[i].converts || strstr(gru_last_error(), "1 - f(v) is not f(-v)"), "\"%s\"",
              gru_last_error());
        onnx.target.update = GRU_UPDATE_WRITE;
        CHECK(gru_export(&weights, &variant, &onnx.target) == GRU_OK, "%s", gru_last_error());
    }
}

/* Two biases go into one where the order has only one, and only where that is the same function. */
TEST(import, folded_biases_are_the_same_function) {
    static double before[MOST_Y], after[MOST_Y];
    static framework_buffer out;
    int folded = 0;
    for (int i = 0; i < ORDER_CASES; i++) {
        const order_case *c = &order_cases[i];
        if (c->recurrent == RECURRENT_ALL) continue;
        const int32_t I = 4, H = 5;
        const gru_layer_config variant = shape_of(I, H, c->reset_mode, GRU_UPDATE_KEEP);
        native_weights numbers, back;
        fill(&numbers, I, H, 17);
        const gru_weights weights = weights_of(&numbers);
        make_target(&out, c->order, &variant);
        REQUIRE(gru_export(&weights, &variant, &out.target) == GRU_OK, "%s", gru_last_error());
        const gru_framework_weights source = source_of(&out);
        const gru_native_weights target = target_of(&back);
        REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "%s", gru_last_error());
        CHECK(back.bR[0] == 0 && back.bW[0] == numbers.bW[0] + numbers.bR[0],
              "order %d: r's biases are not added", c->order);
        run(&numbers, variant, before);
        run(&back, variant, after);
        const double difference = largest_difference(before, after, T * N * H);
        CHECK(difference < 1e-6, "order %d: folding the biases changed y by %g", c->order, difference);
        folded++;
    }
    CHECK(folded == 6, "%d orders fold biases, expected 6", folded);
}

/* ---- refusals ---- */

TEST(import, resets_never_convert) {
    static framework_buffer out;
    native_weights numbers, got;
    const gru_native_weights target = target_of(&got);
    fill(&numbers, I3, H2, 1);
    memset(&got, 0xff, sizeof got);
    const gru_weights weights = weights_of(&numbers);
    for (int from = GRU_RESET_AFTER; from <= GRU_RESET_ALL; from++)
        for (int to = GRU_RESET_AFTER; to <= GRU_RESET_ALL; to++) {
            const gru_layer_config variant = shape_of(I3, H2, to, GRU_UPDATE_KEEP);
            gru_framework_weights source = foreign_of(&order_cases[GRU_ORDER_ONNX]);
            source.order = GRU_ORDER_ONNX, source.reset_mode = from;
            if (from == to) continue;
            CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_UNSUPPORTED, "cannot be converted to");
            const gru_layer_config after = shape_of(I3, H2, GRU_RESET_AFTER, GRU_UPDATE_KEEP);
            make_target(&out, GRU_ORDER_ONNX, &after);
            out.target.reset_mode = from;
            CHECK_REFUSED(gru_export(&weights, &variant, &out.target), GRU_UNSUPPORTED,
                          "cannot be converted to");
            CHECK(isnan(out.arrays[0][0]), "a refused export wrote");
        }
    CHECK(isnan(got.W[0]) && isnan(got.bR[0]), "a refused import wrote");
}

TEST(import, orders_refuse_resets_they_do_not_mean) {
    static const int8_t held[ORDERS][2] = {{1, 0}, {1, 1}, {1, 1}, {1, 0}, {0, 1}, {1, 0},
                                           {0, 1}, {0, 1}, {1, 0}, {1, 0}, {1, 0}};
    for (int32_t order = 0; order < ORDERS; order++)
        for (int reset = GRU_RESET_AFTER; reset <= GRU_RESET_ALL; reset++) {
            const gru_layer_config variant = shape_of(I3, H2, reset, GRU_UPDATE_KEEP);
            size_t counts[8] = {77};
            if (reset < GRU_RESET_ALL && held[order][reset])
                CHECK(gru_order_counts(order, &variant, counts) == GRU_OK, "%s", gru_last_error());
            else {
                CHECK_REFUSED(gru_order_counts(order, &variant, counts), GRU_UNSUPPORTED,
                              "cannot hold weights");
                CHECK(counts[0] == 77, "a refused call wrote counts");
            }
        }
}

TEST(import, wrong_arguments) {
    native_weights got;
    memset(&got, 0xff, sizeof got);
    const gru_native_weights target = target_of(&got);
    const gru_framework_weights good = foreign_of(&order_cases[0]);
    const gru_layer_config variant = shape_of(I3, H2, GRU_RESET_AFTER, GRU_UPDATE_KEEP);
    size_t counts[8];
    CHECK_REFUSED(gru_import(NULL, &variant, &target), GRU_BAD_ARGUMENT, "source is NULL");
    CHECK_REFUSED(gru_import(&good, NULL, &target), GRU_BAD_ARGUMENT, "shape is NULL");
    CHECK_REFUSED(gru_import(&good, &variant, NULL), GRU_BAD_ARGUMENT, "target is NULL");
    CHECK_REFUSED(gru_order_counts(0, NULL, counts), GRU_BAD_ARGUMENT, "shape is NULL");
    CHECK_REFUSED(gru_order_counts(0, &variant, NULL), GRU_BAD_ARGUMENT, "counts is NULL");
    CHECK_REFUSED(gru_order_counts(-1, &variant, counts), GRU_BAD_ARGUMENT, "order is -1");
    CHECK_REFUSED(gru_order_counts(ORDERS, &variant, counts), GRU_BAD_ARGUMENT, "order is 11");
#define WITH(type, original, change, call, words)     \
    do {                                              \
        type bad = original;                          \
        change;                                       \
        CHECK_REFUSED(call, GRU_BAD_ARGUMENT, words); \
    } while (0)
    WITH(gru_layer_config, variant, bad.inputs = -1, gru_import(&good, &bad, &target), "shape.inputs is -1");
    WITH(gru_layer_config, variant, bad.hidden = 0, gru_import(&good, &bad, &target), "shape.hidden is 0");
    WITH(gru_layer_config, variant, bad.hidden = INT32_MAX, gru_import(&good, &bad, &target),
         "shape.hidden is");
    WITH(gru_layer_config, variant, bad.reset_mode = 3, gru_import(&good, &bad, &target),
         "shape.reset_mode is 3");
    WITH(gru_layer_config, variant, bad.update = 2, gru_import(&good, &bad, &target), "shape.update is 2");
    WITH(gru_layer_config, variant, bad.reserved[5] = 1, gru_import(&good, &bad, &target),
         "shape.reserved[5]");
    WITH(gru_framework_weights, good, bad.order = 99, gru_import(&bad, &variant, &target), "order is 99");
    WITH(gru_framework_weights, good, bad.reset_mode = -1, gru_import(&bad, &variant, &target),
         "source.reset_mode is -1");
    WITH(gru_framework_weights, good, bad.update = 7, gru_import(&bad, &variant, &target),
         "source.update is 7");
    WITH(gru_framework_weights, good, bad.reserved[0] = 1, gru_import(&bad, &variant, &target),
         "source.reserved[0]");
    WITH(gru_framework_weights, good, bad.arrays[0] = NULL, gru_import(&bad, &variant, &target),
         "source.arrays[0] is NULL");
    WITH(gru_framework_weights, good, bad.arrays[1] = NULL, gru_import(&bad, &variant, &target),
         "source.arrays[1] is NULL");
    WITH(gru_framework_weights, good, bad.counts[0] = 17, gru_import(&bad, &variant, &target),
         "counts[0] is 17, expected 18");
    WITH(gru_framework_weights, good, bad.counts[3] = 0, gru_import(&bad, &variant, &target),
         "counts[3] is 0, expected 6");
    WITH(gru_framework_weights, good, bad.counts[7] = 1,
         (bad.arrays[7] = got.W, gru_import(&bad, &variant, &target)), "counts[7] is 1, expected 0");
    WITH(gru_framework_weights, good, bad.arrays[2] = (const float *)((const char *)good.arrays[2] + 1),
         gru_import(&bad, &variant, &target), "expected a multiple of 4");
    WITH(gru_framework_weights, good, bad.type = GRU_INT8, gru_import(&bad, &variant, &target),
         "source.type is int8 (4)");
    WITH(gru_framework_weights, good, (bad.type = GRU_F64, bad.arrays[0] = (const float *)good.arrays[0] + 1),
         gru_import(&bad, &variant, &target), "expected a multiple of 8");
    WITH(gru_native_weights, target, bad.type = 77, gru_import(&good, &variant, &bad),
         "target.type is unknown (77)");
    WITH(gru_native_weights, target, bad.bR = NULL, gru_import(&good, &variant, &bad), "target.bR is NULL");
    WITH(gru_native_weights, target, bad.W = NULL, gru_import(&good, &variant, &bad), "target.W is NULL");
    CHECK(tester_untouched(&got, sizeof got), "a refused import wrote");
}

TEST(import, wrong_arguments_of_export) {
    static framework_buffer out;
    const native_weights numbers = expected(&order_cases[0]);
    const gru_weights good = weights_of(&numbers);
    const gru_layer_config variant = shape_of(I3, H2, GRU_RESET_AFTER, GRU_UPDATE_KEEP);
    make_target(&out, GRU_ORDER_PYTORCH, &variant);
    const gru_framework_weights_out target = out.target;
    CHECK_REFUSED(gru_export(NULL, &variant, &target), GRU_BAD_ARGUMENT, "source is NULL");
    CHECK_REFUSED(gru_export(&good, NULL, &target), GRU_BAD_ARGUMENT, "shape is NULL");
    CHECK_REFUSED(gru_export(&good, &variant, NULL), GRU_BAD_ARGUMENT, "target is NULL");
    WITH(gru_weights, good, bad.type = GRU_INT8, gru_export(&bad, &variant, &target),
         "source.type is int8 (4), expected f32, f16, bf16 or f64");
    WITH(gru_framework_weights_out, target, bad.type = -1, gru_export(&good, &variant, &bad),
         "target.type is unknown (-1)");
    WITH(gru_weights, good, bad.on_device = 1, gru_export(&bad, &variant, &target), "source.on_device is 1");
    WITH(gru_weights, good, bad.W = NULL, gru_export(&bad, &variant, &target), "source.W is NULL");
    WITH(gru_weights, good, bad.R = NULL, gru_export(&bad, &variant, &target), "source.R is NULL");
    WITH(gru_weights, good, bad.reserved[3] = 5, gru_export(&bad, &variant, &target), "source.reserved[3]");
    WITH(gru_framework_weights_out, target, bad.reserved[3] = 5, gru_export(&good, &variant, &bad),
         "target.reserved[3]");
    WITH(gru_framework_weights_out, target, bad.counts[1] = 0, gru_export(&good, &variant, &bad),
         "counts[1] is 0");
    WITH(gru_framework_weights_out, target, bad.arrays[2] = NULL, gru_export(&good, &variant, &bad),
         "source has bW");
    WITH(gru_framework_weights_out, target, bad.arrays[3] = NULL, gru_export(&good, &variant, &bad),
         "source has bR");
    CHECK(tester_untouched(out.arrays, sizeof out.arrays), "a refused export wrote");
}
