/* test_api_run.c: every argument of gru_layer_forward, wrong in every way; nothing may have been written. */
#include <limits.h>
#include <string.h>

#include "support/valid_run.h"
#include "support/device_mirror.h"

/* change: statements on `run`, a copy of the right run, and f. */
#define REFUSED(change, expected, name, value)                                                               \
    do {                                                                                                     \
        gru_run run = valid.r.run;                                                                           \
        change;                                                                                              \
        check_refused(&valid, gru_layer_forward(valid.r.layer, &run), (expected), #change, (name), (value)); \
    } while (0)

/* ---- forward ----------------------------------------------------------------------------------------------------- */

TEST(api_run, sizes_and_modes) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    check_refused(&valid, gru_layer_forward(NULL, &valid.r.run), GRU_BAD_ARGUMENT, "no layer", "layer",
                  "NULL");
    check_refused(&valid, gru_layer_forward(valid.r.layer, NULL), GRU_BAD_ARGUMENT, "no run", "run", "NULL");
    REFUSED(run.T = -1, GRU_BAD_ARGUMENT, "run.T", "-1");
    REFUSED(run.T = INT64_MIN, GRU_BAD_ARGUMENT, "run.T", text_of(INT64_MIN));
    REFUSED(run.T = INT64_MAX, GRU_BAD_ARGUMENT, "T ", text_of(INT64_MAX));
    REFUSED(run.T = INT64_MAX / 64, GRU_BAD_ARGUMENT, "T ", text_of(INT64_MAX / 64));
    REFUSED(run.T = 1 << 20, GRU_BAD_ARGUMENT, "_size", "1048576");
    REFUSED(run.N = -1, GRU_BAD_ARGUMENT, "run.N", "-1");
    REFUSED(run.N = INT64_MIN, GRU_BAD_ARGUMENT, "run.N", text_of(INT64_MIN));
    REFUSED((run.N = INT64_MAX, run.hT_slots = run.h0_slots = NULL), GRU_BAD_ARGUMENT, "N ",
            text_of(INT64_MAX));
    REFUSED((run.N = INT64_MAX, run.T = 0, run.hT_slots = run.h0_slots = NULL), GRU_BAD_ARGUMENT, "", "");
    REFUSED((run.N = INT64_MAX / 64, run.T = INT64_MAX / 64, run.hT_slots = run.h0_slots = NULL),
            GRU_BAD_ARGUMENT, "N ", text_of(INT64_MAX / 64));
    REFUSED(run.mode = -1, GRU_BAD_ARGUMENT, "run.mode", "-1");
    REFUSED(run.mode = 3, GRU_BAD_ARGUMENT, "run.mode", "3");
    REFUSED(run.stream = valid.wide, GRU_BAD_ARGUMENT, "run.stream", "CPU");
    for (int i = 0; i < 8; i++) REFUSED(run.reserved[i] = 77, GRU_BAD_ARGUMENT, "run.reserved", "77");
    valid_run_release(&valid);
}

TEST(api_run, inputs) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    const char *odd = (const char *)valid.wide + 1;
    REFUSED(run.x.data = NULL, GRU_BAD_ARGUMENT, "run.x", "NULL");
    REFUSED(run.projected.data = valid.wide, GRU_BAD_ARGUMENT, "run.x and run.projected", "both");
    REFUSED(run.x.data = odd, GRU_BAD_ARGUMENT, "run.x", "multiple of 4");
    REFUSED((run.x.data = NULL, run.projected.data = odd), GRU_BAD_ARGUMENT, "run.projected",
            "multiple of 4");
    REFUSED(run.attention.data = odd, GRU_BAD_ARGUMENT, "run.attention", "multiple of 4");
    REFUSED(run.h_restart = odd, GRU_BAD_ARGUMENT, "run.h_restart", "multiple of 4");
    REFUSED(run.lengths = (const int32_t *)(uintptr_t)(odd), GRU_BAD_ARGUMENT, "run.lengths",
            "multiple of 4");
    REFUSED(run.h0 = odd, GRU_BAD_ARGUMENT, "run.h0", "multiple of 4");
    REFUSED(run.x.time_stride = -6, GRU_BAD_ARGUMENT, "run.x.time_stride", "-6");
    REFUSED(run.x.batch_stride = -2, GRU_BAD_ARGUMENT, "run.x.batch_stride", "-2");
    REFUSED(run.x.time_stride = INT64_MAX, GRU_BAD_ARGUMENT, "run.x", text_of(INT64_MAX));
    REFUSED(run.x.batch_stride = INT64_MAX / 2, GRU_BAD_ARGUMENT, "run.x", text_of(INT64_MAX / 2));
    REFUSED((run.x.data = NULL, run.projected.data = valid.wide, run.projected.time_stride = -1),
            GRU_BAD_ARGUMENT, "run.projected.time_stride", "-1");
    REFUSED(run.restart.time_stride = -1, GRU_BAD_ARGUMENT, "run.restart.time_stride", "-1");
    REFUSED(run.restart.batch_stride = INT64_MAX, GRU_BAD_ARGUMENT, "run.restart", text_of(INT64_MAX));
    REFUSED(run.attention.batch_stride = INT64_MIN, GRU_BAD_ARGUMENT, "run.attention", text_of(INT64_MIN));
    valid_run_release(&valid);
}

TEST(api_run, lengths_and_slots) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    const int32_t negative[N] = {1, 2, -1}, beyond[N] = {0, T + 1, 2}, extreme[N] = {INT_MIN, 0, 0};
    const int32_t twice[N] = {3, 1, 3}, twins[N] = {2, 2, 0}, past[N] = {0, 1, 2 * N + 3},
                  below[N] = {0, -5, 1};
    REFUSED(run.lengths = negative, GRU_BAD_DATA, "run.lengths[2]", "-1");
    REFUSED(run.lengths = beyond, GRU_BAD_DATA, "run.lengths[1]", "5");
    REFUSED(run.lengths = extreme, GRU_BAD_DATA, "run.lengths[0]", "-2147483648");
    REFUSED(run.hT_slots = twice, GRU_BAD_DATA, "run.hT_slots", "3 twice");
    REFUSED(run.hT_slots = twins, GRU_BAD_DATA, "run.hT_slots", "2 twice");
    REFUSED(run.hT_slots = past, GRU_BAD_DATA, "run.hT_slots[2]", "9");
    REFUSED(run.hT_slots = below, GRU_BAD_DATA, "run.hT_slots[1]", "-5");
    REFUSED(run.h0_slots = past, GRU_BAD_DATA, "run.h0_slots[2]", "9");
    REFUSED(run.h0_slots = below, GRU_BAD_DATA, "run.h0_slots[1]", "-5");
    REFUSED(run.slot_count = -1, GRU_BAD_ARGUMENT, "run.slot_count", "-1");
    REFUSED((run.h0_slots = run.hT_slots = NULL, run.slot_count = 2), GRU_BAD_ARGUMENT,
            "run.slot_count is 2, expected 0", "are NULL");
    REFUSED((run.h0_slots = run.hT_slots = NULL, run.slot_count = -1), GRU_BAD_ARGUMENT,
            "run.slot_count is -1", "0");
    REFUSED(run.slot_count = 0, GRU_BAD_DATA, "slots[0]", "slot_count, which is 0");
    REFUSED(run.h0 = NULL, GRU_BAD_ARGUMENT, "run.h0_slots", "NULL");
    REFUSED(run.hT = NULL, GRU_BAD_ARGUMENT, "run.hT_slots", "NULL");
    valid_run_release(&valid);
}

/* T 4, N 3. */
TEST(api_run, masks_and_ragged_batches) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    const void *odd = (const char *)valid.wide + 1;
    const uint8_t mask[T * N] = {1, 1, 1};
    static const int64_t good[] = {0, 2, 5, 6}, falls[] = {0, 3, 2, 6}, late[] = {1, 2, 5, 6},
                         long_one[] = {0, 5, 6, 6};
    static const int64_t beyond[] = {0, 2, 5, 7}, early[] = {0, 2, 4, 5}, negative[] = {0, -1, 5, 6};
    static const int64_t sizes[] = {3, 2, 1, 0}, grow[] = {2, 1, 2, 1}, wide[] = {4, 1, 1, 0},
                         minus[] = {3, 2, 1, -1};
    static const int64_t more[] = {3, 2, 2, 0}, order[] = {2, 0, 1}, twice[] = {2, 0, 2},
                         outside[] = {0, 1, 3}, below[] = {0, -1, 1};
#define MASK (run.lengths = NULL, run.mask.data = mask)
#define OFFSETS(array) (run.lengths = NULL, run.offsets = (array), run.ragged_rows = 6)
#define SIZES(array) (run.lengths = NULL, run.batch_sizes = (array), run.ragged_rows = 6)
    REFUSED(run.mask.data = mask, GRU_BAD_ARGUMENT, "run.lengths and run.mask are both given", "at most one");
    REFUSED((run.offsets = good, run.ragged_rows = 6), GRU_BAD_ARGUMENT, "run.lengths and run.offsets",
            "both");
    REFUSED((MASK, run.batch_sizes = sizes), GRU_BAD_ARGUMENT, "run.mask and run.batch_sizes", "both");
    REFUSED((OFFSETS(good), run.batch_sizes = sizes), GRU_BAD_ARGUMENT, "run.offsets and run.batch_sizes",
            "both");
    REFUSED((MASK, run.mask.time_stride = -1), GRU_BAD_ARGUMENT, "run.mask.time_stride", "-1");
    REFUSED((MASK, run.y.data = (void *)(uintptr_t)mask), GRU_BAD_ARGUMENT, "run.mask", "run.y");
    REFUSED((MASK, run.T = (int64_t)INT32_MAX + 1), GRU_BAD_ARGUMENT, "run.T is 2147483648", "mask");
    REFUSED(run.absent_output = 2, GRU_BAD_ARGUMENT, "run.absent_output", "2");
    REFUSED(run.absent_output = -1, GRU_BAD_ARGUMENT, "run.absent_output", "-1");
    REFUSED(run.ragged_rows = 6, GRU_BAD_ARGUMENT, "run.ragged_rows", "6, expected 0");
    REFUSED(run.batch_order = order, GRU_BAD_ARGUMENT, "run.batch_order", "run.batch_sizes is NULL");
    REFUSED((OFFSETS(good), run.batch_order = order), GRU_BAD_ARGUMENT, "run.batch_order", "NULL");
    REFUSED((OFFSETS(good), run.ragged_rows = -1), GRU_BAD_ARGUMENT, "run.ragged_rows", "-1");
    REFUSED((OFFSETS(good), run.ragged_rows = T * N + 1), GRU_BAD_ARGUMENT, "run.ragged_rows",
            "13, expected 0 to 12");
    REFUSED((OFFSETS(good), run.x.batch_stride = I), GRU_BAD_ARGUMENT, "run.x.batch_stride is 2", "ragged");
    REFUSED((OFFSETS(good), run.y.batch_stride = H), GRU_BAD_ARGUMENT, "run.y.batch_stride is 5", "ragged");
    REFUSED((OFFSETS(good), run.y.time_stride = H - 1), GRU_BAD_ARGUMENT, "run.y", "time_stride 4");
    REFUSED((OFFSETS(good), run.x.data = NULL), GRU_BAD_ARGUMENT, "run.x", "NULL");
    REFUSED(OFFSETS((const int64_t *)odd), GRU_BAD_ARGUMENT, "run.offsets", "multiple of 8");
    REFUSED((OFFSETS(good), run.hT = (void *)(uintptr_t)good), GRU_BAD_ARGUMENT, "run.offsets", "run.hT");
    REFUSED(OFFSETS(late), GRU_BAD_DATA, "run.offsets[0] is 1", "expected 0");
    REFUSED(OFFSETS(falls), GRU_BAD_DATA, "run.offsets[2] is 2", "offsets[1], which is 3");
    REFUSED(OFFSETS(negative), GRU_BAD_DATA, "run.offsets[1] is -1", "which is 0");
    REFUSED(OFFSETS(long_one), GRU_BAD_DATA, "run.offsets[1] is 5", "T, which is 4");
    REFUSED(OFFSETS(beyond), GRU_BAD_DATA, "run.offsets[3] is 7", "ragged_rows, which is 6");
    REFUSED(OFFSETS(early), GRU_BAD_DATA, "run.offsets[3] is 5", "ragged_rows, which is 6");
    REFUSED(SIZES((const int64_t *)odd), GRU_BAD_ARGUMENT, "run.batch_sizes", "multiple of 8");
    REFUSED((SIZES(sizes), run.batch_order = odd), GRU_BAD_ARGUMENT, "run.batch_order", "multiple of 8");
    REFUSED((SIZES(sizes), run.restart.batch_stride = 1), GRU_BAD_ARGUMENT, "run.restart.batch_stride", "1");
    REFUSED(SIZES(grow), GRU_BAD_DATA, "run.batch_sizes[2] is 2", "batch_sizes[1], which is 1");
    REFUSED(SIZES(wide), GRU_BAD_DATA, "run.batch_sizes[0] is 4", "N, which is 3");
    REFUSED(SIZES(minus), GRU_BAD_DATA, "run.batch_sizes[3] is -1", "0 to N");
    REFUSED(SIZES(more), GRU_BAD_DATA, "run.batch_sizes has 7 rows", "which is 6");
    REFUSED((SIZES(sizes), run.batch_order = twice), GRU_BAD_DATA, "run.batch_order has 2 twice", "once");
    REFUSED((SIZES(sizes), run.batch_order = outside), GRU_BAD_DATA, "run.batch_order[2] is 3", "0 to 2");
    REFUSED((SIZES(sizes), run.batch_order = below), GRU_BAD_DATA, "run.batch_order[1] is -1", "0 to 2");
    valid_run_release(&valid);
}

/* More sequences than one reading of batch_order looks for. */
TEST(api_run, orders_of_many_sequences) {
    enum { MANY = 40000 };
    static const int64_t places[] = {7, 20000, MANY - 1};
    static float x[MANY], y[MANY], hT[MANY];
    static int64_t order[MANY];
    const int64_t sizes[1] = {MANY};
    const float W[3] = {0.5f, 0.25f, 1}, R[3] = {0};
    const gru_layer_config config = {.inputs = 1, .hidden = 1};
    const gru_weights weights = {.W = W, .R = R};
    gru_run run = {.T = 1, .N = MANY, .x.data = x, .y.data = y, .hT = hT};
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = NULL;
    run.batch_sizes = sizes, run.batch_order = order, run.ragged_rows = MANY;
    for (int64_t i = 0; i < MANY; i++) x[i] = (float)i / MANY, order[i] = MANY - 1 - i;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_layer_allocate(layer, &run) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < 3; i++) {
        char words[64];
        const int64_t kept = order[places[i]];
        order[places[i]] = order[(places[i] + 1) % MANY];
        (void)snprintf(words, sizeof words, "run.batch_order has %lld twice", (long long)order[places[i]]);
        CHECK(gru_layer_forward(layer, &run) == GRU_BAD_DATA && strstr(gru_last_error(), words), "%s",
              gru_last_error());
        order[places[i]] = kept;
    }
    REQUIRE(gru_layer_forward(layer, &run) == GRU_OK, "%s", gru_last_error());
    for (int64_t i = 0; i < MANY; i++)
        CHECK((y[i] > 0) == (i > 0) && hT[order[i]] == y[i], "sequence %lld ends with another state",
              (long long)order[i]);
    gru_run_free(context, &run);
    gru_layer_release(layer);
    gru_context_release(context);
}

TEST(api_run, outputs) {
    valid_run valid;
    valid_run_make(&valid, all_options & ~(uint32_t)PROBLEM_SLOTS);
    char *odd = (char *)valid.wide + 2;
    float *x = (float *)(uintptr_t)valid.r.run.x.data, *h0 = (float *)(uintptr_t)valid.r.run.h0;
    REFUSED(run.y.data = odd, GRU_BAD_ARGUMENT, "run.y", "multiple of 4");
    REFUSED(run.hT = odd, GRU_BAD_ARGUMENT, "run.hT", "multiple of 4");
    REFUSED(run.y.time_stride = -1, GRU_BAD_ARGUMENT, "run.y.time_stride", "-1");
    REFUSED(run.y.batch_stride = -H, GRU_BAD_ARGUMENT, "run.y.batch_stride", "-5");
    REFUSED(run.y.batch_stride = H - 1, GRU_BAD_ARGUMENT, "run.y", "batch_stride 4");
    REFUSED(run.y.time_stride = N * H - 1, GRU_BAD_ARGUMENT, "run.y", "time_stride 14");
    REFUSED((run.y.time_stride = H, run.y.batch_stride = T * H - 1), GRU_BAD_ARGUMENT, "run.y",
            "batch_stride 19");
    REFUSED(run.y.time_stride = INT64_MAX / 4, GRU_BAD_ARGUMENT, "run.y", text_of(INT64_MAX / 4));
    REFUSED(run.h0_stride = H - 1, GRU_BAD_ARGUMENT, "run.h0_stride", "4");
    REFUSED(run.hT_stride = -1, GRU_BAD_ARGUMENT, "run.hT_stride", "-1");
    REFUSED(run.h0_stride = INT64_MAX, GRU_BAD_ARGUMENT, "run.h0_stride", text_of(INT64_MAX));
    REFUSED(run.hT_stride = INT64_MAX / 8, GRU_BAD_ARGUMENT, "run.hT_stride", text_of(INT64_MAX / 8));
    REFUSED(run.y.data = x, GRU_BAD_ARGUMENT, "run.x", "run.y");
    REFUSED(run.y.data = x + 1, GRU_BAD_ARGUMENT, "run.x", "run.y");
    REFUSED(run.y.data = h0, GRU_BAD_ARGUMENT, "run.y", "run.h0");
    REFUSED(run.hT = h0 + 1, GRU_BAD_ARGUMENT, "run.h0", "run.hT");
    REFUSED(run.hT = run.y.data, GRU_BAD_ARGUMENT, "run.y", "run.hT");
    REFUSED((run.hT = h0, run.hT_stride = H + 1), GRU_BAD_ARGUMENT, "run.h0", "run.hT");
    REFUSED(run.hT = (void *)(uintptr_t)run.lengths, GRU_BAD_ARGUMENT, "run.lengths", "run.hT");
    REFUSED(run.hT = (void *)(uintptr_t)run.h_restart, GRU_BAD_ARGUMENT, "run.h_restart", "run.hT");
    REFUSED(run.y.data = (void *)(uintptr_t)run.attention.data, GRU_BAD_ARGUMENT, "run.attention", "run.y");
    REFUSED(run.y.data = run.workspace, GRU_BAD_ARGUMENT, "run.y", "run.workspace");
    REFUSED(run.y.data = run.reserve, GRU_BAD_ARGUMENT, "run.y", "run.reserve");
    REFUSED(run.hT = (void *)(uintptr_t)run.packed, GRU_BAD_ARGUMENT, "run.hT", "run.packed");
    valid_run_release(&valid);
}

TEST(api_run, lent_memory) {
    valid_run valid;
    valid_run_make(&valid, all_options);
    REFUSED(run.workspace = NULL, GRU_BAD_ARGUMENT, "run.workspace", "NULL");
    REFUSED(run.workspace_size -= 1, GRU_BAD_ARGUMENT, "run.workspace_size",
            text_of((long long)valid.r.sizes.workspace));
    REFUSED(run.workspace_size = 0, GRU_BAD_ARGUMENT, "run.workspace_size", "is 0");
    REFUSED(run.workspace = (char *)run.workspace + 32, GRU_BAD_ARGUMENT, "run.workspace", "multiple of 64");
    REFUSED(run.reserve = NULL, GRU_BAD_ARGUMENT, "run.reserve", "NULL");
    REFUSED(run.reserve_size -= 1, GRU_BAD_ARGUMENT, "run.reserve_size",
            text_of((long long)valid.r.sizes.reserve));
    REFUSED(run.reserve = (char *)run.reserve + 4, GRU_BAD_ARGUMENT, "run.reserve", "multiple of 64");
    REFUSED(run.reserve = run.workspace, GRU_BAD_ARGUMENT, "run.workspace", "run.reserve");
    REFUSED(run.packed = (const char *)run.packed + 4, GRU_BAD_ARGUMENT, "run.packed", "multiple of 64");
    REFUSED(run.packed = run.workspace, GRU_BAD_ARGUMENT, "run.workspace", "run.packed");
    valid_run_release(&valid);
}

/* ---- what must work ---------------------------------------------------------------------------------------------- */

static void check_ok(gru_status status, const char *what) {
    CHECK(status == GRU_OK, "%s: %s: %s", what, gru_status_name(status), gru_last_error());
}

/* A layer of default variant that has run. */
static problem *run_small(gru_context *context, result *r) {
    const shape sizes = {T, N, I, H, "small"};
    const gru_layer_config config = GRU_INIT;
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    problem_run(p, context, r);
    return p;
}

/* No steps or no rows, whatever the other size says: at once, hT = h0, nothing else written. */
ENGINE_TEST(api_run, no_steps_and_no_rows) {
    gru_context *context = tester_context(engine, 1);
    result r;
    problem *p = run_small(context, &r);
    gru_run run = r.run;
    memset(run.y.data, 0xFF, (size_t)T * N * H * sizeof(float));
    memset(run.hT, 0xFF, (size_t)N * H * sizeof(float));
    run.N = 0;
    run.T = INT64_MAX;
    check_ok(device_mirror_forward(r.layer, &run), "endless steps of no rows");
    CHECK(tester_untouched(run.hT, (size_t)N * H * sizeof(float)), "N 0 wrote hT");
    run.T = 0;
    check_ok(device_mirror_forward(r.layer, &run), "nothing at all");
    run.N = N;
    run.x.data = NULL;
    check_ok(device_mirror_forward(r.layer, &run), "no steps, no x");
    CHECK(memcmp(run.hT, run.h0, (size_t)N * H * sizeof(float)) == 0, "hT is not h0 after no steps");
    CHECK(tester_untouched(run.y.data, (size_t)T * N * H * sizeof(float)), "no steps wrote y");
    run.h0 = NULL;
    check_ok(device_mirror_forward(r.layer, &run), "no steps, no h0");
    for (int i = 0; i < N * H; i++)
        CHECK(((float *)run.hT)[i] == 0, "hT[%d] is not 0 without h0 and steps", i);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* x, y and attention as columns of one buffer, and the state in place. */
ENGINE_TEST(api_run, columns_of_one_buffer) {
    enum { WIDTH = I + H + 3 };
    gru_context *context = tester_context(engine, 1);
    result r;
    problem *p = run_small(context, &r);
    float *buffer = tester_allocate((size_t)T * N * WIDTH * sizeof(float));
    float *state = tester_copy(p->run.h0, (size_t)N * H * sizeof(float));
    for (int row = 0; row < T * N; row++)
        memcpy(buffer + row * WIDTH + H + 1, (const float *)p->run.x.data + row * I, I * sizeof(float));
    gru_run run = r.run;
    run.x = (gru_const_view){buffer + H + 1, N * WIDTH, WIDTH};
    run.y = (gru_view){buffer, N * WIDTH, WIDTH};
    run.h0 = run.hT = state;
    check_ok(device_mirror_forward(r.layer, &run), "columns of one buffer");
    for (int row = 0; row < T * N; row++)
        CHECK(memcmp(buffer + row * WIDTH, (float *)r.y + row * H, H * sizeof(float)) == 0,
              "row %d of y differs", row);
    CHECK(memcmp(state, r.hT, (size_t)N * H * sizeof(float)) == 0, "hT in place of h0 differs");
    run.y.data = buffer + 2; /* its last column is the first of x */
    CHECK(device_mirror_forward(r.layer, &run) == GRU_BAD_ARGUMENT && strstr(gru_last_error(), "run.y"),
          "columns that touch were accepted, or \"%s\"", gru_last_error());
    tester_free(buffer);
    tester_free(state);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* One step at a time, in place, with nothing but x and the state. */
ENGINE_TEST(api_run, streaming_in_place) {
    const shape sizes = {9, 1, I, H, "a stream"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(engine, 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_NO_BIAS, 1);
    result r;
    float *state = tester_allocate(H * sizeof *state);
    memset(state, 0, H * sizeof *state);
    problem_run(p, context, &r);
    for (int t = 0; t < 9; t++) {
        gru_run run = GRU_INIT;
        run.T = run.N = 1;
        run.x.data = (const float *)p->run.x.data + t * I;
        run.h0 = run.hT = state;
        run.workspace = r.run.workspace;
        run.workspace_size = r.run.workspace_size;
        check_ok(device_mirror_forward(r.layer, &run), "one step");
        CHECK(memcmp(state, (float *)r.y + t * H, H * sizeof *state) == 0, "step %d differs", t);
    }
    tester_free(state);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

/* Two streams of one pool may read the same slot. */
ENGINE_TEST(api_run, one_slot_read_twice) {
    const shape sizes = {T, 2, I, H, "small"};
    const gru_layer_config config = GRU_INIT;
    const int32_t slots[2][2] = {{1, 1}, {1, 0}};
    gru_context *context = tester_context(engine, 1);
    problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
    result r;
    float *pool = tester_allocate(2 * H * sizeof *pool), *plain = tester_allocate(2 * H * sizeof *plain);
    int32_t *from = tester_copy(slots[0], sizeof slots[0]), *to = tester_copy(slots[1], sizeof slots[1]);
    for (int j = 0; j < H; j++) plain[j] = plain[H + j] = pool[H + j] = 0.1f * (float)j, pool[j] = 9;
    problem_run(p, context, &r);
    gru_run run = r.run;
    run.h0 = run.hT = plain;
    check_ok(device_mirror_forward(r.layer, &run), "plain");
    run.h0 = run.hT = pool;
    run.slot_count = 2, run.h0_slots = from, run.hT_slots = to;
    check_ok(device_mirror_forward(r.layer, &run), "slots");
    CHECK(memcmp(pool, plain + H, H * sizeof *pool) == 0 && memcmp(pool + H, plain, H * sizeof *pool) == 0,
          "a slot that two rows read and one wrote gave another state");
    tester_free(pool), tester_free(plain);
    tester_free(from), tester_free(to);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}
