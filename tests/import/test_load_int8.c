/* test_load_int8.c: stacks from files whose weights are int8. */
#include <stdlib.h>
#include <string.h>

#include "gru/import.h"
#include "support/file_maker.h"
#include "support/tester.h"

static gru_file *open_file(const file_maker *maker, void **bytes) {
    gru_file *file = NULL;
    size_t size;
    *bytes = file_finish(maker, &size);
    const gru_status status = gru_file_parse(*bytes, size, &file);
    REQUIRE(status == GRU_OK || status == GRU_NOT_BUILT, "%s", gru_last_error());
    return file;
}

/* words NULL: the file loads; else it is refused with them. */
static void check_load(const file_maker *maker, const char *words) {
    gru_context *context = tester_context(NULL, 1);
    void *bytes;
    gru_file *file = open_file(maker, &bytes);
    gru_stack *stack = NULL;
    if (!file) SKIP("%s", gru_last_error());
    const gru_status status = gru_stack_load(context, file, NULL, &stack),
                     wanted = words ? GRU_BAD_DATA : GRU_OK;
    CHECK(status == wanted && (!words || strstr(gru_last_error(), words)), "%s, \"%s\", expected \"%s\"",
          gru_status_name(status), gru_last_error(), words ? words : "");
    CHECK((stack != NULL) == (status == GRU_OK), "a stack of a refused file");
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}

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
    check_load(&f, NULL);
    f = int8_layer("F32", NULL, "[6]");
    check_load(&f, "no tensor \"weight_ih_scale_l0\"");
    f = int8_layer("F32", "[6]", NULL);
    check_load(&f, "no tensor \"weight_hh_scale_l0\"");
    f = int8_layer("F32", "[6,2]", "[6]");
    check_load(&f, "\"weight_ih_scale_l0\" is [6][2], expected [6]");
    f = int8_layer("F16", "[6]", "[6]");
    check_load(&f, "\"bias_ih_l0\" is of dtype F16, expected F32 beside I8 weights");
    f = f32_layer();
    file_add_tensor(&f, "weight_ih_scale_l0", "F32", "[6]", 24);
    check_load(&f, "\"weight_ih_scale_l0\" goes only with I8 weights");
    f = f32_layer();
    file_add_tensor(&f, "weight_hh_scale_l1", "F32", "[6]", 24);
    check_load(&f, "no layer 1");
}

/* The numbers that a layer of f32 or of int8 holds are the file's integers times its scales. */
TEST(load_int8, weights_are_their_products) {
    static const int32_t types[] = {GRU_F32, GRU_INT8};
    const file_maker f = int8_layer("F32", "[6]", "[6]");
    gru_context *context = tester_context(NULL, 1);
    void *bytes;
    gru_file *file = open_file(&f, &bytes);
    if (!file) SKIP("%s", gru_last_error());
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
