/* test_bits.c: what cannot be seen in the bits: calls, batch, cuts, training, threads, strides, slots, instruction sets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "problem.h"

/* What an output is when it may not depend on anything but the numbers. */
static const uint32_t mathematics = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET |
                                    PROBLEM_ATTENTION | PROBLEM_PROJECTED | PROBLEM_NO_BIAS;

typedef void (*property)(gru_context *context, const problem *p, const result *plain);

/* The property of drawn problems on every shape; `plain` is the result with no option but the mathematics. */
static void for_problems(gru_context *context, int32_t direction, property check) {
    enum { DRAWS = 4 };
    for (int i = 0; i < tester_shape_count * DRAWS; i++) {
        const uint64_t draw = (uint64_t)i + 77;
        gru_layer_config config = problem_variant(i % DRAWS ? (int)(tester_random(1, draw) % VARIANTS) : 0);
        problem_types(&config, i % 2 ? (int)(tester_random(2, draw) % TYPES) : 0);
        if (direction >= 0) config.direction = direction;
        problem *p =
            problem_make(&tester_shapes[i / DRAWS], &config, problem_options(draw) & mathematics, draw);
        result plain;
        problem_run(p, context, &plain);
        check(context, p, &plain);
        result_free(&plain);
        problem_free(p);
    }
}

static void for_engine(const char *engine, property check) {
    gru_context *context = tester_context(engine, 1);
    for_problems(context, -1, check);
    gru_context_release(context);
}

static void check_same_result(const problem *p, const result *a, const result *b) {
    if (a->y && b->y) check_same_bits(p, "y", a->y, b->y);
    if (a->hT && b->hT) check_same_bits(p, "hT", a->hT, b->hT);
}

/* ---- calls and options ------------------------------------------------------------------------------------------- */

static void check_repeated(gru_context *context, const problem *p, const result *plain) {
    result r;
    problem_run(p, context, &r);
    check_same_result(p, plain, &r);
    REQUIRE(problem_call(p, &r) == GRU_OK, "%s: %s", gru_last_error(),
            p->text); /* a workspace that was used */
    check_same_result(p, plain, &r);
    result_free(&r);
}

ENGINE_TEST(bits, repeated_calls) {
    for_engine(engine, check_repeated);
}

static void check_options(gru_context *context, const problem *p, const result *plain) {
    static const uint32_t sets[] = {
        PROBLEM_TRAIN,
        PROBLEM_RECOMPUTE,
        PROBLEM_STRIDES,
        PROBLEM_SLOTS,
        PROBLEM_PACKED,
        PROBLEM_NO_Y,
        PROBLEM_NO_HT,
        PROBLEM_IN_PLACE,
        PROBLEM_IN_PLACE | PROBLEM_SLOTS | PROBLEM_STRIDES,
        PROBLEM_TRAIN | PROBLEM_NO_Y,
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (sets[i] & PROBLEM_IN_PLACE && !(p->options & PROBLEM_H0)) continue;
        problem *other = problem_with(p, p->options | sets[i]);
        result r;
        problem_run(other, context, &r);
        check_same_result(other, plain, &r);
        result_free(&r);
        problem_free(other);
    }
}

ENGINE_TEST(bits, training_strides_slots_and_packed_weights) {
    for_engine(engine, check_options);
}

/* ---- batch ------------------------------------------------------------------------------------------------------- */

/* Row n of part, which begins at row n0 of whole, at the same place of whole. */
static void check_same_rows(const problem *whole, const result *all, const problem *part, const result *some,
                            int64_t n0, int64_t t0) {
    const size_t io = gru_type_bytes(whole->config.io_type), state = gru_type_bytes(whole->config.state_type);
    const size_t H = (size_t)whole->shape.H;
    const int64_t N = part->shape.N, T = part->shape.T;
    char *y = tester_allocate((size_t)(T * N) * H * io);
    for (int64_t t = 0; t < T; t++)
        memcpy(y + (size_t)(t * N) * H * io,
               (char *)all->y + (size_t)((t + t0) * whole->shape.N + n0) * H * io, (size_t)N * H * io);
    check_same_bits(part, "y", y, some->y);
    tester_free(y);
    if (t0 + T == whole->shape.T)
        check_same_bits(part, "hT", (char *)all->hT + (size_t)n0 * H * state, some->hT);
}

static void check_rows(gru_context *context, const problem *p, const result *plain) {
    for (int64_t n = 0; n < p->shape.N; n += n < 4 || n > p->shape.N - 4 ? 1 : 3) {
        const int64_t most = p->shape.N - n,
                      N = n % 3 == 1 && most > 2 ? most - 1 : 1; /* alone, or with others */
        problem *part = problem_part(p, 0, p->shape.T, n, N);
        result r;
        problem_run(part, context, &r);
        check_same_rows(p, plain, part, &r, n, 0);
        result_free(&r);
        problem_free(part);
    }
}

ENGINE_TEST(bits, one_row_in_any_batch) {
    for_engine(engine, check_rows);
}

/* ---- cuts -------------------------------------------------------------------------------------------------------- */

static void run_cut(gru_context *context, const problem *p, const result *plain, int64_t length) {
    void *state = NULL;
    for (int64_t t0 = 0; t0 < p->shape.T; t0 += length) {
        const int64_t T = p->shape.T - t0 < length ? p->shape.T - t0 : length;
        problem *part = problem_part(p, t0, T, 0, p->shape.N);
        result r;
        if (state) problem_set_h0(part, state);
        problem_run(part, context, &r);
        check_same_rows(p, plain, part, &r, 0, t0);
        tester_free(state);
        state = r.hT;
        r.hT = NULL;
        result_free(&r);
        problem_free(part);
    }
    tester_free(state);
}

static void check_cuts(gru_context *context, const problem *p, const result *plain) {
    static const int64_t lengths[] = {1, 2, 5, 50};
    if (p->config.state_type != GRU_F32) return; /* a 16-bit state is rounded at each cut */
    problem *carried = problem_with(p, p->options | PROBLEM_H0);
    result whole;
    problem_run(carried, context, &whole);
    if (p->options & PROBLEM_H0) check_same_result(p, plain, &whole);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (lengths[i] == 1 || lengths[i] < p->shape.T) run_cut(context, carried, &whole, lengths[i]);
    result_free(&whole);
    problem_free(carried);
}

ENGINE_TEST(bits, one_call_or_many) {
    gru_context *context = tester_context(engine, 1);
    for_problems(context, GRU_FORWARD, check_cuts);
    gru_context_release(context);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static gru_context *two_threads, *four_threads;

static void check_threads(gru_context *context, const problem *p, const result *plain) {
    result r;
    (void)context;
    problem_run(p, two_threads, &r);
    check_same_result(p, plain, &r);
    result_free(&r);
    problem_run(p, four_threads, &r);
    check_same_result(p, plain, &r);
    result_free(&r);
}

ENGINE_TEST(bits, one_two_or_four_threads) {
    ONLY_ON_THE_CPU(engine);
    two_threads = tester_context(engine, 2);
    four_threads = tester_context(engine, 4);
    for_engine(engine, check_threads);
    gru_context_release(two_threads);
    gru_context_release(four_threads);
}

/* ---- instruction sets --------------------------------------------------------------------------------------------- */

/* Scalar against one other engine on the same problem, reserve included. */
static void compare_engines(gru_context *scalar, gru_context *other, const problem *p) {
    result a, b;
    problem_run(p, scalar, &a);
    problem_run(p, other, &b);
    check_same_result(p, &a, &b);
    if (a.run.reserve) {
        const size_t head = 64, count = (a.memory.reserve - head) / sizeof(float);
        check_same_array("reserve", p->text, GRU_F32, (char *)a.run.reserve + head,
                         (char *)b.run.reserve + head, count);
    }
    result_free(&a);
    result_free(&b);
}

/* The draw's options and types over a variant and a shape. */
static void compare_drawn(gru_context *scalar, gru_context *other, int variant, const shape *sizes,
                          uint64_t draw) {
    gru_layer_config config = problem_variant(variant);
    problem_types(&config, draw % 2 ? (int)(tester_random(4, draw) % TYPES) : 0);
    problem *p = problem_make(sizes, &config, problem_options(draw), draw);
    compare_engines(scalar, other, p);
    problem_free(p);
}

/* Every variant on the small shapes, and every shape with drawn variants. */
ENGINE_TEST(bits, instruction_sets) {
    enum { SMALL = 8, DRAWS = 6 };
    ONLY_ON_THE_CPU(engine);
    if (strcmp(engine, "cpu_reference") == 0) SKIP("cpu_reference is exact, the others round in one order");
    gru_context *scalar = tester_context("cpu_scalar", 1), *other = tester_context(engine, 1);
    for (int i = 0; i < 4 * VARIANTS; i++)
        compare_drawn(scalar, other, i % VARIANTS, &tester_shapes[i % SMALL], (uint64_t)i);
    for (int i = 0; i < tester_shape_count * DRAWS; i++)
        compare_drawn(scalar, other, i % DRAWS ? (int)(tester_random(6, (uint64_t)i) % VARIANTS) : 0,
                      &tester_shapes[i / DRAWS], (uint64_t)i + 4 * VARIANTS);
    gru_context_release(scalar);
    gru_context_release(other);
}

/* ---- one row's NaN ------------------------------------------------------------------------------------------------ */

/* Puts value where row n's step t gets it: into the first input, or into the first unit of one gate. */
static void poison(problem *p, int64_t t, int64_t n, int gate, double value) {
    const int projected = p->run.projected.data != NULL;
    const gru_const_view *input = projected ? &p->run.projected : &p->run.x;
    const int64_t row = projected ? 3 * p->shape.H : p->shape.I;
    gru_store_double((void *)(uintptr_t)input->data, p->config.io_type,
                     (size_t)((t * p->shape.N + n) * row + (projected ? gate * p->shape.H : 0)), value);
}

/* The poisoned row shows a NaN at once, in all units that it reaches; no other row shows anything. */
static void compare_poisoned(gru_context *context, const problem *p, const result *plain, int gate,
                             double value) {
    const int64_t n = p->run.lengths ? 0 : p->shape.N / 2, H = p->shape.H;
    const int64_t reached = p->run.projected.data ? 1 : H;
    problem *sick = problem_with(p, p->options);
    result r;
    if (sick->run.lengths && sick->run.lengths[0] == 0) return problem_free(sick);
    poison(sick, 0, n, gate, value);
    problem_run(sick, context, &r);
    int spread = 0;
    for (int64_t i = 0; i < p->shape.T * p->shape.N * H; i++) {
        const double was = gru_load_double(plain->y, p->config.io_type, (size_t)i);
        const double is = gru_load_double(r.y, p->config.io_type, (size_t)i);
        if (i / H % p->shape.N != n) spread |= !(was == is);
    }
    CHECK(!spread, "%g in row %lld changed another row: %s", value, (long long)n, p->text);
    for (int64_t j = 0; isnan(value) && j < reached; j++)
        CHECK(isnan(gru_load_double(r.y, p->config.io_type, (size_t)(n * H + j))),
              "NaN in gate %d was lost in unit %lld: %s", gate, (long long)j, p->text);
    result_free(&r);
    problem_free(sick);
}

static void check_poison(gru_context *context, const problem *p, const result *plain) {
    for (int gate = 0; gate < (p->run.projected.data ? 3 : 1); gate++) {
        compare_poisoned(context, p, plain, gate, NAN);
        compare_poisoned(context, p, plain, gate, INFINITY);
        compare_poisoned(context, p, plain, gate, -INFINITY);
    }
}

ENGINE_TEST(bits, nan_and_infinity_stay_in_their_row) {
    for_engine(engine, check_poison);
}
