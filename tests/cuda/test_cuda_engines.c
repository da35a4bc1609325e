/* test_cuda_engines.c: every kernel configuration of the kernels against the exact reference, by covering array over all that a layer and
 * a run may be. */
#include <string.h>

#include "arithmetics.h"
#include "control.h"
#include "covering_array.h"
#include "kernel_config.h"
#include "support/device_mirror.h"
#include "support/problem.h"
#include "support/stack_fixture.h"
#include "variant_levels.h"

static const shape shapes[] = {
    {1, 1, 1, 1, "the smallest problem"},
    {3, 2, 5, 7, "less than an octet"},
    {2, 8, 8, 8, "one octet of units and of rows"},
    {4, 3, 16, 16, "one pair of octets, inputs that need no padding"},
    {3, 9, 17, 17, "one unit, one input and one row more"},
    {5, 4, 3, 33, "a group of 16 bits and one unit"},
    {2, 5, 32, 64, "one tile of 64 units"},
    {3, 6, 0, 40, "no inputs"},
    {2, 7, 40, 65, "a tile of 64 units and one more"},
    {2, 65, 9, 24, "more rows than a tile of 64"},
    {3, 1, 130, 100, "one row"},
    {2, 4, 24, 130, "two tiles of 64 units and two more"},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static gru_cuda_compute_type math_of(const gru_layer_config *config, int tf32) {
    if (config->weight_type == GRU_F16) return GRU_CUDA_F16;
    if (config->weight_type == GRU_BF16) return GRU_CUDA_BF16;
    return tf32 ? GRU_CUDA_TF32 : GRU_CUDA_F32;
}

/* ---- the dimensions ---------------------------------------------------------------------------------------------- */

/* Options that are there or not come last, in this order. */
static const uint32_t switches[] = {
    PROBLEM_LENGTHS,  PROBLEM_H0,      PROBLEM_SEGMENTS, PROBLEM_H_RESET,   PROBLEM_ATTENTION,
    PROBLEM_STRIDES,  PROBLEM_SLOTS,   PROBLEM_NO_Y,     PROBLEM_PROJECTED, PROBLEM_NO_HT,
    PROBLEM_IN_PLACE, PROBLEM_NO_BIAS, PROBLEM_PACKED,
};
enum { SWITCHES = sizeof switches / sizeof *switches };
enum { FORM, SHAPE, ARITHMETIC, RESET, UPDATE, GATE, CANDIDATE, CLIP, DIRECTION, MODE, SWITCH };
enum { DIMENSIONS = SWITCH + SWITCHES };

static const int levels[DIMENSIONS] = {
    KERNEL_CONFIGS, SHAPES, ARITHMETICS, 3, 2, 4, 4, 2, 2, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};

static int is_option(int dimension, int level, uint32_t option) {
    return dimension >= SWITCH && level && switches[dimension - SWITCH] == option;
}

static int lacks_option(int dimension, int level, uint32_t option) {
    return dimension >= SWITCH && !level && switches[dimension - SWITCH] == option;
}

static int excludes(int a, int la, int b, int lb) {
    if (a == FORM && b == RESET) return !kernel_config_has_reset(&kernel_configs[la], lb);
    if (a == SHAPE && shapes[la].I == 0) return lacks_option(b, lb, PROBLEM_PROJECTED);
    if (is_option(a, la, PROBLEM_NO_Y)) return is_option(b, lb, PROBLEM_NO_HT); /* nothing to compare */
    if (is_option(a, la, PROBLEM_NO_HT)) return is_option(b, lb, PROBLEM_IN_PLACE);
    if (lacks_option(a, la, PROBLEM_H0)) return is_option(b, lb, PROBLEM_IN_PLACE);
    return 0;
}

static const covering_array plan = {DIMENSIONS, levels, excludes};

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

/* Contexts by engine and TF32, made when first asked for: they are many times as slow to make as a run. */
static gru_context *contexts[KERNEL_CONFIGS][2];

static gru_context *context_for(int f, int tf32) {
    while (f > 0 && strcmp(kernel_configs[f - 1].engine, kernel_configs[f].engine) == 0) f--;
    if (!contexts[f][tf32])
        contexts[f][tf32] = kernel_config_context(&kernel_configs[f], tf32 ? GRU_ALLOW_TF32 : 0);
    return contexts[f][tf32];
}

static void release_contexts(void) {
    for (int i = 0; i < KERNEL_CONFIGS * 2; i++) {
        gru_context_release(contexts[i / 2][i % 2]);
        contexts[i / 2][i % 2] = NULL;
    }
}

/* Runs p in the kernel configuration, which must be the one that runs. */
static void compare(int f, int arithmetic, problem *p) {
    gru_context *context = context_for(f, arithmetics[arithmetic].tf32);
    result r;
    kernel_config_name(&kernel_configs[f], p->text, sizeof p->text);
    kernel_config_override(&kernel_configs[f], math_of(&p->config, arithmetics[arithmetic].tf32),
                           p->config.reset_mode);
    REQUIRE(problem_open(p, context, &r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    CHECK(kernel_config_was_used(&kernel_configs[f], r.layer, p->shape.N), "another kernel_config runs: %s",
          p->text);
    check_call(p, &r);
    result_free(&r);
    kernel_config_clear_override();
}

static gru_layer_config config_of(const covering_row *row, int number) {
    gru_layer_config config = variant_of_levels(row->level + RESET, number);
    problem_types(&config, arithmetics[row->level[ARITHMETIC]].types);
    return config;
}

static uint32_t options_of(const covering_row *row) {
    static const uint32_t modes[] = {0, PROBLEM_TRAIN, PROBLEM_RECOMPUTE};
    uint32_t options = modes[row->level[MODE]];
    for (int i = 0; i < SWITCHES; i++)
        if (row->level[SWITCH + i]) options |= switches[i];
    return options;
}

TEST(cuda_engines, agree_on_every_pair_of_circumstances) {
    static covering_row rows[COVERING_ROWS];
    const int count = covering_array_make(&plan, emu_option.seed, rows);
    REQUIRE(count > 0 && covering_array_missing(&plan, rows, count) == 0, "%d rows leave %d pairs out", count,
            covering_array_missing(&plan, rows, count));
    for (int i = 0; i < count; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        const gru_layer_config config = config_of(&rows[i], i);
        problem *p = problem_make(&shapes[rows[i].level[SHAPE]], &config, options_of(&rows[i]), (uint64_t)i);
        compare(rows[i].level[FORM], rows[i].level[ARITHMETIC], p);
        problem_free(p);
    }
    release_contexts();
}

/* Many units: as in use. */
TEST(cuda_engines, agree_on_wide_layers) {
    const shape sizes = {2, 9, 64, 512, "wide"};
    for (int f = 0; f < KERNEL_CONFIGS; f++) {
        if (!kernel_config_is_selected(f)) continue;
        const int arithmetic = f % 2 ? 2 : 0; /* bf16, f32 */
        gru_layer_config config = GRU_INIT;
        problem_types(&config, arithmetics[arithmetic].types);
        config.reset_mode =
            kernel_config_has_reset(&kernel_configs[f], GRU_RESET_AFTER) ? GRU_RESET_AFTER : GRU_RESET_BEFORE;
        problem *p = problem_make(&sizes, &config, PROBLEM_H0, 1);
        compare(f, arithmetic, p);
        problem_free(p);
    }
    release_contexts();
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* The reserve of every kernel configuration serves the reference's backward pass on the CPU. */
TEST(cuda_engines, keep_what_backward_needs) {
    static const shape small[] = {{3, 3, 5, 17, "small"}, {5, 2, 4, 9, "small"}};
    for (int i = 0; i < KERNEL_CONFIGS * ARITHMETICS; i++) {
        const int f = i % KERNEL_CONFIGS, a = i / KERNEL_CONFIGS;
        if (!kernel_config_is_selected(f + a)) continue;
        gru_layer_config config =
            problem_variant((int)(tester_random(emu_option.seed, (uint64_t)i) % VARIANTS));
        while (!kernel_config_has_reset(&kernel_configs[f], config.reset_mode))
            config.reset_mode = (config.reset_mode + 1) % 3;
        problem_types(&config, arithmetics[a].types);
        const uint32_t left_out = PROBLEM_RECOMPUTE | PROBLEM_NO_Y | PROBLEM_NO_HT;
        const uint32_t options = problem_options((uint64_t)i) & ~left_out;
        problem *p = problem_make(&small[i % 2], &config, options | PROBLEM_TRAIN, (uint64_t)i);
        kernel_config_name(&kernel_configs[f], p->text, sizeof p->text);
        kernel_config_override(&kernel_configs[f], math_of(&config, arithmetics[a].tf32), config.reset_mode);
        check_saved(p, context_for(f, arithmetics[a].tf32));
        problem_free(p);
    }
    kernel_config_clear_override();
    release_contexts();
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

/* Both directions of a layer give the bits of each alone, in the launches of one: a prologue and one for each step. */
static void compare_directions(int f, int arithmetic, int32_t lengths) {
    static const layer_spec specs[] = {{.hidden = 19, .bidirectional = 1}};
    gru_layer_config config = GRU_INIT;
    problem_types(&config, arithmetics[arithmetic].types);
    const int32_t reset =
        kernel_config_has_reset(&kernel_configs[f], GRU_RESET_AFTER) ? GRU_RESET_AFTER : GRU_RESET_BEFORE;
    const stack_fixture_sizes sizes = {.T = 4,
                                       .N = 9,
                                       .I = 7,
                                       .lengths = lengths,
                                       .type = config.io_type,
                                       .weights = config.weight_type,
                                       .reset_mode = reset};
    gru_context *context = context_for(f, arithmetics[arithmetic].tf32);
    kernel_config_override(&kernel_configs[f], math_of(&config, arithmetics[arithmetic].tf32), reset);
    stack_fixture *fixture = stack_fixture_make(context, specs, 1, sizes);
    stack_fixture_outputs hand;
    stack_fixture_run_sublayers(fixture, &hand);
    const uint64_t before = emu_launches();
    REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s: %s",
            kernel_configs[f].name, gru_last_error());
    if (tester_device.watches) /* a GPU does not count */
        CHECK(emu_launches() - before == 1 + (uint64_t)sizes.T,
              "%s: %d launches for both directions of %d steps", kernel_configs[f].name,
              (int)(emu_launches() - before), (int)sizes.T);
    stack_fixture_check(fixture, kernel_configs[f].name, &hand);
    stack_fixture_free(fixture);
    kernel_config_clear_override();
}

TEST(cuda_engines, directions_share_their_launches) {
    for (int f = 0; f < KERNEL_CONFIGS; f++)
        for (int lengths = 0; lengths < 2; lengths++)
            compare_directions(f, (3 * f + lengths) % ARITHMETICS, lengths);
    release_contexts();
}
