/* test_cuda_backward.c: gradients of the CUDA engines against the reference, by a covering array over variants, options of the
 * run and requested outputs; and reserves of CPU engines. */
#include <string.h>

#include "control.h"
#include "covering_array.h"
#include "cuda_fixture.h"
#include "variant_levels.h"

static const shape shapes[] = {
    {1, 1, 1, 1, "the smallest problem"},
    {2, 8, 8, 8, "one octet of units and of rows"},
    {4, 3, 16, 16, "one pair of octets, inputs that need no padding"},
    {5, 9, 17, 17, "one unit, one input and one row more"},
    {5, 4, 3, 33, "a group of 16 bits and one unit"},
    {3, 6, 0, 40, "no inputs"},
    {2, 7, 40, 65, "a tile of 64 units and one more"},
    {2, 65, 9, 24, "more rows than a tile of 64"},
    {3, 1, 130, 100, "one row"},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* io, state and weights, and whether the context allows TF32. */
static const struct {
    int types; /* of problem_types */
    int tf32;
} arithmetics[] = {
    {0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {6, 0}, {7, 0}, {0, 1}, {8, 1},
};

enum { ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

/* What callers leave out. */
static const uint32_t missing[] = {
    0,
    MISSING_DY | 1 << GRAD_H0,
    MISSING_DHT | 1 << GRAD_H_RESET,
    1 << GRAD_X | 1 << GRAD_PROJECTED,
    1 << GRAD_W | 1 << GRAD_BR,
    1 << GRAD_R | 1 << GRAD_BW,
    1 << GRAD_H0 | 1 << GRAD_H_RESET | 1 << GRAD_ATTENTION,
    1 << GRAD_W | 1 << GRAD_R | 1 << GRAD_BW,
};

enum { WISHES = sizeof missing / sizeof *missing };

static const float loss_scales[] = {0, 1024, 3};

static const int32_t chunks[] = {0, 1, 2}; /* steps */

/* ---- the dimensions ---------------------------------------------------------------------------------------------- */

/* Options that are there or not come last, in this order. */
static const uint32_t switches[] = {
    PROBLEM_LENGTHS, PROBLEM_H0,        PROBLEM_SEGMENTS, PROBLEM_H_RESET, PROBLEM_ATTENTION,
    PROBLEM_STRIDES, PROBLEM_PROJECTED, PROBLEM_NO_BIAS,  PROBLEM_PACKED,
};
enum { SWITCHES = sizeof switches / sizeof *switches };
enum {
    FORM,
    SHAPE,
    ARITHMETIC,
    RESET,
    UPDATE,
    GATE,
    CANDIDATE,
    CLIP,
    DIRECTION,
    INVARIANT,
    WISH,
    APART,
    OVERWRITE,
    LOSS_SCALE,
    STEPS,
    SWITCH
};
enum { DIMENSIONS = SWITCH + SWITCHES };

static const int levels[DIMENSIONS] = {BACKWARD_KERNEL_CONFIGS,
                                       SHAPES,
                                       ARITHMETICS,
                                       3,
                                       2,
                                       4,
                                       4,
                                       2,
                                       2,
                                       2,
                                       WISHES,
                                       2,
                                       2,
                                       3,
                                       3,
                                       2,
                                       2,
                                       2,
                                       2,
                                       2,
                                       2,
                                       2,
                                       2,
                                       2};

static int excludes(int a, int la, int b, int lb) {
    if (a == FORM && b == RESET) return !kernel_config_has_reset(&backward_kernel_configs[la], lb);
    if (a == FORM && b == INVARIANT)
        return lb && strcmp(backward_kernel_configs[la].engine, "cuda_large_batch") == 0;
    if (a == SHAPE && shapes[la].I == 0 && b >= SWITCH)
        return !lb && switches[b - SWITCH] == PROBLEM_PROJECTED;
    return 0;
}

static const covering_array plan = {DIMENSIONS, levels, excludes};

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

/* Contexts, made when first asked for: they are many times as slow to make as a run. */
static gru_context *contexts[BACKWARD_KERNEL_CONFIGS][2][2];

static gru_context *context_for(int f, int tf32, int invariant) {
    while (f > 0 && strcmp(backward_kernel_configs[f - 1].engine, backward_kernel_configs[f].engine) == 0)
        f--;
    gru_context **context = &contexts[f][tf32][invariant];
    if (!*context)
        *context = kernel_config_context(&backward_kernel_configs[f],
                                         (tf32 ? GRU_ALLOW_TF32 : 0) | (invariant ? GRU_BATCH_INVARIANT : 0));
    return *context;
}

static void release_contexts(void) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS * 4; i++) {
        gru_context_release(contexts[i / 4][i / 2 % 2][i % 2]);
        contexts[i / 4][i / 2 % 2][i % 2] = NULL;
    }
}

static problem *problem_of(const covering_row *row, int i) {
    const uint8_t *l = row->level;
    uint32_t options = i % 2 ? PROBLEM_TRAIN : PROBLEM_TRAIN | PROBLEM_RECOMPUTE;
    gru_layer_config config = variant_of_levels(l + RESET, i);
    problem_types(&config, arithmetics[l[ARITHMETIC]].types);
    for (int k = 0; k < SWITCHES; k++)
        if (l[SWITCH + k]) options |= switches[k];
    problem *p = problem_make(&shapes[l[SHAPE]], &config, options, (uint64_t)i);
    kernel_config_name(&backward_kernel_configs[l[FORM]], p->text, sizeof p->text);
    return p;
}

TEST(cuda_backward, agrees_on_every_pair_of_circumstances) {
    static covering_row rows[COVERING_ROWS];
    const int count = covering_array_make(&plan, emu_option.seed, rows);
    REQUIRE(count > 0 && covering_array_missing(&plan, rows, count) == 0, "%d rows leave %d pairs out", count,
            covering_array_missing(&plan, rows, count));
    for (int i = 0; i < count; i++) {
        if (!tester_takes((uint64_t)i)) continue;
        const uint8_t *l = rows[i].level;
        const gradient_call call = {&backward_kernel_configs[l[FORM]],
                                    l[OVERWRITE] ? GRU_GRAD_OVERWRITE : 0,
                                    l[APART],
                                    missing[l[WISH]],
                                    loss_scales[l[LOSS_SCALE]],
                                    chunks[l[STEPS]]};
        problem *p = problem_of(&rows[i], i);
        check_gradient_call(p, context_for(l[FORM], arithmetics[l[ARITHMETIC]].tf32, l[INVARIANT]), NULL,
                            &call);
        problem_free(p);
    }
    release_contexts();
}

/* ---- reserves of other machines ----------------------------------------------------------------------------------- */

TEST(cuda_backward, the_cpu_s_reserve_serves) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        static const char *const makers[] = {"cpu_scalar", "cpu_reference"};
        if (!kernel_config_is_selected(i)) continue;
        const kernel_config *f = &backward_kernel_configs[i];
        const gru_layer_config config = fixture_config(f, i % COMPUTE_TYPES, i);
        gru_context *context = fixture_context(f, i % COMPUTE_TYPES, 0);
        problem *p = problem_make(&shapes[3], &config, fixture_options | PROBLEM_TRAIN, (uint64_t)i);
        const gradient_call call = {.kernel_config = f};
        kernel_config_name(f, p->text, sizeof p->text);
        check_gradient_call(p, context, makers[i % 2], &call);
        problem_free(p);
        gru_context_release(context);
    }
}
