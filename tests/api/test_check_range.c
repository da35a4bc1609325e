/* test_check_range.c: finite weights that the packed type would turn into infinity. */
#include <math.h>
#include <string.h>

#include "core/number.h"
#include "support/tester.h"

/* A layer of one unit with one input; number `at` of W, R, bW or bR is this one. */
typedef struct one_unit {
    double room[4][3];
    int8_t bytes[2][3];
    float scales[3];
    gru_weights weights;
} one_unit;

static void make_one_unit(one_unit *u, int32_t type, int part, int at, double number) {
    memset(u, 0, sizeof *u);
    u->weights.type = type;
    u->weights.W = u->room[0], u->weights.R = u->room[1], u->weights.bW = u->room[2],
    u->weights.bR = u->room[3];
    if (type != GRU_INT8) {
        gru_store_double(u->room[part], type, (size_t)at, number);
        return;
    }
    u->bytes[part][at] = 100;
    u->scales[at] = (float)(number / 100);
    u->weights.W = u->bytes[0], u->weights.R = u->bytes[1];
    u->weights.bW = u->weights.bR = NULL;
    u->weights.W_scale = u->weights.R_scale = u->scales;
}

TEST(api, weights_that_the_packed_type_cannot_hold) {
    static const struct {
        int32_t type, packed;
        int part;
        double number;
        const char *words; /* NULL: packed */
    } cases[] = {
        {GRU_F32, GRU_F16, 0, 70000, "weights.W[1] is 70000, which f16 cannot hold"},
        {GRU_F32, GRU_F16, 1, -65520, "weights.R[1] is -65520, which f16 cannot hold"},
        {GRU_F32, GRU_F16, 1, 65519, NULL},
        {GRU_F32, GRU_F16, 2, 70000, NULL}, /* biases are packed as f32 */
        {GRU_BF16, GRU_F16, 1, 0x1p100, "weights.R[1] is 1.26765e+30, which f16 cannot hold"},
        {GRU_F64, GRU_F16, 0, 1e300, "weights.W[1] is 1e+300, which f16 cannot hold"},
        {GRU_F64, GRU_F32, 0, 1e39, "weights.W[1] is 1e+39, which f32 cannot hold"},
        {GRU_F64, GRU_F32, 3, -1e39, "weights.bR[1] is -1e+39, which f32 cannot hold"},
        {GRU_F64, GRU_F16, 2, 1e39, "weights.bW[1] is 1e+39, which f32 cannot hold"},
        {GRU_F64, GRU_F64, 2, 1e39, NULL},
        {GRU_F32, GRU_BF16, 0, 3.4e38, "weights.W[1] is 3.4e+38, which bf16 cannot hold"},
        {GRU_F32, GRU_BF16, 0, 3.38e38, NULL},
        {GRU_F32, GRU_F16, 0, INFINITY, NULL},
        {GRU_F32, GRU_F32, 0, 3.4e38, NULL},
        {GRU_F16, GRU_F16, 0, 65504, NULL},
        {GRU_INT8, GRU_F16, 0, 66000, "weights.W[1] is 66000, which f16 cannot hold"},
        {GRU_INT8, GRU_F16, 1, 66000, "weights.R[1] is 66000, which f16 cannot hold"},
        {GRU_INT8, GRU_F32, 1, 66000, NULL},
        {GRU_INT8, GRU_F32, 0, 5e38, "weights.W[1] is 5e+38, which f32 cannot hold"},
        {GRU_INT8, GRU_F64, 1, -5e38, "weights.R[1] is -5e+38, which f32 cannot hold"},
        {GRU_INT8, GRU_INT8, 1, 1e31, "weights.W_scale[1] is 1e+29, expected a finite scale, up to 2^96"},
        {GRU_INT8, GRU_BF16, 0, 3.4e38, "weights.W[1] is 3.4e+38, which bf16 cannot hold"},
        {GRU_INT8, GRU_INT8, 0, 7.9e30, NULL},
    };
    gru_context *context = tester_context(NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int whole = cases[i].packed == GRU_F64;
        gru_layer_config config = GRU_INIT;
        gru_layer *layer = NULL, *refused = NULL;
        gru_sizes sizes = GRU_INIT;
        one_unit zeros, bad;
        config.inputs = config.hidden = 1;
        config.weight_type = cases[i].packed;
        config.io_type = config.state_type = whole ? GRU_F64 : GRU_F32;
        make_one_unit(&zeros, cases[i].type, 0, 0, 0);
        make_one_unit(&bad, cases[i].type, cases[i].part, 1, cases[i].number);
        REQUIRE(gru_layer_create(context, &config, &zeros.weights, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_sizes(layer, 1, 1, &sizes) == GRU_OK, "%s", gru_last_error());
        unsigned char *packed = tester_allocate(sizes.packed);
        memset(packed, 0xff, sizes.packed);
        const gru_status wanted = cases[i].words ? GRU_BAD_DATA : GRU_OK;
        const gru_status got[3] = {gru_layer_pack(layer, &bad.weights, packed, NULL),
                                   gru_layer_update(layer, &bad.weights, NULL),
                                   gru_layer_create(context, &config, &bad.weights, &refused)};
        for (int k = 0; k < 3; k++)
            CHECK(got[k] == wanted && (!cases[i].words || strstr(gru_last_error(), cases[i].words)),
                  "case %zu, call %d: %s, \"%s\"", i, k, gru_status_name(got[k]), gru_last_error());
        CHECK(tester_untouched(packed, sizes.packed) == (wanted != GRU_OK), "case %zu: packed", i);
        CHECK((refused == NULL) == (wanted != GRU_OK), "case %zu: a layer", i);
        tester_free(packed);
        gru_layer_release(layer);
        gru_layer_release(refused);
    }
    gru_context_release(context);
}
