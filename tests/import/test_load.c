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
    check_load(&f, NULL, GRU_OK, NULL); /* side by side, sizes may differ */
    file_add(&f, "__metadata__", "{\"gru.merge\":\"average\"}");
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
        {"{\"note\":\"gru.reset\",\"x.gru.note\":\"free\",\"reset\":\"nothing\",\"gru\":\"nothing\"}", NULL},
        {"{\"gru.gru.reset\":\"after\"}",
         "\"gru.gru.reset\" is of a GRU with the prefix \"gru.\", but the GRUs here have \"\""},
        {"{\"x.gru.reset\":\"after\"}", "\"x.gru.reset\" is of a GRU with the prefix \"x.\""},
        {"{\"x.gru.l2.clip\":\"1\"}", "\"x.gru.l2.clip\" is of a GRU with the prefix \"x.\""},
        {"{\"gru.note.reset\":\"after\"}", "\"gru.note.reset\" names no option"},
        {"{\"gru.\":\"after\"}", "\"gru.\" names no option"},
        {"{\"gru.l0.rezet\":\"after\"}", "\"gru.l0.rezet\" names no option"},
        {"{\"gru.l0\":\"after\"}", "\"gru.l0\" names no option"},
        {"{\"gru.l0.dropout\":\"0.5\"}", "\"gru.l0.dropout\" names no option"},
        {"{\"gru.l00.reset\":\"after\"}", "\"gru.l00.reset\" names no option"},
        {"{\"gru.l-1.reset\":\"after\"}", "\"gru.l-1.reset\" names no option"},
        {"{\"gru.l1.reset\":\"after\"}", "\"gru.l1.reset\" is of a layer that is not there: the GRU has 1"},
        {"{\"gru.l4294967296.reset\":\"after\"}",
         "\"gru.l4294967296.reset\" is of a layer that is not there"},
        {"{\"gru.l18446744073709551616.reset\":\"after\"}", "is of a layer that is not there"},
        {"{\"gru.reset\":\"After\"}", "\"gru.reset\" is \"After\""},
        {"{\"gru.l0.update\":\"\"}", "\"gru.l0.update\" is \"\""},
        {"{\"gru.clip\":\"-1\"}", "\"gru.clip\" is \"-1\""},
        {"{\"gru.clip\":\"1e99\"}", "\"gru.clip\" is \"1e99\""},
        {"{\"gru.clip\":\"1 2\"}", "\"gru.clip\" is \"1 2\""},
        {"{\"gru.clip\":\"nan\"}", "\"gru.clip\" is \"nan\""},
        {"{\"gru.clip\":\"0x1\"}", "\"gru.clip\" is \"0x1\""},
        {"{\"gru.clip\":\".5\"}", "\"gru.clip\" is \".5\""},
        {"{\"gru.clip\":\"0,5\"}", "\"gru.clip\" is \"0,5\""},
        {"{\"gru.clip\":\"+1\"}", "\"gru.clip\" is \"+1\""},
        {"{\"gru.clip\":\"1e\"}", "\"gru.clip\" is \"1e\""},
        {"{\"gru.clip\":\"01\"}", "\"gru.clip\" is \"01\""},
        {"{\"gru.clip\":\"1.\"}", "\"gru.clip\" is \"1.\""},
        {"{\"gru.clip\":\"\"}", "\"gru.clip\" is \"\""},
        {"{\"gru.clip\":\"1e-50\"}", "\"gru.clip\" is \"1e-50\", which single precision rounds to 0"},
        {"{\"gru.clip\":\"1e-40\"}", NULL},
        {"{\"gru.clip\":\"2.5E+1\",\"gru.l0.clip\":\"0\"}", NULL},
        {"{\"gru.hard_slope\":\"0\"}", "\"gru.hard_slope\" is \"0\", expected a number above 0"},
        {"{\"gru.dropout\":\"1e-60\"}", "\"gru.dropout\" is \"1e-60\", which single precision rounds to 0"},
        {"{\"gru.dropout\":\"0.99999999999\"}", "\"gru.dropout\" is \"0.99999999999\""},
        {"{\"gru.gate\":\"leaky_relu\",\"gru.gate_alpha\":\"0.3\",\"gru.candidate\":\"affine\",\"gru."
         "candidate_alpha\":\"-2\","
         "\"gru.candidate_beta\":\"0\"}",
         NULL},
        {"{\"gru.gate\":\"leaky_relu\",\"gru.gate_alpha\":\"0.3\",\"gru.l0.gate\":\"sigmoid\"}", NULL},
        {"{\"gru.gate\":\"hard_sigmoid\",\"gru.hard_slope\":\"0.3\",\"gru.gate_beta\":\"0.4\"}", NULL},
        {"{\"gru.gate\":\"Relu\"}", "\"gru.gate\" is \"Relu\", expected a function such as sigmoid"},
        {"{\"gru.gate\":\"leaky_relu\",\"gru.gate_alpha\":\"0\"}",
         "\"gru.gate_alpha\" is \"0\", expected another number than 0"},
        {"{\"gru.gate\":\"leaky_relu\",\"gru.gate_alpha\":\"1e-50\"}",
         "\"gru.gate_alpha\" is \"1e-50\", which single"},
        {"{\"gru.candidate\":\"affine\",\"gru.candidate_alpha\":\"-1e39\"}",
         "\"gru.candidate_alpha\" is \"-1e39\""},
        {"{\"gru.merge\":\"ave\"}",
         "\"gru.merge\" is \"ave\", expected concat, sum, separate, average, multiply"},
        {"{\"gru.l0.reverse.reset\":\"all\"}",
         "\"gru.l0.reverse.reset\" is of a direction that is not there"},
        {"{\"gru.l0.reverse.merge\":\"sum\"}", "\"gru.l0.reverse.merge\" names no option"},
        {"{\"gru.reverse.reset\":\"all\"}", "\"gru.reverse.reset\" names no option"},
        {"{\"gru.initial_state\":\"one\"}", "\"gru.initial_state\" is \"one\", expected zeros, learned"},
        {"{\"gru.initial_state\":\"zeros\"}", NULL},
        {"{\"gru.initial_state\":\"learned\"}", "has no tensor \"h0_l0\""},
        {"{\"gru.dropout\":\"1\"}", "\"gru.dropout\" is \"1\""},
        {"{\"gru.dropout\":\"0.5\"}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
        file_add(&f, "__metadata__", cases[i].metadata);
        check_load(&f, NULL, cases[i].words ? GRU_BAD_DATA : GRU_OK, cases[i].words);
    }
}

/* Two GRUs, one of whose prefixes begins like a key of the other. */
TEST(load, keys_belong_to_the_longest_prefix) {
    file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "gru.weight_ih_l0", "F32", "[6,3]", 72);
    file_add_tensor(&f, "gru.weight_hh_l0", "F32", "[6,2]", 48);
    file_maker right = f;
    file_add(&right, "__metadata__", "{\"gru.gru.reset\":\"before\",\"gru.reset\":\"all\"}");
    check_load(&right, "", GRU_OK, NULL);
    check_load(&right, "gru.", GRU_OK, NULL);
    file_add(&f, "__metadata__", "{\"gru.gru.rezet\":\"before\"}");
    check_load(&f, "", GRU_OK, NULL); /* the other's mistake */
    check_load(&f, "gru.", GRU_BAD_DATA, "\"gru.gru.rezet\" names no option");
}

/* ---- tied weights ---- */

/* What the stack of the only GRU of a file computes, in f64; -1 sublayers: it was refused. */
static int32_t run_file(const file_maker *maker, const char *prefix, const double x[2 * 3], double y[2 * 4]) {
    gru_context *context = tester_context(NULL, 1);
    gru_load_options options = file_fixture_f64_options();
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    void *bytes = file_fixture_parse(maker, &file);
    options.prefix = prefix;
    REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
    const int32_t sublayers = gru_stack_sublayers(stack);
    memset(y, 0, 8 * sizeof *y);
    file_fixture_run(stack, 2, 1, x, y);
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    free(bytes);
    return sublayers;
}

/* As save_model of the safetensors package leaves a layer whose directions share their weights: of two names one is kept, and
 * the other becomes a key. */
TEST(load, tied_directions) {
    static const double x[2 * 3] = {0.5, -0.25, 1, 0.75, -1, 0.125};
    double one[8], tied[8];
    file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    REQUIRE(run_file(&f, NULL, x, one) == 1, "not one sublayer");
    file_maker kept = f;
    file_add(&kept, "__metadata__",
             "{\"weight_ih_l0_reverse\":\"weight_ih_l0\",\"weight_hh_l0_reverse\":\"weight_hh_l0\"}");
    REQUIRE(run_file(&kept, NULL, x, tied) == 2, "not two sublayers");
    for (int t = 0; t < 2; t++) /* the forward half of each row */
        CHECK(memcmp(tied + 4 * t, one + 2 * t, 2 * sizeof *one) == 0, "forward differs at step %d", t);
    CHECK(tied[4 + 2] != 0 && tied[2] != one[0], "reverse was not run from the end");
    memset(&kept, 0, sizeof kept);
    file_add_tensor(&kept, "weight_ih_l0_reverse", "F32", "[6,3]", 72);
    file_add_tensor(&kept, "weight_hh_l0_reverse", "F32", "[6,2]", 48);
    file_add(&kept, "__metadata__",
             "{\"weight_ih_l0\":\"weight_ih_l0_reverse\",\"weight_hh_l0\":\"weight_hh_l0_reverse\"}");
    double other[8];
    REQUIRE(run_file(&kept, NULL, x, other) == 2, "not two sublayers");
    CHECK(memcmp(other, tied, sizeof tied) == 0, "it depends on which name was kept");
    file_add(&f, "__metadata__", "{\"weight_hh_l0_reverse\":\"weight_hh_l9\"}");
    check_load(
        &f, NULL, GRU_BAD_DATA,
        "\"weight_hh_l0_reverse\" is the tensor \"weight_hh_l9\", says its metadata, but there is none");
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add(&f, "__metadata__", "{\"weight_hh_l0_reverse\":\"weight_hh_l0\"}");
    check_load(&f, NULL, GRU_BAD_DATA, "no tensor \"weight_ih_l0_reverse\"");
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add(&f, "__metadata__", "{\"weight_hh_l2\":\"weight_hh_l0\"}");
    check_load(&f, NULL, GRU_BAD_DATA, "\"weight_hh_l2\", but no layer 1 below it");
}

TEST(load, two_names_of_one_gru) {
    static const double x[2 * 3] = {0.5, -0.25, 1, 0.75, -1, 0.125};
    double a[8], b[8];
    file_maker f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add(&f, "__metadata__", "{\"b.weight_ih_l0\":\"weight_ih_l0\",\"b.weight_hh_l0\":\"weight_hh_l0\"}");
    check_load(&f, NULL, GRU_BAD_ARGUMENT, "has 2 GRUs; expected one of \"\", \"b.\"");
    REQUIRE(run_file(&f, "", x, a) == 1 && run_file(&f, "b.", x, b) == 1, "not one sublayer");
    CHECK(memcmp(a, b, sizeof a) == 0 && a[0] != 0, "they differ");
}

/* ---- learned initial states ---- */

TEST(load, learned_initial_states_are_those_that_a_run_starts_from) {
    static const double x[2 * 3] = {0.5, -0.25, 1, 0.75, -1, 0.125};
    enum { N = 3 };
    file_maker f = one_layer("[6,3]", "[6,2]", "[6]", "[6]");
    file_add_tensor(&f, "weight_ih_l0_reverse", "F32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0_reverse", "F32", "[6,2]", 48);
    file_add_tensor(&f, "h0_l0", "F32", "[2]", 8);
    file_add_tensor(&f, "h0_l0_reverse", "F32", "[2]", 8);
    file_maker unused = f;
    file_add(&f, "__metadata__", "{\"gru.initial_state\":\"learned\"}");
    gru_context *context = tester_context(NULL, 1);
    gru_load_options options = file_fixture_f64_options();
    double wide[2 * N * 3], y[2][2 * N * 4];
    for (int i = 0; i < 2 * N * 3; i++) wide[i] = x[i % 3 + i / (3 * N) * 3] * (i / 3 % N + 1);
    double h0[2][N * 2];
    for (int which = 0; which < 2; which++) {
        gru_file *file = NULL;
        gru_stack *stack = NULL;
        gru_tensor state[2];
        void *bytes = file_fixture_parse(which ? &unused : &f, &file);
        REQUIRE(gru_file_tensor(file, "h0_l0", &state[0]) == GRU_OK &&
                    gru_file_tensor(file, "h0_l0_reverse", &state[1]) == GRU_OK,
                "%s", gru_last_error());
        for (int d = 0; d < 2; d++)
            for (int i = 0; i < 2 * N; i++) {
                float number;
                memcpy(&number, (const char *)state[d].data + (size_t)(i % 2) * sizeof number, sizeof number);
                h0[d][i] = (double)number;
            }
        REQUIRE(gru_stack_load(context, file, &options, &stack) == GRU_OK, "%s", gru_last_error());
        gru_sizes sizes = GRU_INIT;
        gru_stack_run run = GRU_INIT;
        const void *states[2] = {h0[0], h0[1]};
        REQUIRE(gru_stack_sizes(stack, 2, N, &sizes) == GRU_OK, "%s", gru_last_error());
        run.data.T = 2, run.data.N = N;
        run.data.x.data = wide, run.data.y.data = y[which];
        run.data.workspace = tester_allocate(sizes.workspace);
        run.data.workspace_size = sizes.workspace;
        if (which) run.h0 = states; /* the same states, given to a stack that learned none */
        REQUIRE(gru_stack_forward(stack, &run) == GRU_OK, "%s", gru_last_error());
        tester_free(run.data.workspace);
        gru_stack_release(stack);
        gru_file_close(file);
        free(bytes);
    }
    CHECK(h0[0][0] != 0 && memcmp(y[0], y[1], sizeof y[0]) == 0, "the run started from other states");
    gru_context_release(context);
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "h0_l0", "F32", "[1,2]", 8);
    file_add(&f, "__metadata__", "{\"gru.initial_state\":\"learned\"}");
    check_load(&f, NULL, GRU_BAD_DATA, "\"h0_l0\" is [1][2], expected [2]");
    f = one_layer("[6,3]", "[6,2]", NULL, NULL);
    file_add_tensor(&f, "h0_l0", "F64", "[2]", 16);
    file_add(&f, "__metadata__", "{\"gru.initial_state\":\"learned\"}");
    check_load(&f, NULL, GRU_BAD_DATA, "\"h0_l0\" (F64) have different types");
}

/* ---- many layers ---- */

/* Seven keys a layer: walking the list of keys for each layer took minutes. */
TEST(load, many_layers_with_many_keys) {
    enum { LAYERS = 4000, ROOM = LAYERS * 640 };
    char *header = tester_allocate(ROOM);
    size_t used = 0, size;
    gru_context *context = tester_context(NULL, 1);
    gru_file *file = NULL;
    gru_stack *stack = NULL;
#define ADD(...) used += (size_t)snprintf(header + used, ROOM - used, __VA_ARGS__)
    ADD("{\"__metadata__\":{\"gru.reset\":\"after\"");
    for (int k = 0; k < LAYERS; k++)
        ADD(",\"gru.l%d.reset\":\"%s\",\"gru.l%d.update\":\"%s\",\"gru.l%d.gate\":\"sigmoid\",\"gru.l%d."
            "candidate\":\"tanh\","
            "\"gru.l%d.merge\":\"concat\",\"gru.l%d.clip\":\"%d.5\",\"gru.l%d.hard_slope\":\"0.25\"",
            k, k % 2 ? "before" : "all", k, k % 3 ? "write" : "keep", k, k, k, k, k, k);
    ADD("}");
    for (int k = 0; k < LAYERS; k++)
        ADD(",\"weight_ih_l%d\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[%d,%d]},\"weight_hh_l%"
            "d\":{\"dtype\":\"F32\","
            "\"shape\":[3,1],\"data_offsets\":[%d,%d]}",
            k, 24 * k, 24 * k + 12, k, 24 * k + 12, 24 * k + 24);
    ADD("}");
#undef ADD
    REQUIRE(used < ROOM, "no room");
    void *bytes = file_bytes(header, -1, (size_t)LAYERS * 24, &size);
    const gru_status status = gru_file_parse(bytes, size, &file);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_load(context, file, NULL, &stack) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_sublayers(stack) == LAYERS, "%d layers", gru_stack_sublayers(stack));
    for (int32_t k = 0; k < LAYERS; k++) {
        gru_layer_config config;
        REQUIRE(gru_stack_sublayer(stack, k, &config, NULL) == GRU_OK, "%s", gru_last_error());
        CHECK(config.reset_mode == (k % 2 ? GRU_RESET_BEFORE : GRU_RESET_ALL) &&
                  config.update == (k % 3 ? GRU_UPDATE_WRITE : GRU_UPDATE_KEEP) &&
                  config.clip == (float)k + 0.5f && config.hard_slope == 0.25f,
              "layer %d has another variant", k);
    }
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    tester_free(header);
    free(bytes);
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
        gru_file *file = NULL;
        gru_stack *stack = NULL;
        const gru_load_options options = file_fixture_f64_options();
        void *bytes = file_fixture_parse(&f, &file);
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
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_load_options options = GRU_INIT;
    void *bytes = file_fixture_parse(&f, &file);
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
