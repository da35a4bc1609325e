/* properties.c: runs a problem again in other circumstances and compares the bits. */
#include "properties.h"

#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/number.h"

const uint32_t property_options = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET |
                                  PROBLEM_ATTENTION | PROBLEM_PROJECTED | PROBLEM_NO_BIAS;

void check_same_results(const problem *p, const result *a, const result *b) {
    if (a->y && b->y) check_same_bits(p, "y", a->y, b->y);
    if (a->hT && b->hT) check_same_bits(p, "hT", a->hT, b->hT);
}

void property_repeated(gru_context *context, const problem *p, const result *plain) {
    result r;
    problem_run(p, context, &r);
    check_same_results(p, plain, &r);
    REQUIRE(problem_call(p, &r) == GRU_OK, "%s: %s", gru_last_error(),
            p->text); /* a workspace that was used */
    check_same_results(p, plain, &r);
    result_free(&r);
}

void property_options_unseen(gru_context *context, const problem *p, const result *plain) {
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
        const uint32_t training = PROBLEM_TRAIN | PROBLEM_RECOMPUTE;
        if (sets[i] & training && p->config.weight_type == GRU_INT8) continue;      /* refused */
        if (sets[i] & training && context->config.flags & GRU_ALLOW_BF16) continue; /* made without it */
        if (sets[i] & PROBLEM_IN_PLACE && !(p->options & PROBLEM_H0)) continue;
        problem *other = problem_with(p, p->options | sets[i]);
        result r;
        problem_run(other, context, &r);
        check_same_results(other, plain, &r);
        result_free(&r);
        problem_free(other);
    }
}

/* ---- batch ------------------------------------------------------------------------------------------------------- */

/* Row n of slice, which begins at row n0 of whole, at the same place of whole. */
static void check_same_rows(const problem *whole, const result *all, const problem *slice, const result *some,
                            int64_t n0, int64_t t0) {
    const size_t io = gru_type_bytes(whole->config.io_type), state = gru_type_bytes(whole->config.state_type);
    const size_t H = (size_t)whole->shape.H;
    const int64_t N = slice->shape.N, T = slice->shape.T;
    char *y = tester_allocate((size_t)(T * N) * H * io);
    for (int64_t t = 0; t < T; t++)
        memcpy(y + (size_t)(t * N) * H * io,
               (char *)all->y + (size_t)((t + t0) * whole->shape.N + n0) * H * io, (size_t)N * H * io);
    check_same_bits(slice, "y", y, some->y);
    tester_free(y);
    if (t0 + T == whole->shape.T)
        check_same_bits(slice, "hT", (char *)all->hT + (size_t)n0 * H * state, some->hT);
}

void property_rows(gru_context *context, const problem *p, const result *plain) {
    for (int64_t n = 0; n < p->shape.N; n += n < 4 || n > p->shape.N - 4 ? 1 : 3) {
        const int64_t most = p->shape.N - n,
                      N = n % 3 == 1 && most > 2 ? most - 1 : 1; /* alone, or with others */
        problem *slice = problem_slice(p, 0, p->shape.T, n, N);
        result r;
        problem_run(slice, context, &r);
        check_same_rows(p, plain, slice, &r, n, 0);
        result_free(&r);
        problem_free(slice);
    }
}

/* ---- cuts -------------------------------------------------------------------------------------------------------- */

static void run_cut(gru_context *context, const problem *p, const result *plain, int64_t length) {
    void *state = NULL;
    for (int64_t t0 = 0; t0 < p->shape.T; t0 += length) {
        const int64_t T = p->shape.T - t0 < length ? p->shape.T - t0 : length;
        problem *slice = problem_slice(p, t0, T, 0, p->shape.N);
        result r;
        if (state) problem_set_h0(slice, state);
        problem_run(slice, context, &r);
        check_same_rows(p, plain, slice, &r, 0, t0);
        tester_free(state);
        state = r.hT;
        r.hT = NULL;
        result_free(&r);
        problem_free(slice);
    }
    tester_free(state);
}

void property_cuts(gru_context *context, const problem *p, const result *plain) {
    static const int64_t lengths[] = {1, 2, 5, 50};
    if (gru_type_bytes(p->config.state_type) == 2) return; /* a 16-bit state is rounded at each cut */
    problem *carried = problem_with(p, p->options | PROBLEM_H0);
    result whole;
    problem_run(carried, context, &whole);
    if (p->options & PROBLEM_H0) check_same_results(p, plain, &whole);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (lengths[i] == 1 || lengths[i] < p->shape.T) run_cut(context, carried, &whole, lengths[i]);
    result_free(&whole);
    problem_free(carried);
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

void property_poison(gru_context *context, const problem *p, const result *plain) {
    for (int gate = 0; gate < (p->run.projected.data ? 3 : 1); gate++) {
        compare_poisoned(context, p, plain, gate, NAN);
        compare_poisoned(context, p, plain, gate, INFINITY);
        compare_poisoned(context, p, plain, gate, -INFINITY);
    }
}

void property_elsewhere(gru_context *other, const problem *p, const result *plain) {
    result r;
    problem_run(p, other, &r);
    check_same_results(p, plain, &r);
    result_free(&r);
}

void property_every_way(gru_context *context, const problem *p, const result *plain) {
    property_repeated(context, p, plain);
    property_options_unseen(context, p, plain);
    property_rows(context, p, plain);
    if (p->config.direction == GRU_FORWARD) property_cuts(context, p, plain);
    property_poison(context, p, plain);
}

problem *problem_of_weights(int32_t weight_type, const shape *sizes, int variant, uint32_t options,
                            uint64_t draw) {
    const uint32_t training = PROBLEM_TRAIN | PROBLEM_RECOMPUTE;
    gru_layer_config config = problem_variant(variant);
    problem_types(&config, draw % 2 ? (int)(tester_random(2, draw) % TYPES) : 0);
    config.weight_type = weight_type;
    return problem_make(sizes, &config, options & ~training, draw);
}
