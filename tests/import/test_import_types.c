/* test_import_types.c: weight orders of all number types, numbers that a type cannot hold, and buffers that overlap. */
#include <math.h>

#include "order_case.h"

/* ---- other types ---- */

enum { TYPES = 4 };
static const int32_t float_types[TYPES] = {GRU_F32, GRU_F16, GRU_BF16, GRU_F64};

/* Arrays of one type, and the same numbers as f64. */
typedef struct typed {
    double room[4][64], exact[4][64];
} typed;

static void fill_typed(typed *t, int32_t type, const size_t counts[4], uint64_t seed) {
    for (int a = 0; a < 4; a++) {
        tester_fill(t->room[a], type, counts[a], 1.0, seed + (uint64_t)a);
        for (size_t i = 0; i < counts[a]; i++) t->exact[a][i] = gru_load_double(t->room[a], type, i);
    }
}

/* From every type to every type: each number is the one that f64 conversion moves there, rounded once. */
TEST(import, every_type_to_every_type) {
    for (int i = 0; i < ORDER_CASES; i++)
        for (int from = 0; from < TYPES; from++)
            for (int to = 0; to < TYPES; to++) {
                const order_case *c = &order_cases[i];
                const gru_layer_config variant = shape_of(I3, H2, c->reset_mode, GRU_UPDATE_WRITE);
                typed given, wide, narrow, out;
                gru_framework_weights source = foreign_of(c);
                fill_typed(&given, float_types[from], c->counts, (uint64_t)i);
                source.type = float_types[from];
                for (int a = 0; a < 4; a++) source.arrays[a] = c->counts[a] ? given.room[a] : NULL;
                const gru_native_weights target = {narrow.room[0], narrow.room[1], narrow.room[2],
                                                   narrow.room[3], float_types[to]};
                REQUIRE(gru_import(&source, &variant, &target) == GRU_OK, "%s", gru_last_error());
                source.type = GRU_F64;
                for (int a = 0; a < 4; a++) source.arrays[a] = c->counts[a] ? given.exact[a] : NULL;
                const gru_native_weights f64 = {wide.room[0], wide.room[1], wide.room[2], wide.room[3],
                                                GRU_F64};
                REQUIRE(gru_import(&source, &variant, &f64) == GRU_OK, "%s", gru_last_error());
                const size_t counts[4] = {3 * H2 * I3, 3 * H2 * H2, 3 * H2, 3 * H2};
                for (int a = 0; a < 4; a++)
                    for (size_t k = 0; k < counts[a]; k++) {
                        double rounded = 0;
                        gru_store_double(&rounded, float_types[to], 0, wide.room[a][k]);
                        CHECK(gru_load_double(narrow.room[a], float_types[to], k) ==
                                  gru_load_double(&rounded, float_types[to], 0),
                              "order %d, %s to %s: part %d differs at %zu", c->order,
                              gru_type_name(float_types[from]), gru_type_name(float_types[to]), a, k);
                    }
                gru_weights weights = GRU_INIT;
                weights.W = wide.room[0], weights.R = wide.room[1];
                weights.bW = wide.room[2], weights.bR = wide.room[3];
                weights.type = GRU_F64;
                gru_framework_weights_out back = GRU_INIT;
                back.order = c->order, back.reset_mode = c->reset_mode, back.type = float_types[from];
                for (int a = 0; a < 4; a++)
                    back.arrays[a] = c->counts[a] ? out.room[a] : NULL, back.counts[a] = c->counts[a];
                REQUIRE(gru_export(&weights, &variant, &back) == GRU_OK, "%s", gru_last_error());
                for (int a = 0; a < 4; a++)
                    for (size_t k = 0; k < c->counts[a]; k++)
                        CHECK(gru_load_double(out.room[a], float_types[from], k) == given.exact[a][k],
                              "order %d: array %d came back changed at %zu", c->order, a, k);
            }
}

/* Finite numbers that the target's type turns into infinity; infinities themselves pass. */
TEST(import, numbers_that_are_too_large) {
    const gru_layer_config variant = shape_of(I3, H2, GRU_RESET_AFTER, GRU_UPDATE_KEEP);
    double W[3 * H2 * I3] = {0}, R[3 * H2 * H2] = {0};
    native_weights got;
    gru_framework_weights source = GRU_INIT;
    gru_native_weights target = target_of(&got);
    source.arrays[0] = W, source.counts[0] = 3 * H2 * I3;
    source.arrays[1] = R, source.counts[1] = 3 * H2 * H2;
    source.type = GRU_F64;
    memset(&got, 0xff, sizeof got);
    R[7] = 1e39;
    CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_BAD_DATA,
                  "source.arrays[1][7] is 1e+39, which f32 cannot hold");
    target.type = GRU_F16, R[7] = -65520;
    CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_BAD_DATA,
                  "source.arrays[1][7] is -65520, which f16 cannot hold");
    CHECK(tester_untouched(&got, sizeof got), "a refused import wrote");
    R[7] = -65519, R[0] = (double)INFINITY, R[1] = (double)NAN;
    CHECK(gru_import(&source, &variant, &target) == GRU_OK && gru_load_double(got.R, GRU_F16, 7) == -65504 &&
              isinf(gru_load_double(got.R, GRU_F16, 0)) && isnan(gru_load_double(got.R, GRU_F16, 1)),
          "%s", gru_last_error());
    /* two biases that are added */
    const gru_layer_config before = shape_of(I3, H2, GRU_RESET_BEFORE, GRU_UPDATE_KEEP);
    static framework_buffer out;
    native_weights numbers;
    fill(&numbers, I3, H2, 1);
    numbers.bW[4] = numbers.bR[4] = 3e38f;
    const gru_weights weights = weights_of(&numbers);
    make_target(&out, GRU_ORDER_KERAS, &before);
    CHECK_REFUSED(gru_export(&weights, &before, &out.target), GRU_BAD_DATA,
                  "source.bW[4] is 6e+38, which f32 cannot hold");
    CHECK(isnan(out.arrays[0][0]), "a refused export wrote");
}

TEST(import, nothing_is_converted_in_place) {
    static float room[4 * MOST];
    for (int i = 0; i < ORDER_CASES; i++) {
        const order_case *c = &order_cases[i];
        const gru_layer_config variant = shape_of(I3, H2, c->reset_mode, GRU_UPDATE_KEEP);
        gru_framework_weights source = foreign_of(c);
        native_weights got;
        gru_native_weights target = target_of(&got);
        target.W = (void *)(uintptr_t)source.arrays[0];
        CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_BAD_ARGUMENT, "overlaps");
        target = target_of(&got);
        memset(room, 0, sizeof room);
        source.arrays[0] = room + 5, target.bR = room; /* its last number is the first of the array */
        CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_BAD_ARGUMENT, "overlaps target.bR");
        target = target_of(&got), target.R = got.W;
        CHECK_REFUSED(gru_import(&source, &variant, &target), GRU_BAD_ARGUMENT, "target.W");
        source.arrays[0] = room + 6, target = target_of(&got), target.bR = room;
        CHECK(gru_import(&source, &variant, &target) == GRU_OK, "side by side: %s", gru_last_error());
        const native_weights numbers = expected(c);
        gru_weights weights = weights_of(&numbers);
        static framework_buffer out;
        make_target(&out, c->order, &variant);
        weights.R = out.arrays[0];
        CHECK_REFUSED(gru_export(&weights, &variant, &out.target), GRU_BAD_ARGUMENT, "source.R");
        weights = weights_of(&numbers);
        out.target.arrays[1] = out.arrays[0] + 1;
        CHECK_REFUSED(gru_export(&weights, &variant, &out.target), GRU_BAD_ARGUMENT, "target.arrays[1]");
        CHECK(tester_untouched(out.arrays, sizeof out.arrays), "a refused export wrote");
    }
}
