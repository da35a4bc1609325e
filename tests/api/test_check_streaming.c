/* test_check_streaming.c: the quick look at a streaming step against the full checks, wherever its buffers lie. */
#include <string.h>

#include "api/check_run.h"
#include "api/check_streaming.h"
#include "core/context.h"
#include "core/number.h"
#include "support/tester.h"

enum { I = 3, H = 5, ARENA = 4096, CASES = 200000 };

static gru_layer *make_layer(gru_context *context, int32_t type) {
    static const double zeros[3 * H * H];
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_layer *layer = NULL;
    config.inputs = I, config.hidden = H, config.io_type = config.state_type = type;
    config.weight_type = weights.type = type == GRU_F64 ? GRU_F64 : GRU_F32;
    weights.W = weights.R = zeros;
    REQUIRE(gru_layer_create(context, &config, &weights, &layer) == GRU_OK, "%s", gru_last_error());
    return layer;
}

static gru_run good_step(char *arena, const gru_layer *layer) {
    gru_run run = GRU_INIT;
    run.T = run.N = 1;
    run.x.data = arena, run.y.data = arena + 64, run.h0 = arena + 128, run.hT = arena + 192;
    run.workspace = arena + 256, run.workspace_size = layer->step_workspace;
    return run;
}

/* Somewhere in the arena: seldom NULL, seldom not a multiple of `alignment`. */
static void *somewhere(char *arena, size_t alignment, uint64_t draw) {
    char *place = arena + (draw >> 16) % (ARENA / alignment) * alignment;
    return draw % 8 == 0 ? NULL : draw % 8 == 1 ? place + alignment / 2 : place;
}

static gru_run drawn_step(char *arena, const gru_layer *layer, uint64_t i) {
    const size_t element = gru_type_bytes(layer->config.io_type);
    gru_run run = GRU_INIT;
    run.T = run.N = 1;
    run.x.data = somewhere(arena, element, tester_random(1, i));
    run.y.data = somewhere(arena, element, tester_random(2, i));
    run.h0 = run.hT = somewhere(arena, element, tester_random(3, i));
    if (tester_random(4, i) % 2) run.h0 = somewhere(arena, element, tester_random(5, i));
    run.workspace = somewhere(arena, 64, tester_random(6, i));
    run.workspace_size = layer->step_workspace - (tester_random(7, i) % 8 == 0);
    if (tester_random(8, i) % 4 == 0) run.packed = somewhere(arena, 64, tester_random(9, i));
    return run;
}

/* The same run with its strides written out, which only the full checks look at. */
static gru_status check_fully(const gru_layer *layer, const gru_run *run, gru_run *resolved) {
    gru_run written_out = *run;
    written_out.x.time_stride = written_out.x.batch_stride = I;
    return gru_check_forward(layer, &written_out, resolved);
}

static void compare(int32_t type) {
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = make_layer(context, type);
    char *arena = tester_allocate(2 * ARENA);
    int accepted = 0;
    for (uint64_t i = 0; i < CASES; i++) {
        const gru_run run = drawn_step(arena, layer, i);
        gru_run quick = run, full;
        const int accepts = gru_check_streaming(layer, &quick);
        const gru_status status = check_fully(layer, &run, &full);
        if (accepts != (status == GRU_OK) || memcmp(&quick, accepts ? &full : &run, sizeof run) != 0) {
            CHECK(0, "case %llu: accepted %d, but %s \"%s\"", (unsigned long long)i, accepts,
                  gru_status_name(status), gru_last_error());
            break;
        }
        accepted += accepts;
    }
    CHECK(accepted > CASES / 20 && accepted < CASES / 2, "%d of %d were accepted", accepted, CASES);
    tester_free(arena);
    gru_layer_release(layer);
    gru_context_release(context);
}

TEST(check_step, agrees_with_the_full_checks) {
    compare(GRU_F32);
    compare(GRU_F16);
    compare(GRU_F64);
}

#define LEAVES(change)                                                                         \
    do {                                                                                       \
        gru_run run = good_step(arena, layer);                                                 \
        change;                                                                                \
        const gru_run before = run;                                                            \
        CHECK(!gru_check_streaming(layer, &run), "accepted %s", #change);                      \
        CHECK(memcmp(&run, &before, sizeof run) == 0, "changed the run that has %s", #change); \
    } while (0)

/* Whatever else a run may have is left to the full checks, be it right or wrong. */
TEST(check_step, leaves_what_is_not_plain) {
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = make_layer(context, GRU_F32);
    char *arena = tester_allocate(2 * ARENA), *other = arena + ARENA;
    gru_run good = good_step(arena, layer);
    CHECK(gru_check_streaming(layer, &good), "a good step was left to the full checks");
    LEAVES(run.T = 2);
    LEAVES(run.T = 0);
    LEAVES(run.N = 2);
    LEAVES(run.N = -1);
    LEAVES(run.mode = GRU_TRAIN);
    LEAVES(run.mode = 3);
    LEAVES(run.projected.data = other);
    LEAVES((run.x.data = NULL, run.projected.data = other));
    LEAVES(run.restart.data = other);
    LEAVES(run.attention.data = other);
    LEAVES(run.h_restart = other);
    LEAVES(run.lengths = (const int32_t *)(void *)other);
    LEAVES(run.mask.data = other);
    LEAVES(run.absent_output = GRU_ABSENT_LAST);
    LEAVES(run.offsets = (const int64_t *)(void *)other);
    LEAVES(run.batch_sizes = (const int64_t *)(void *)other);
    LEAVES(run.batch_order = (const int64_t *)(void *)other);
    LEAVES(run.ragged_rows = 1);
    LEAVES(run.h0_slots = (const int32_t *)(void *)other);
    LEAVES(run.hT_slots = (const int32_t *)(void *)other);
    LEAVES(run.stream = other);
    LEAVES(run.x.time_stride = I);
    LEAVES(run.x.batch_stride = -1);
    LEAVES(run.y.time_stride = INT64_MAX);
    LEAVES(run.y.batch_stride = H);
    LEAVES(run.h0_stride = H - 1);
    LEAVES(run.hT_stride = INT64_MIN);
    for (int i = 0; i < 8; i++) LEAVES(run.reserved[i] = 1);
    tester_free(arena);
    gru_layer_release(layer);
    gru_context_release(context);
}

/* Other backends have other rules for memory. */
TEST(check_step, leaves_other_machines) {
    gru_context *context = tester_context(NULL, 1);
    gru_layer *layer = make_layer(context, GRU_F32);
    char *arena = tester_allocate(2 * ARENA);
    gru_context elsewhere = *context;
    gru_layer copy = *layer;
    gru_run run = good_step(arena, layer);
    elsewhere.config.backend = GRU_BACKEND_CUDA;
    copy.context = &elsewhere;
    CHECK(!gru_check_streaming(&copy, &run), "accepted a step on a GPU");
    tester_free(arena);
    gru_layer_release(layer);
    gru_context_release(context);
}
