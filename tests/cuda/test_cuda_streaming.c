/* test_cuda_streaming.c: calls of one step in one launch against the exact reference, by covering array over all that a layer and a run may
 * be; their bits, and those of stacks and streams. */
#include <math.h>
#include <string.h>

#include "arithmetics.h"
#include "control.h"
#include "core/layer.h"
#include "core/number.h"
#include "covering_array.h"
#include "gru/stream.h"
#include "support/device_mirror.h"
#include "support/properties.h"
#include "support/stack_fixture.h"
#include "variant_levels.h"

static const shape shapes[] = {
    {1, 1, 1, 1, "the smallest problem"},
    {1, 2, 5, 7, "less than an octet of units"},
    {1, 8, 8, 8, "one octet of units and of rows"},
    {1, 3, 17, 33, "one input and one unit more than a group of 16 bits"},
    {1, 5, 3, 40, "no whole group of inputs"},
    {1, 1, 130, 24, "more groups of inputs than of units"},
    {1, 7, 40, 65, "an octet with one unit"},
    {1, 1, 1100, 9, "several rounds of weights in each slice"},
    {1, 4, 64, 130, "slices that begin in x and end in h"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static gru_context *make_context(const char *engine, uint32_t flags) {
    const gru_context_config config = {.backend = GRU_BACKEND_CUDA, .engine = engine, .flags = flags};
    gru_context *context = NULL;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

static gru_context *context_for(int arithmetic) {
    return make_context("cuda_streaming", arithmetics[arithmetic].tf32 ? GRU_ALLOW_TF32 : 0);
}

/* ---- values ---- */

static const uint32_t switches[] = {
    PROBLEM_LENGTHS, PROBLEM_H0,   PROBLEM_SEGMENTS, PROBLEM_H_RESET,  PROBLEM_ATTENTION, PROBLEM_STRIDES,
    PROBLEM_SLOTS,   PROBLEM_NO_Y, PROBLEM_NO_HT,    PROBLEM_IN_PLACE, PROBLEM_NO_BIAS,   PROBLEM_PACKED,
};
enum { SWITCHES = sizeof switches / sizeof *switches };
enum { SHAPE, ARITHMETIC, RESET, UPDATE, GATE, CANDIDATE, CLIP, DIRECTION, SWITCH };
enum { DIMENSIONS = SWITCH + SWITCHES };

static const int levels[DIMENSIONS] = {SHAPES, ARITHMETICS, 2, 2, 4, 4, 2, 2, 2, 2,
                                       2,      2,           2, 2, 2, 2, 2, 2, 2, 2};

static int has_option(int dimension, int level, uint32_t option) {
    return dimension >= SWITCH && level && switches[dimension - SWITCH] == option;
}

static int excludes(int a, int la, int b, int lb) {
    if (has_option(a, la, PROBLEM_NO_Y)) return has_option(b, lb, PROBLEM_NO_HT); /* nothing to compare */
    if (has_option(a, la, PROBLEM_NO_HT)) return has_option(b, lb, PROBLEM_IN_PLACE);
    return a == SWITCH + 1 && !la && has_option(b, lb, PROBLEM_IN_PLACE); /* no h0 */
}

static const covering_array plan = {DIMENSIONS, levels, excludes};

static uint32_t options_of(const covering_row *row) {
    uint32_t options = 0;
    for (int i = 0; i < SWITCHES; i++)
        if (row->level[SWITCH + i]) options |= switches[i];
    return options;
}

static int32_t reset_of(int level) {
    return level ? GRU_RESET_ALL : GRU_RESET_AFTER;
}

TEST(cuda_streaming, agrees_on_every_pair_of_circumstances) {
    static covering_row rows[COVERING_ROWS];
    const int count = covering_array_make(&plan, emu_option.seed, rows);
    REQUIRE(count > 0 && covering_array_missing(&plan, rows, count) == 0, "%d rows leave %d pairs out", count,
            covering_array_missing(&plan, rows, count));
    gru_context *contexts[] = {make_context("cuda_streaming", 0),
                               make_context("cuda_streaming", GRU_ALLOW_TF32)};
    for (int i = 0; i < count; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        const int arithmetic = rows[i].level[ARITHMETIC];
        gru_layer_config config = variant_of_levels(rows[i].level + RESET, i);
        config.reset_mode = reset_of(rows[i].level[RESET]);
        problem_types(&config, arithmetics[arithmetic].types);
        problem *p = problem_make(&shapes[rows[i].level[SHAPE]], &config, options_of(&rows[i]), (uint64_t)i);
        CHECK(check_problem(p, contexts[arithmetics[arithmetic].tf32]), "%s: %s", gru_last_error(), p->text);
        problem_free(p);
    }
    gru_context_release(contexts[0]), gru_context_release(contexts[1]);
}

/* ---- bits ---- */

/* A call of eight rows, drawn for an arithmetic. */
static problem *draw_problem(int arithmetic, uint32_t options) {
    const shape sizes = {1, 8, 19, 41, "two groups and a tail of x, three of h"};
    const uint64_t draw = tester_random(emu_option.seed, (uint64_t)arithmetic);
    gru_layer_config config = problem_variant((int)(draw % VARIANTS));
    config.reset_mode = reset_of((int)(draw % 2));
    problem_types(&config, arithmetics[arithmetic].types);
    return problem_make(&sizes, &config,
                        (problem_options(draw) & property_options & ~(uint32_t)PROBLEM_PROJECTED) | options,
                        draw);
}

static void compare_with(gru_context *context, const problem *p, const result *plain, uint32_t options) {
    problem *other = problem_with(p, p->options | options);
    result r;
    problem_run(other, context, &r);
    check_same_results(other, plain, &r);
    result_free(&r);
    problem_free(other);
}

/* A row has the same bits alone and beside others, and wherever its numbers lie. */
TEST(cuda_streaming, bits_do_not_depend_on_the_way) {
    static const uint32_t ways[] = {PROBLEM_STRIDES,
                                    PROBLEM_SLOTS,
                                    PROBLEM_PACKED,
                                    PROBLEM_NO_Y,
                                    PROBLEM_NO_HT,
                                    PROBLEM_IN_PLACE,
                                    PROBLEM_IN_PLACE | PROBLEM_SLOTS | PROBLEM_STRIDES};
    for (int a = 0; a < ARITHMETICS; a++) {
        if ((uint64_t)a % 3 != emu_option.seed % 3) continue;
        gru_context *context = context_for(a);
        problem *p = draw_problem(a, PROBLEM_H0);
        result plain;
        problem_run(p, context, &plain);
        property_repeated(context, p, &plain);
        property_rows(context, p, &plain);
        property_poison(context, p, &plain);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) compare_with(context, p, &plain, ways[i]);
        result_free(&plain);
        problem_free(p);
        gru_context_release(context);
    }
}

/* An infinite weight of a unit stays in this unit: a row of W that fills no group is read to its end, and no further. */
TEST(cuda_streaming, infinite_weights_stay_in_their_unit) {
    const shape sizes = {1, 3, 5, 9, "rows of W that end within a group"};
    for (int a = 0; a < 3; a++) { /* f32, f16, bf16 */
        static const uint16_t infinity16[] = {0, 0x7c00, 0x7f80};
        enum { UNIT = 4, WEIGHT = (2 * 9 + UNIT) * 5 };
        gru_layer_config config = GRU_INIT;
        problem_types(&config, a);
        gru_context *context = context_for(a);
        problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1), *q = problem_with(p, p->options);
        void *W = (void *)(uintptr_t)q->weights.W;
        result plain, r;
        if (config.weight_type == GRU_F32)
            ((float *)W)[WEIGHT] = (float)INFINITY;
        else
            ((uint16_t *)W)[WEIGHT] = infinity16[a];
        problem_run(p, context, &plain), problem_run(q, context, &r);
        for (int64_t i = 0; i < sizes.N * sizes.H; i++) {
            const double was = gru_load_double(plain.hT, config.state_type, (size_t)i),
                         is = gru_load_double(r.hT, config.state_type, (size_t)i);
            CHECK(i % sizes.H == UNIT ? is != was : is == was, "hT[%d] is %g, was %g: other bits, %s", (int)i,
                  is, was, p->text);
        }
        result_free(&plain), result_free(&r);
        problem_free(p), problem_free(q);
        gru_context_release(context);
    }
}

/* ---- stacks ---- */

/* Both directions of a layer share a launch, and have the bits of each alone. */
TEST(cuda_streaming, a_stack_takes_one_launch_a_layer) {
    static const layer_spec specs[] = {{.hidden = 19, .bidirectional = 1}, {.hidden = 9}, {.hidden = 24}};
    for (int type = GRU_F32; type <= GRU_BF16; type++) {
        gru_context *context = make_context(NULL, 0);
        stack_fixture *fixture = stack_fixture_make(
            context, specs, 3, (stack_fixture_sizes){.T = 1, .N = 3, .I = 7, .type = type, .weights = type});
        stack_fixture_outputs hand;
        stack_fixture_run_sublayers(fixture, &hand);
        const uint64_t before = emu_launches();
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        if (tester_device.watches) /* a GPU does not count */
            CHECK(emu_launches() - before == 3, "%d launches of three layers",
                  (int)(emu_launches() - before));
        stack_fixture_check(fixture, "a step of a stack", &hand);
        stack_fixture_free(fixture);
        gru_context_release(context);
    }
}

/* A stream keeps its states in place; its steps have the bits of calls that do not. */
TEST(cuda_streaming, a_stream_takes_one_launch_a_layer) {
    enum { STEPS = 4, IN = 6, OUT = 9 };
    static const layer_spec specs[] = {{.hidden = 17}, {.hidden = OUT}};
    gru_context *context = make_context(NULL, 0);
    stack_fixture *fixture =
        stack_fixture_make(context, specs, 2, (stack_fixture_sizes){.T = 1, .N = 1, .I = IN});
    const gru_stream_config config = {.queue = tester_device.stream};
    gru_stream *stream = NULL;
    float *x, *y, *right = stack_fixture_allocate(fixture, OUT * sizeof *right);
    fixture->run.h0 = NULL;
    REQUIRE(gru_stream_create_stack(fixture->stack, &config, &stream) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_allocate(context, IN * sizeof *x, (void **)&x) == GRU_OK &&
                gru_allocate(context, OUT * sizeof *y, (void **)&y) == GRU_OK,
            "%s", gru_last_error());
    for (int s = 0; s < STEPS; s++) {
        REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_copy(context, x, fixture->x, IN * sizeof *x, config.queue) == GRU_OK &&
                    gru_wait(context, config.queue) == GRU_OK,
                "%s", gru_last_error());
        const uint64_t before = emu_launches();
        REQUIRE(gru_stream_step(stream, x, y) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_copy(context, right, y, OUT * sizeof *y, config.queue) == GRU_OK &&
                    gru_wait(context, config.queue) == GRU_OK,
                "%s", gru_last_error());
        if (tester_device.watches)
            CHECK(emu_launches() - before == 2, "step %d: %d launches of two layers", s,
                  (int)(emu_launches() - before));
        CHECK(memcmp(right, fixture->y, OUT * sizeof *y) == 0, "step %d has other bits", s);
        for (int k = 0; k < 2; k++)
            memcpy(fixture->h0[k], fixture->hT[k], (size_t)specs[k].hidden * sizeof(float));
        fixture->run.h0 = (const void *const *)fixture->h0;
    }
    gru_stream_release(stream);
    gru_free(context, x), gru_free(context, y);
    stack_fixture_free(fixture);
    gru_context_release(context);
}
