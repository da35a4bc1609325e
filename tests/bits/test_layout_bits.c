/* test_layout_bits.c: masks and ragged batches have the bits of the same sequences in a batch with lengths, forward and
 * backward. What lies at absent steps is NaN, so that a number read there would show. */
#include <string.h>

#include "core/number.h"
#include "support/device_mirror.h"
#include "support/layout_call.h"

static size_t io_bytes(const problem *p) {
    return gru_type_bytes(p->config.io_type);
}

/* The problem's lengths are its own memory, which nothing has read yet. */
static void sort_lengths(problem *p) {
    int32_t *lengths = (int32_t *)(uintptr_t)p->run.lengths;
    for (int64_t i = 1; i < p->shape.N; i++)
        for (int64_t j = i; j > 0 && lengths[j] > lengths[j - 1]; j--) {
            const int32_t longer = lengths[j];
            lengths[j] = lengths[j - 1];
            lengths[j - 1] = longer;
        }
}

static void compare_layouts(gru_context *context, problem *p, int first, int last) {
    result plain;
    gradients g;
    problem_run(p, context, &plain);
    gradients_make(p, &g);
    REQUIRE(problem_backward(p, &plain, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int kind = first; kind <= last; kind++) check_layout(p, &plain, &g, kind);
    gradients_free(&g);
    result_free(&plain);
}

/* On CUDA the sums over steps of weight gradients depend on T, so a mask with more steps has other bits. */
static void compare_problem(gru_context *context, const shape *sizes, const gru_layer_config *config,
                            uint32_t options, uint64_t seed) {
    const int on_cpu = gru_context_backend(context) == GRU_BACKEND_CPU;
    problem *p = problem_make(sizes, config, options | PROBLEM_LENGTHS | PROBLEM_TRAIN, seed);
    compare_layouts(context, p, on_cpu ? OTHER_LONGER_MASK : OTHER_MASK, OTHER_BATCH_ORDER);
    sort_lengths(p);
    compare_layouts(context, p, OTHER_BATCH_SIZES, OTHER_BATCH_SIZES);
    problem_free(p);
}

static const shape layout_shapes[] = {
    {5, 4, 3, 6, "part of a panel"},           {1, 1, 2, 3, "one step"},
    {7, 9, 5, 19, "more rows than a product"}, {9, 2, 17, 33, "long and few rows"},
    {3, 21, 4, 16, "a whole panel"},           {6, 3, 0, 5, "projected input only"},
};
enum { LAYOUT_SHAPES = sizeof layout_shapes / sizeof *layout_shapes };

ENGINE_TEST(layout_bits, of_lengths) {
    enum { DRAWS = 6 };
    static const uint32_t sets[DRAWS] = {
        0,
        PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET,
        PROBLEM_H0 | PROBLEM_ATTENTION | PROBLEM_RECOMPUTE,
        PROBLEM_PROJECTED | PROBLEM_SEGMENTS,
        PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_ATTENTION | PROBLEM_PROJECTED,
        PROBLEM_H0 | PROBLEM_H_RESET | PROBLEM_SEGMENTS | PROBLEM_ATTENTION,
    };
    gru_context *context = tester_context(engine, 1);
    const uint64_t types = (uint64_t)problem_type_count(context);
    for (int i = 0; i < LAYOUT_SHAPES * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 400;
        gru_layer_config config = problem_variant(i % DRAWS ? (int)(tester_random(1, draw) % VARIANTS) : 0);
        if (!tester_takes((uint64_t)i)) continue;
        problem_types(&config, i % 3 ? 0 : (int)(tester_random(2, draw) % types));
        config.direction = i / 2 % 2;
        compare_problem(context, &layout_shapes[i / DRAWS], &config, sets[i % DRAWS], draw);
    }
    gru_context_release(context);
}

/* Threads share the steps that exist, not the rows. */
ENGINE_TEST(layout_bits, on_two_threads) {
    static const shape sizes[] = {{12, 37, 24, 40, "threads split the batch"},
                                  {6, 5, 64, 272, "or the units"}};
    ONLY_ON_THE_CPU(engine);
    gru_context *context = tester_context(engine, 2);
    for (int i = 0; i < 4; i++) {
        gru_layer_config config =
            problem_variant(i % 2 ? (int)(tester_random(1, 900 + (uint64_t)i) % VARIANTS) : 0);
        compare_problem(context, &sizes[i / 2], &config, PROBLEM_H0 | PROBLEM_SEGMENTS, 900 + (uint64_t)i);
    }
    gru_context_release(context);
}

/* ---- streaming --------------------------------------------------------------------------------------------------- */

/* Steps t0 .. t0 + T - 1 of a masked call; the state goes on in hT. */
static void run_part(const problem *p, const result *plain, const layout_call *whole, int64_t t0, int64_t T,
                     void *y) {
    const size_t row = (size_t)p->shape.H * io_bytes(p), at = (size_t)(t0 * p->shape.N);
    gru_run run = whole->run;
    run.T = T;
    run.mode = GRU_INFERENCE;
    run.x.data = (const char *)run.x.data + at * (size_t)p->shape.I * io_bytes(p);
    run.mask.data = (const char *)run.mask.data + at;
    run.restart.data = (const char *)run.restart.data + at;
    run.y.data = (char *)y + at * row;
    if (t0 > 0) run.h0 = run.hT;
    REQUIRE(device_mirror_forward(plain->layer, &run) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

/* In calls of 1 to T steps, down to streaming steps. */
ENGINE_TEST(layout_bits, in_calls_of_any_size) {
    static const shape sizes[] = {{9, 1, 4, 17, "one stream"}, {9, 6, 5, 12, "a batch"}};
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < 2; i++) {
        const gru_layer_config config = GRU_INIT;
        problem *p = problem_make(&sizes[i], &config,
                                  PROBLEM_LENGTHS | PROBLEM_TRAIN | PROBLEM_H0 | PROBLEM_SEGMENTS, 71);
        result plain;
        other_layout o;
        layout_call c;
        problem_run(p, context, &plain);
        other_layout_make(&o, OTHER_LONGER_MASK, p->shape.T, p->shape.N, p->run.lengths, 5);
        layout_call_prepare_forward(p, &plain, &o, &c);
        for (int64_t length = 1; length <= o.T; length = 2 * length + 1) {
            void *y = tester_allocate((size_t)(o.rows * p->shape.H) * io_bytes(p));
            for (int64_t t0 = 0; t0 < o.T; t0 += length)
                run_part(p, &plain, &c, t0, o.T - t0 < length ? o.T - t0 : length, y);
            void *padded = other_layout_gather(&o, y, (size_t)p->shape.H * io_bytes(p));
            check_same_bits(p, "y", plain.y, padded);
            check_same_bits(p, "hT", plain.hT, c.run.hT);
            tester_free(padded);
            tester_free(y);
        }
        layout_call_free(&c);
        other_layout_free(&o);
        result_free(&plain);
        problem_free(p);
    }
    gru_context_release(context);
}
