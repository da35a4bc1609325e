/* test_load_int8.c: stacks from files whose weights are int8. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/file_fixture.h"
#include "support/tester.h"

static file_maker f32_layer(void) {
    file_maker f = {.offset = 0};
    file_add_tensor(&f, "weight_ih_l0", "F32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0", "F32", "[6,2]", 48);
    return f;
}

/* H 2, I 3 in int8, with scales and without. */
static file_maker int8_layer(const char *bias, const char *W_scale, const char *R_scale) {
    file_maker f = {.offset = 0};
    file_add_tensor(&f, "bias_ih_l0", bias, "[6]", strcmp(bias, "F16") == 0 ? 12 : 24);
    file_add_tensor(&f, "bias_hh_l0", bias, "[6]", strcmp(bias, "F16") == 0 ? 12 : 24);
    if (W_scale) file_add_tensor(&f, "weight_ih_scale_l0", "F32", W_scale, strlen(W_scale) > 3 ? 48 : 24);
    if (R_scale) file_add_tensor(&f, "weight_hh_scale_l0", "F32", R_scale, 24);
    file_add_tensor(&f, "weight_ih_l0", "I8", "[6,3]", 18);
    file_add_tensor(&f, "weight_hh_l0", "I8", "[6,2]", 12);
    return f;
}

TEST(load_int8, weights_need_their_scales) {
    file_maker f = int8_layer("F32", "[6]", "[6]");
    check_load(&f, NULL, GRU_OK, NULL);
    f = int8_layer("F32", NULL, "[6]");
    check_load(&f, NULL, GRU_BAD_DATA, "no tensor \"weight_ih_scale_l0\"");
    f = int8_layer("F32", "[6]", NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "no tensor \"weight_hh_scale_l0\"");
    f = int8_layer("F32", "[6,2]", "[6]");
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_ih_scale_l0\" is [6][2], expected [6]");
    f = int8_layer("F16", "[6]", "[6]");
    check_load(&f, NULL, GRU_BAD_DATA, "\"bias_ih_l0\" is of dtype F16, expected F32 beside I8 weights");
    f = f32_layer();
    file_add_tensor(&f, "weight_ih_scale_l0", "F32", "[6]", 24);
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_ih_scale_l0\" goes only with I8 weights");
    f = f32_layer();
    file_add_tensor(&f, "weight_hh_scale_l1", "F32", "[6]", 24);
    check_load(&f, NULL, GRU_BAD_DATA, "no layer 1");
}

/* Number 2 of weight_ih_scale_l0 is the given one, in layers of f32 and of int8. */
static void check_scale(float scale, gru_status wanted, const char *words) {
    static const int32_t types[] = {GRU_F32, GRU_INT8};
    const file_maker f = int8_layer("F32", "[6]", "[6]");
    gru_context *context = tester_context(NULL, 1);
    gru_file *file = NULL;
    size_t size;
    char *bytes = file_finish(&f, &size);
    memcpy(bytes + size - f.offset + 48 + 2 * sizeof scale, &scale, sizeof scale);
    const gru_status parsed = gru_file_parse(bytes, size, &file);
    if (parsed == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(parsed == GRU_OK, "%s", gru_last_error());
    for (int t = 0; t < 2; t++) {
        const gru_load_options options = {.weight_type = types[t]};
        gru_stack *stack = NULL;
        const gru_status got = gru_stack_load(context, file, &options, &stack);
        CHECK(got == wanted && (stack != NULL) == (wanted == GRU_OK) && strstr(gru_last_error(), words),
              "scale %g: %s, \"%s\"", (double)scale, gru_status_name(got), gru_last_error());
        gru_stack_release(stack);
    }
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}

/* A row of zeros has scale 0; a negative one stands for the negative row. */
TEST(load_int8, scales_are_finite) {
    check_scale(NAN, GRU_BAD_DATA, "weights.W_scale[2] is nan, expected a finite scale");
    check_scale(INFINITY, GRU_BAD_DATA, "weights.W_scale[2] is inf, expected a finite scale");
    check_scale(-INFINITY, GRU_BAD_DATA, "weights.W_scale[2] is -inf, expected a finite scale");
    check_scale(0, GRU_OK, "");
    check_scale(-0.5f, GRU_OK, "");
}

/* The numbers that a layer of f32 or of int8 holds are the file's integers times its scales. */
TEST(load_int8, weights_are_their_products) {
    static const int32_t types[] = {GRU_F32, GRU_INT8};
    const file_maker f = int8_layer("F32", "[6]", "[6]");
    gru_context *context = tester_context(NULL, 1);
    gru_file *file = NULL;
    void *bytes = file_fixture_parse(&f, &file);
    for (int t = 0; t < 2; t++) {
        const gru_load_options options = {.weight_type = types[t]};
        gru_stack *stack = NULL;
        gru_layer *layer = NULL;
        gru_tensor W, scale;
        double held[18];
        const gru_weights_out out = {.W = held, .type = GRU_F64};
        REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_stack_sublayer(stack, 0, NULL, &layer) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_layer_read(layer, &out, NULL) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_file_tensor(file, "weight_ih_l0", &W) == GRU_OK &&
                    gru_file_tensor(file, "weight_ih_scale_l0", &scale) == GRU_OK,
                "%s", gru_last_error());
        for (size_t i = 0; i < 18; i++) {
            float factor;
            memcpy(&factor, (const char *)scale.data + i / 3 * sizeof factor, sizeof factor);
            const double product = (double)((const int8_t *)W.data)[i] * (double)factor;
            CHECK(held[i] == (types[t] == GRU_F32 ? (double)(float)product : product),
                  "W[%zu] is %g, expected %g", i, held[i], product);
        }
        gru_stack_release(stack);
    }
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}
