/* test_api_backward.c: every argument of gru_layer_backward, wrong in every way; nothing may have been written. */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "support/valid_run.h"

static const float one = 1;

static void fill_gradients(const valid_run *valid, gru_gradients *g) {
    memset(g, 0, sizeof *g);
    g->dy = valid->p->dy;
    g->dhT = valid->p->dhT;
    g->loss_scale = &one;
    g->dx.data = valid->g.data[GRAD_X];
    g->dprojected.data = valid->g.data[GRAD_PROJECTED];
    g->dattention.data = valid->g.data[GRAD_ATTENTION];
    g->dh0 = valid->g.data[GRAD_H0];
    g->dh_restart = valid->g.data[GRAD_H_RESET];
    g->dW = valid->g.data[GRAD_W];
    g->dR = valid->g.data[GRAD_R];
    g->dbW = valid->g.data[GRAD_BW];
    g->dbR = valid->g.data[GRAD_BR];
}

/* change: statements on `run` and `g`. */
#define BACKWARD_REFUSED(change, expected, name, value)                                                 \
    do {                                                                                                \
        gru_run run = valid.r.run;                                                                      \
        gru_gradients g;                                                                                \
        fill_gradients(&valid, &g);                                                                     \
        run.workspace = valid.wide;                                                                     \
        run.workspace_size = 1 << 16;                                                                   \
        change;                                                                                         \
        check_refused(&valid, gru_layer_backward(valid.r.layer, &run, &g), (expected), #change, (name), \
                      (value));                                                                         \
    } while (0)

TEST(api_backward, arguments) {
    valid_run valid;
    gru_gradients none = GRU_INIT;
    static const int64_t late[] = {1, 2, 5, 6};
    valid_run_make(&valid, all_options);
    check_refused(&valid, gru_layer_backward(NULL, &valid.r.run, &none), GRU_BAD_ARGUMENT, "no layer",
                  "layer", "NULL");
    check_refused(&valid, gru_layer_backward(valid.r.layer, NULL, &none), GRU_BAD_ARGUMENT, "no run", "run",
                  "NULL");
    check_refused(&valid, gru_layer_backward(valid.r.layer, &valid.r.run, NULL), GRU_BAD_ARGUMENT,
                  "no gradients", "gradients", "NULL");
    BACKWARD_REFUSED(run.mode = GRU_INFERENCE, GRU_BAD_ARGUMENT, "run.mode", "GRU_INFERENCE");
    BACKWARD_REFUSED(run.T = -1, GRU_BAD_ARGUMENT, "run.T", "-1");
    BACKWARD_REFUSED(run.N = -3, GRU_BAD_ARGUMENT, "run.N", "-3");
    BACKWARD_REFUSED(run.mode = 3, GRU_BAD_ARGUMENT, "run.mode", "3");
    BACKWARD_REFUSED(run.T = INT64_MAX / 64, GRU_BAD_ARGUMENT, "T ", text_of(INT64_MAX / 64));
    BACKWARD_REFUSED(run.N = INT64_MAX, GRU_BAD_ARGUMENT, "N ", text_of(INT64_MAX));
    BACKWARD_REFUSED(run.mask.data = valid.wide, GRU_BAD_ARGUMENT, "run.lengths and run.mask", "both");
    BACKWARD_REFUSED((run.lengths = NULL, run.offsets = late, run.ragged_rows = 6), GRU_BAD_DATA,
                     "run.offsets[0] is 1", "expected 0");
    BACKWARD_REFUSED((run.lengths = NULL, run.batch_sizes = late, run.ragged_rows = 14), GRU_BAD_ARGUMENT,
                     "run.ragged_rows", "14");
    BACKWARD_REFUSED((run.lengths = NULL, run.offsets = late, run.ragged_rows = 6, g.dx.batch_stride = I),
                     GRU_BAD_ARGUMENT, "gradients.dx.batch_stride", "ragged");
    BACKWARD_REFUSED(run.reserved[3] = 77, GRU_BAD_ARGUMENT, "run.reserved", "77");
    BACKWARD_REFUSED(run.projected.data = run.x.data, GRU_BAD_ARGUMENT, "run.projected", "both given");
    BACKWARD_REFUSED(run.x.data = NULL, GRU_BAD_ARGUMENT, "run.x", "NULL");
    BACKWARD_REFUSED(run.stream = valid.wide, GRU_BAD_ARGUMENT, "run.stream", "CPU");
    BACKWARD_REFUSED(g.parts = 8, GRU_BAD_ARGUMENT, "gradients.parts", "0x8");
    BACKWARD_REFUSED(g.parts = UINT32_MAX, GRU_BAD_ARGUMENT, "gradients.parts", "0xffffffff");
    BACKWARD_REFUSED(g.dprojected.data = valid.wide, GRU_BAD_ARGUMENT, "gradients.dprojected", "projected");
    BACKWARD_REFUSED(run.attention.data = NULL, GRU_BAD_ARGUMENT, "gradients.dattention", "attention");
    for (int i = 0; i < 8; i++)
        BACKWARD_REFUSED(g.reserved[i] = 5, GRU_BAD_ARGUMENT, "gradients.reserved", "5");
    BACKWARD_REFUSED(run.workspace = NULL, GRU_BAD_ARGUMENT, "run.workspace", "NULL");
    BACKWARD_REFUSED(run.workspace_size = valid.r.sizes.backward_workspace - 1, GRU_BAD_ARGUMENT,
                     "run.workspace_size", text_of((long long)valid.r.sizes.backward_workspace));
    BACKWARD_REFUSED(run.workspace = (char *)valid.wide + 32, GRU_BAD_ARGUMENT, "run.workspace",
                     "multiple of 64");
    BACKWARD_REFUSED(run.reserve = NULL, GRU_BAD_ARGUMENT, "run.reserve", "NULL");
    BACKWARD_REFUSED(run.reserve = (char *)run.reserve + 4, GRU_BAD_ARGUMENT, "run.reserve",
                     "multiple of 64");
    BACKWARD_REFUSED(run.reserve_size = 0, GRU_BAD_ARGUMENT, "run.reserve_size", "is 0");
    BACKWARD_REFUSED(run.reserve_size -= 1, GRU_BAD_ARGUMENT, "run.reserve_size",
                     text_of((long long)valid.r.sizes.reserve));
    BACKWARD_REFUSED(run.packed = (const char *)run.packed + 4, GRU_BAD_ARGUMENT, "run.packed",
                     "multiple of 64");
    valid_run_release(&valid);
}

TEST(api_backward, alignment) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    char *odd = (char *)valid.wide + 1;
    BACKWARD_REFUSED(g.dy.data = odd, GRU_BAD_ARGUMENT, "gradients.dy", "multiple of 4");
    BACKWARD_REFUSED(g.dhT = odd, GRU_BAD_ARGUMENT, "gradients.dhT", "multiple of 4");
    BACKWARD_REFUSED(g.loss_scale = (const float *)odd, GRU_BAD_ARGUMENT, "gradients.loss_scale",
                     "multiple of 4");
    BACKWARD_REFUSED(g.dx.data = odd, GRU_BAD_ARGUMENT, "gradients.dx", "multiple of 4");
    BACKWARD_REFUSED(g.dh0 = odd, GRU_BAD_ARGUMENT, "gradients.dh0", "multiple of 4");
    BACKWARD_REFUSED(g.dh_restart = odd, GRU_BAD_ARGUMENT, "gradients.dh_restart", "multiple of 4");
    BACKWARD_REFUSED(g.dattention.data = odd, GRU_BAD_ARGUMENT, "gradients.dattention", "multiple of 4");
    BACKWARD_REFUSED(g.dW = odd, GRU_BAD_ARGUMENT, "gradients.dW", "multiple of 4");
    BACKWARD_REFUSED(g.dR = odd, GRU_BAD_ARGUMENT, "gradients.dR", "multiple of 4");
    BACKWARD_REFUSED(g.dbW = odd, GRU_BAD_ARGUMENT, "gradients.dbW", "multiple of 4");
    BACKWARD_REFUSED(g.dbR = odd, GRU_BAD_ARGUMENT, "gradients.dbR", "multiple of 4");
    valid_run_release(&valid);
}

static const int32_t wrong_lengths[N] = {T + 1, -1, INT_MAX};

TEST(api_backward, lengths) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    for (int i = 0; i < N; i++) {
        int32_t lengths[N] = {0};
        lengths[i] = wrong_lengths[i];
        BACKWARD_REFUSED(run.lengths = lengths, GRU_BAD_DATA, "run.lengths[", text_of(wrong_lengths[i]));
    }
    valid_run_release(&valid);
}

/* Each wrong pair of strides of one view of the gradients. */
#define WRONG_STRIDES(view)                                                                           \
    do {                                                                                              \
        static const char name[] = "gradients." #view;                                                \
        BACKWARD_REFUSED(g.view.time_stride = -1, GRU_BAD_ARGUMENT, name, "time_stride is -1");       \
        BACKWARD_REFUSED(g.view.batch_stride = -1, GRU_BAD_ARGUMENT, name, "batch_stride is -1");     \
        BACKWARD_REFUSED(g.view.time_stride = INT64_MIN, GRU_BAD_ARGUMENT, name, text_of(INT64_MIN)); \
        BACKWARD_REFUSED(g.view.time_stride = INT64_MAX, GRU_BAD_ARGUMENT, name, text_of(INT64_MAX)); \
        BACKWARD_REFUSED(g.view.batch_stride = INT64_MAX / 2, GRU_BAD_ARGUMENT, name,                 \
                         text_of(INT64_MAX / 2));                                                     \
        BACKWARD_REFUSED((g.view.time_stride = INT64_MAX / 8, g.view.batch_stride = INT64_MAX / 8),   \
                         GRU_BAD_ARGUMENT, name, text_of(INT64_MAX / 8));                             \
    } while (0)

TEST(api_backward, strides) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    WRONG_STRIDES(dy);
    WRONG_STRIDES(dx);
    WRONG_STRIDES(dattention);
    BACKWARD_REFUSED(g.dx.batch_stride = I - 1, GRU_BAD_ARGUMENT, "gradients.dx", "batch_stride 1");
    BACKWARD_REFUSED((g.dx.batch_stride = I, g.dx.time_stride = I), GRU_BAD_ARGUMENT, "gradients.dx",
                     "stride 2");
    valid_run_release(&valid);
}

/* ---- overlaps ---------------------------------------------------------------------------------------------------- */

/* A pointer of the call. */
typedef struct place {
    const char *name;
    size_t offset;
    int of_run; /* in gru_run, else in gru_gradients */
} place;

#define OF_GRADIENTS(field, path) \
    { "gradients." field, offsetof(gru_gradients, path), 0 }
#define OF_RUN(field, path) \
    { "run." field, offsetof(gru_run, path), 1 }

static const place written[] = {OF_GRADIENTS("dx", dx.data), OF_GRADIENTS("dattention", dattention.data),
                                OF_GRADIENTS("dh0", dh0),    OF_GRADIENTS("dh_restart", dh_restart),
                                OF_GRADIENTS("dW", dW),      OF_GRADIENTS("dR", dR),
                                OF_GRADIENTS("dbW", dbW),    OF_GRADIENTS("dbR", dbR)};
static const place only_read[] = {OF_GRADIENTS("dy", dy.data),
                                  OF_GRADIENTS("dhT", dhT),
                                  OF_GRADIENTS("loss_scale", loss_scale),
                                  OF_RUN("x", x.data),
                                  OF_RUN("attention", attention.data),
                                  OF_RUN("restart", restart.data),
                                  OF_RUN("h_restart", h_restart),
                                  OF_RUN("lengths", lengths),
                                  OF_RUN("packed", packed),
                                  OF_RUN("workspace", workspace),
                                  OF_RUN("reserve", reserve)};
enum { WRITTEN = sizeof written / sizeof *written, READ = sizeof only_read / sizeof *only_read };

static void *pointer_of(const place *p, const gru_run *run, const gru_gradients *g) {
    void *pointer;
    memcpy(&pointer, (p->of_run ? (const char *)run : (const char *)g) + p->offset, sizeof pointer);
    return pointer;
}

/* What is written lies where the other buffer begins. */
static void refuse_overlap(const valid_run *valid, const place *output, const place *other) {
    gru_run run = valid->r.run;
    gru_gradients g;
    char what[96];
    fill_gradients(valid, &g);
    run.workspace = valid->wide, run.workspace_size = VALID_RUN_WIDE;
    void *taken = pointer_of(other, &run, &g);
    REQUIRE(taken && pointer_of(output, &run, &g), "%s or %s is NULL", output->name, other->name);
    memcpy((char *)&g + output->offset, &taken, sizeof taken);
    (void)snprintf(what, sizeof what, "%s at %s", output->name, other->name);
    check_refused(valid, gru_layer_backward(valid->r.layer, &run, &g), GRU_BAD_ARGUMENT, what, output->name,
                  other->name);
}

TEST(api_backward, overlaps) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    for (int i = 0; i < WRITTEN; i++) {
        for (int k = 0; k < READ; k++) refuse_overlap(&valid, &written[i], &only_read[k]);
        for (int k = 0; k < WRITTEN; k++)
            if (k != i) refuse_overlap(&valid, &written[i], &written[k]);
    }
    float *other = (float *)valid.wide + 8192; /* by the last number only */
    BACKWARD_REFUSED((g.dW = other, g.dR = other + 3 * H * I - 1), GRU_BAD_ARGUMENT, "gradients.dW",
                     "gradients.dR");
    BACKWARD_REFUSED((g.dh0 = other, g.dbW = other + N * H - 1), GRU_BAD_ARGUMENT, "gradients.dh0",
                     "gradients.dbW");
    valid_run_release(&valid);
}

/* Rows of one buffer: dy in its first columns, dx behind them. */
TEST(api_backward, columns_of_one_buffer) {
    enum { ROW = H + I };
    valid_run valid;
    valid_run_make(&valid, all_options);
    gru_run run = valid.r.run;
    gru_gradients g;
    fill_gradients(&valid, &g);
    run.workspace = valid.wide, run.workspace_size = VALID_RUN_WIDE;
    float *buffer = tester_allocate(T * N * ROW * sizeof *buffer);
    for (int i = 0; i < T * N; i++)
        memcpy(buffer + i * ROW, (const float *)valid.p->dy.data + i * H, H * sizeof *buffer);
    g.dy = (gru_const_view){buffer, N * ROW, ROW};
    g.dx = (gru_view){buffer + H, N * ROW, ROW};
    CHECK(gru_layer_backward(valid.r.layer, &run, &g) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < T * N; i++)
        CHECK(memcmp(buffer + i * ROW + H, (const float *)valid.g.data[GRAD_X] + i * I, I * sizeof *buffer) ==
                  0,
              "row %d of dx differs", i);
    memcpy(buffer, valid.p->dy.data, T * N * H * sizeof *buffer);
    g.dx.data = buffer + H - 1;
    valid.hash = tester_hash(1, buffer, T * N * ROW * sizeof *buffer);
    CHECK(gru_layer_backward(valid.r.layer, &run, &g) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "gradients.dx"),
          "one column is both dy's and dx's: %s", gru_last_error());
    CHECK(tester_hash(1, buffer, T * N * ROW * sizeof *buffer) == valid.hash, "a refused call wrote dx");
    tester_free(buffer);
    valid_run_release(&valid);
}

/* ---- what else can be wrong -------------------------------------------------------------------------------------- */

TEST(api_backward, loss_scale) {
    static const float wrong[] = {0, -0.0f, -1, INFINITY, -INFINITY, NAN, 0x1p-128f};
    static const char *const texts[] = {"0", "-0", "-1", "inf", "-inf", "nan", "2.93874e-39"};
    valid_run valid;
    valid_run_make(&valid, all_options);
    for (int i = 0; i < 7; i++)
        BACKWARD_REFUSED(g.loss_scale = &wrong[i], GRU_BAD_DATA, "gradients.loss_scale", texts[i]);
    valid_run_release(&valid);
}

TEST(api_backward, of_another_reserve) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    void *never = tester_allocate(valid.r.sizes.reserve);
    memset(never, 0, valid.r.sizes.reserve);
    BACKWARD_REFUSED(run.reserve = never, GRU_BAD_ARGUMENT, "run.reserve", "training");
    BACKWARD_REFUSED(memset(never, 0xFF, valid.r.sizes.reserve);
                     run.reserve = never, GRU_BAD_ARGUMENT, "run.reserve", "training");
    BACKWARD_REFUSED((run.T = T - 1, run.lengths = NULL), GRU_BAD_ARGUMENT, "run.reserve", "T 4");
    BACKWARD_REFUSED(run.N = N - 1, GRU_BAD_ARGUMENT, "run.reserve", "N 3");
    BACKWARD_REFUSED(g.parts = GRU_GRAD_WEIGHTS, GRU_BAD_ARGUMENT, "gradients.parts", "GRU_GRAD_WEIGHTS");
    tester_free(never);
    valid_run_release(&valid);
}

/* Layers whose reserves have the same size, and mean something else. */
TEST(api_backward, of_another_layers_reserve) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    for (int i = 0; i < 8; i++) {
        gru_layer_config config = GRU_INIT;
        config.inputs = i == 0 ? I + 1 : I, config.hidden = H;
        config.reset_mode = i == 1, config.update = i == 2, config.gate = i == 3;
        config.candidate = i == 4, config.direction = i == 5;
        config.clip = i == 6 ? 3 : 0, config.hard_slope = i == 7 ? 0.25f : 0;
        const shape sizes = {T, N, config.inputs, H, "another layer"};
        problem *p = problem_make(&sizes, &config, PROBLEM_TRAIN, 2);
        result r;
        problem_run(p, valid.context, &r);
        REQUIRE(r.sizes.reserve == valid.r.sizes.reserve, "another size");
        BACKWARD_REFUSED(run.reserve = r.run.reserve, GRU_BAD_ARGUMENT, "run.reserve", "like this one");
        result_free(&r);
        problem_free(p);
    }
    valid_run_release(&valid);
}

TEST(api_backward, of_projected_input) {
    valid_run valid;
    valid_run_make(&valid, all_options | PROBLEM_PROJECTED);
    BACKWARD_REFUSED(g.dx.data = valid.wide, GRU_BAD_ARGUMENT, "gradients.dx", "projected");
    BACKWARD_REFUSED(g.dW = valid.wide, GRU_BAD_ARGUMENT, "gradients.dW", "projected");
    BACKWARD_REFUSED(g.dbW = valid.wide, GRU_BAD_ARGUMENT, "gradients.dbW", "projected");
    BACKWARD_REFUSED(g.dprojected.data = (char *)valid.wide + 2, GRU_BAD_ARGUMENT, "gradients.dprojected",
                     "multiple of 4");
    WRONG_STRIDES(dprojected);
    BACKWARD_REFUSED(g.dprojected.batch_stride = 3 * H - 1, GRU_BAD_ARGUMENT, "gradients.dprojected",
                     "batch_stride 14");
    BACKWARD_REFUSED(g.dprojected.data = (void *)(uintptr_t)run.projected.data, GRU_BAD_ARGUMENT,
                     "gradients.dprojected", "run.projected");
    BACKWARD_REFUSED(g.dR = g.dprojected.data, GRU_BAD_ARGUMENT, "gradients.dprojected", "gradients.dR");
    valid_run_release(&valid);
}

/* An engine without a backward pass, insisted on, says so. */
TEST(api_backward, of_an_engine_that_has_none) {
    const shape sizes = {T, N, I, H, "small"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context("cpu_scalar", 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_TRAIN, 1);
    result r;
    gradients g;
    problem_run(p, context, &r);
    gradients_make(p, &g);
    const gru_status status = problem_backward(p, &r, 0, &g);
    CHECK(status == GRU_OK || (status == GRU_UNSUPPORTED && strstr(gru_last_error(), "cpu_scalar")),
          "%s: \"%s\"", gru_status_name(status), gru_last_error());
    gradients_free(&g);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}
