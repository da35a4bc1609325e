/* test_load.c: stacks from files: one that PyTorch saved, and files of a GRU that are not quite one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/file_maker.h"
#include "gru/import.h"
#include "support/file_fixture.h"
#include "support/tester.h"

/* ---- a module saved by PyTorch ---- */

TEST(load, a_saved_pytorch_module) {
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_tensor x, want;
    gru_context *context = tester_context(NULL, 1);
    gru_load_options options = file_fixture_f64_options();
    file_fixture_open(TEST_DATA "/golden/samples/encoder.safetensors", &file);
    REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sublayers(stack) == 4, "%d sublayers", gru_stack_sublayers(stack));
    REQUIRE(gru_file_tensor(file, "expected.x", &x) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_file_tensor(file, "expected.y", &want) == GRU_OK, "%s", gru_last_error());
    const size_t inputs = x.bytes / sizeof(float), outputs = want.bytes / sizeof(double);
    double *wide = tester_allocate(inputs * sizeof(double)), *y = tester_allocate(outputs * sizeof(double));
    for (size_t i = 0; i < inputs; i++) wide[i] = (double)((const float *)x.data)[i];
    file_fixture_run(stack, x.shape[0], x.shape[1], wide, y);
    double worst = 0;
    for (size_t i = 0; i < outputs; i++) worst = fmax(worst, fabs(y[i] - ((const double *)want.data)[i]));
    CHECK(worst < 1e-12, "y differs by %g", worst);
    tester_free(wide);
    tester_free(y);
    gru_file_close(file);
    gru_stack_release(stack);
    gru_context_release(context);
}

/* ---- files that are not quite a GRU ---- */

/* Loads the file made so far. words NULL: it must load; else the sentence has them. stack may be NULL. */
static void check_load(const file_maker *maker, const char *prefix, gru_status wanted, const char *words) {
    gru_context *context = tester_context(NULL, 1);
    size_t size;
    void *bytes = file_finish(maker, &size);
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    options.prefix = prefix;
    gru_status status = gru_file_parse(bytes, size, &file);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    status = gru_stack_load(context, file, &options, &stack);
    CHECK(status == wanted && (!words || strstr(gru_last_error(), words)), "%s, \"%s\", expected %s, \"%s\"",
          gru_status_name(status), gru_last_error(), gru_status_name(wanted), words ? words : "");
    CHECK((stack != NULL) == (status == GRU_OK), "a stack of a refused file");
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}

/* The four tensors of H = 2, I = 3; each may have another shape, dtype (bytes are the caller's) or be left out (NULL). */
static file_maker one_layer(const char *W, const char *R, const char *bW, const char *bR) {
    static const char *const names[4] = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
    const char *const shapes[4] = {W, R, bW, bR};
    file_maker f = {.offset = 0};
    for (int i = 0; i < 4; i++) {
        size_t count = 1;
        if (!shapes[i]) continue;
        for (const char *c = shapes[i]; *c; c++)
            if (*c == '[' || *c == ',') count *= (size_t)strtol(c + 1, NULL, 10);
        file_add_tensor(&f, names[i], "F32", shapes[i], count * sizeof(float));
    }
    return f;
}

TEST(load, shapes_are_checked_by_name) {
    file_maker f = one_layer("[6,3]", "[6,2]", "[6]", "[6]");
    check_load(&f, NULL, GRU_OK, NULL);
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    check_load(&f, NULL, GRU_OK, NULL);
    f = one_layer("[6,0]", "[6,2]", NULL, NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_ih_l0\" has 0 columns");
    f = one_layer("[6,3]", "[6,2]", "[6]", NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "only one bias of layer 0");
    f = one_layer("[6,3]", "[6,2]", NULL, "[6]");
    check_load(&f, NULL, GRU_BAD_DATA, "only one bias of layer 0");
    f = one_layer(NULL, "[6,2]", NULL, NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "no tensor \"weight_ih_l0\"");
    f = one_layer("[6,3]", NULL, NULL, NULL);
    check_load(&f, "", GRU_BAD_DATA, "no tensor \"weight_hh_l0\"");
    f = one_layer("[8,3]", "[6,2]", NULL, NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_ih_l0\" is [8][3], expected [6][3]");
    f = one_layer("[18]", "[6,2]", NULL, NULL);
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_ih_l0\" is [18], expected");
    f = one_layer("[6,3]", "[6,2]", "[5]", "[6]");
    check_load(&f, NULL, GRU_BAD_DATA, "\"bias_ih_l0\" is [5], expected [6]");
    f = one_layer("[6,3]", "[6,2]", "[6]", "[6,1]");
    check_load(&f, NULL, GRU_BAD_DATA, "\"bias_hh_l0\" is [6][1], expected [6]");
    f = one_layer("[6,3]", "[6,3]", NULL, NULL);
    check_load(&f, "", GRU_BAD_DATA, "\"weight_hh_l0\" is [6][3], expected [9][3]");
    f = one_layer("[6,3]", "[12]", NULL, NULL);
    check_load(&f, "", GRU_BAD_DATA, "\"weight_hh_l0\" has rank 1");
    f = one_layer("[0,3]", "[0,0]", NULL, NULL);
    check_load(&f, "", GRU_BAD_DATA, "expected [3H][H]");
}

TEST(load, layers_and_directions_must_fit) {
    file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "weight_ih_l0_reverse", "F32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0_reverse", "F32", "[6,2]", 48);
    check_load(&f, NULL, GRU_OK, NULL);
    file_maker next = f;
    file_add_tensor(&next, "weight_ih_l1", "F32", "[3,4]", 48);
    file_add_tensor(&next, "weight_hh_l1", "F32", "[3,1]", 12);
    check_load(&next, NULL, GRU_OK, NULL);
    file_add(&next, "__metadata__", "{\"gru.merge\":\"sum\"}");
    check_load(&next, NULL, GRU_BAD_DATA, "\"weight_ih_l1\" is [3][4], expected [3][2]");
    next = f;
    file_add_tensor(&next, "weight_ih_l2", "F32", "[3,4]", 48);
    check_load(&next, NULL, GRU_BAD_DATA, "\"weight_ih_l2\", but no layer 1 below it");
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "weight_ih_l0_reverse", "F32", "[3,3]", 36);
    file_add_tensor(&f, "weight_hh_l0_reverse", "F32", "[3,1]", 12);
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_hh_l0_reverse\" is [3][1], expected [6][2]");
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "bias_ih_l0_reverse", "F32", "[6]", 24);
    check_load(&f, NULL, GRU_BAD_DATA, "no tensor \"weight_ih_l0_reverse\"");
    memset(&f, 0, sizeof f);
    file_add_tensor(&f, "weight_ih_l0", "F32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0", "F16", "[6,2]", 24);
    check_load(&f, NULL, GRU_BAD_DATA, "different types");
    memset(&f, 0, sizeof f);
    file_add_tensor(&f, "weight_ih_l0", "I32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0", "I32", "[6,2]", 48);
    check_load(&f, NULL, GRU_BAD_DATA, "is no F32, F16, BF16 or F64");
}

TEST(load, prefixes) {
    file_maker f = {.offset = 0};
    file_add_tensor(&f, "lstm.weight_ih_l0", "F32", "[8,3]", 96);
    file_add_tensor(&f, "lstm.weight_hh_l0", "F32", "[8,2]", 64);
    check_load(&f, NULL, GRU_BAD_DATA, "has no GRU");
    file_add_tensor(&f, "b.weight_ih_l0", "F32", "[6,3]", 72);
    file_add_tensor(&f, "b.weight_hh_l0", "F32", "[6,2]", 48);
    check_load(&f, NULL, GRU_OK, NULL);
    file_add_tensor(&f, "a.weight_ih_l0_reverse", "F32", "[6,3]", 72);
    file_add_tensor(&f, "a.weight_hh_l0_reverse", "F32", "[6,2]", 48);
    check_load(&f, NULL, GRU_BAD_ARGUMENT, "has 2 GRUs; expected one of \"a.\", \"b.\"");
    check_load(&f, "a.", GRU_OK, NULL);
    check_load(&f, "b.", GRU_OK, NULL);
    check_load(&f, "c.", GRU_BAD_DATA, "no GRU with the prefix \"c.\"; it has \"a.\", \"b.\"");
    check_load(&f, "", GRU_BAD_DATA, "no GRU with the prefix \"\"");
    check_load(&f, "lstm.", GRU_BAD_DATA, "\"lstm.weight_hh_l0\" is [8][2], expected [6][2]");
}

TEST(load, metadata_is_believed_or_refused) {
    static const struct {
        const char *metadata, *words; /* words NULL: loads */
    } cases[] = {
        {"{\"gru.reset\":\"before\",\"gru.l0.gate\":\"hard_sigmoid\",\"gru.hard_slope\":\"0.25\"}", NULL},
        {"{\"gru.lr\":\"0.1\"}", "\"gru.lr\" names no option"},
        {"{\"gru.gru.reset\":\"nothing\",\"x.gru.reset\":\"nothing\",\"note\":\"gru.reset\"}", NULL},
        {"{\"gru.reset\":\"After\"}", "\"gru.reset\" is \"After\""},
        {"{\"gru.l0.update\":\"\"}", "\"gru.l0.update\" is \"\""},
        {"{\"gru.clip\":\"-1\"}", "\"gru.clip\" is \"-1\""},
        {"{\"gru.clip\":\"1e99\"}", "\"gru.clip\" is \"1e99\""},
        {"{\"gru.clip\":\"1 2\"}", "\"gru.clip\" is \"1 2\""},
        {"{\"gru.clip\":\"nan\"}", "\"gru.clip\" is \"nan\""},
        {"{\"gru.dropout\":\"1\"}", "\"gru.dropout\" is \"1\""},
        {"{\"gru.dropout\":\"0.5\"}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
        file_add(&f, "__metadata__", cases[i].metadata);
        check_load(&f, NULL, cases[i].words ? GRU_BAD_DATA : GRU_OK, cases[i].words);
    }
}

/* Data of any alignment: the header's length decides, since nothing pads it. */
TEST(load, unaligned_data) {
    static double y[8][2 * 2];
    const double x[2 * 3] = {0.5, -0.25, 1, 0.75, -1, 0.125};
    gru_context *context = tester_context(NULL, 1);
    for (int shift = 0; shift < 8; shift++) {
        file_maker f = one_layer("[6,3]", "[6,2]", "[6]", "[6]");
        char pad[16] = "\"xxxxxxx\"";
        (void)snprintf(pad, sizeof pad, "\"%.*s\"", shift, "xxxxxxxx");
        char metadata[64];
        (void)snprintf(metadata, sizeof metadata, "{\"pad\":%s}", pad);
        file_add(&f, "__metadata__", metadata);
        size_t size;
        void *bytes = file_finish(&f, &size);
        gru_file *file = NULL;
        gru_stack *stack = NULL;
        const gru_load_options options = file_fixture_f64_options();
        const gru_status status = gru_file_parse(bytes, size, &file);
        if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
        gru_file_close(file);
        free(bytes);
        file_fixture_run(stack, 2, 1, x, y[shift]);
        CHECK(memcmp(y[shift], y[0], sizeof y[0]) == 0, "shifted by %d it computes something else", shift);
        gru_stack_release(stack);
    }
    CHECK(y[0][0] != 0, "nothing was computed");
    gru_context_release(context);
}

TEST(load, wrong_arguments) {
    gru_context *context = tester_context(NULL, 1);
    file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    size_t size;
    void *bytes = file_finish(&f, &size);
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    const gru_status status = gru_file_parse(bytes, size, &file);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    CHECK(gru_stack_load(NULL, file, NULL, &stack) == GRU_BAD_ARGUMENT, "context NULL");
    CHECK(gru_stack_load(context, NULL, NULL, &stack) == GRU_BAD_ARGUMENT, "file NULL");
    CHECK(gru_stack_load(context, file, NULL, NULL) == GRU_BAD_ARGUMENT, "stack NULL");
    options.io_type = 77;
    CHECK(gru_stack_load(context, file, &options, &stack) == GRU_BAD_ARGUMENT, "io_type 77");
    options.io_type = 0, options.reserved[0] = 1;
    CHECK(gru_stack_load(context, file, &options, &stack) == GRU_BAD_ARGUMENT, "reserved");
    CHECK(!stack, "a refused call made a stack");
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
}
