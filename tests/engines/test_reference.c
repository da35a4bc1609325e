/* test_reference.c: the reference engine, forward against the naive GRU and backward against its central differences. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "support/naive_gru.h"
#include "support/differences.h"
#include "core/layout.h"
#include "core/number.h"

static const uint32_t everything = PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_SEGMENTS | PROBLEM_H_RESET;

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static void compare_with_model(const problem *p, const result *r) {
    double y[4 * 3 * 3], hT[3 * 3];
    uint64_t sides;
    (void)naive_gru_run(p, y, hT, &sides);
    check_close(p, NULL, "y", r->y, y);
    check_close(p, NULL, "hT", r->hT, hT);
}

/* ---- central differences ----------------------------------------------------------------------------------------- */

typedef struct tally {
    long compared, skipped;
} tally;

static void compare_variant(gru_context *context, int variant, uint32_t options, tally *count) {
    static const float scale = 8;
    problem *p = difference_problem(variant, options, (uint64_t)variant + 1);
    differences found;
    result r;
    problem_run(p, context, &r);
    compare_with_model(p, &r);
    result_free(&r);
    if (variant % 2) p->loss_scale = &scale;
    compare_differences(p, context, &found);
    CHECK(found.worst < DIFFERENCE_BUDGET, "%s[%zu] is %.12g, by differences %.12g: %s",
          gradient_names[found.gradient], found.at, found.got, found.expected, p->text);
    count->compared += found.compared, count->skipped += found.skipped;
    problem_free(p);
}

static void compare_all_variants(uint32_t options) {
    gru_context *context = tester_context("cpu_reference", 1);
    tally count = {0, 0};
    for (int i = 0; i < VARIANTS; i++) compare_variant(context, i, options, &count);
    CHECK(count.compared > 0 && count.skipped * 20 <= count.compared,
          "%ld numbers compared, %ld left out at kinks: more than one in twenty", count.compared,
          count.skipped);
    gru_context_release(context);
}

TEST(reference, gradients_agree_with_differences) {
    compare_all_variants(everything);
}

TEST(reference, gradients_agree_with_differences_with_attention) {
    compare_all_variants(everything | PROBLEM_ATTENTION);
}

TEST(reference, gradients_agree_with_differences_of_projected_input) {
    compare_all_variants(everything | PROBLEM_PROJECTED);
}

TEST(reference, gradients_agree_with_differences_of_attended_projected_input) {
    compare_all_variants(everything | PROBLEM_PROJECTED | PROBLEM_ATTENTION);
}

TEST(reference, gradients_agree_with_differences_without_options) {
    compare_all_variants(0);
}

TEST(reference, gradients_agree_with_differences_of_segments_from_zero) {
    compare_all_variants(PROBLEM_SEGMENTS);
}

/* On which sides of its kinks the variant's pre-activations lie with these numbers. */
static uint64_t sides_of(int variant, uint64_t seed) {
    problem *p = difference_problem(variant, everything, seed);
    uint64_t sides;
    (void)naive_gru_run(p, NULL, NULL, &sides);
    problem_free(p);
    return sides;
}

/* The differences are about something: other numbers put pre-activations on other sides of the kinks. */
TEST(reference, kinks_are_crossed) {
    for (int i = 0; i < VARIANTS; i++) {
        const gru_layer_config config = problem_variant(i);
        const int kinks = config.clip != 0 || config.gate || config.candidate == GRU_CANDIDATE_RELU;
        int crossed = 0;
        for (uint64_t seed = 2; seed < 10; seed++) crossed |= sides_of(i, seed) != sides_of(i, 1);
        CHECK(crossed == kinks, "variant %d has %s kinks, but eight sets of numbers lie on %s sides", i,
              kinks ? "some" : "no", crossed ? "other" : "the same");
    }
}

/* ---- one backward pass in several calls ------------------------------------------------------------------------- */

static void backward(const problem *p, result *r, uint32_t parts, gradients *g) {
    REQUIRE(problem_backward(p, r, parts, g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
}

/* Every type that the reference trains in, with and without strides. */
static void for_training_problems(void (*body)(const problem *p, gru_context *context)) {
    static const int32_t types[][3] = {{GRU_F64, GRU_F64, GRU_F64},
                                       {GRU_F32, GRU_F32, GRU_F32},
                                       {GRU_F16, GRU_F32, GRU_F16},
                                       {GRU_BF16, GRU_BF16, GRU_BF16},
                                       {GRU_BF16, GRU_F32, GRU_F32}};
    const shape sizes = {5, 4, 3, 17, "a panel and one unit"};
    gru_context *context = tester_context("cpu_reference", 1);
    for (int i = 0; i < 60; i++) {
        gru_layer_config config = problem_variant((int)(tester_random(7, (uint64_t)i) % VARIANTS));
        config.io_type = types[i % 5][0], config.state_type = types[i % 5][1],
        config.weight_type = types[i % 5][2];
        const uint32_t options = everything | PROBLEM_TRAIN | (i % 2 ? PROBLEM_STRIDES | PROBLEM_SLOTS : 0) |
                                 (i % 3 ? PROBLEM_ATTENTION : 0) | (i % 7 == 0 ? PROBLEM_PROJECTED : 0);
        problem *p = problem_make(&sizes, &config, options, (uint64_t)i);
        body(p, context);
        problem_free(p);
    }
    gru_context_release(context);
}

static void run_parts(const problem *p, gru_context *context) {
    result r;
    gradients whole, again, apart, over;
    problem_run(p, context, &r);
    gradients_make(p, &whole);
    gradients_make(p, &again);
    gradients_make(p, &apart);
    gradients_make(p, &over);
    backward(p, &r, 0, &whole);
    backward(p, &r, GRU_GRAD_DATA | GRU_GRAD_WEIGHTS, &again);
    check_same_gradients(p, &whole, &again);
    backward(p, &r, GRU_GRAD_DATA, &apart);
    for (int i = GRAD_W; i < GRADS; i++)
        if (apart.data[i]) {
            void *zeros = tester_allocate(apart.count[i] * 8);
            memset(zeros, 0, apart.count[i] * 8);
            check_same_array("the data part left: zeros", p->text, apart.type[i], apart.data[i], zeros,
                             apart.count[i]);
            tester_free(zeros);
        }
    backward(p, &r, GRU_GRAD_WEIGHTS, &apart);
    check_same_gradients(p, &whole, &apart);
    for (int i = GRAD_W; i < GRADS; i++) /* NaN: overwritten, not added to */
        if (over.data[i]) memset(over.data[i], 0xFF, over.count[i] * gru_type_bytes(over.type[i]));
    backward(p, &r, GRU_GRAD_OVERWRITE, &over);
    check_same_gradients(p, &whole, &over);
    gradients_free(&whole), gradients_free(&again), gradients_free(&apart), gradients_free(&over);
    result_free(&r);
}

TEST(reference, parts_together_and_apart_give_the_same_bits) {
    for_training_problems(run_parts);
}

static void run_added(const problem *p, gru_context *context) {
    result r;
    gradients once, twice;
    problem_run(p, context, &r);
    gradients_make(p, &once);
    gradients_make(p, &twice);
    backward(p, &r, 0, &once);
    backward(p, &r, 0, &twice);
    backward(p, &r, 0, &twice);
    for (int i = 0; i < GRADS; i++)
        for (size_t k = 0; once.data[i] && k < once.count[i]; k++) {
            const double a = gru_load_double(once.data[i], once.type[i], k) * (i >= GRAD_W ? 2 : 1);
            const double b = gru_load_double(twice.data[i], twice.type[i], k);
            const double budget = (once.type[i] == GRU_F64 ? DBL_EPSILON : FLT_EPSILON) * fabs(a);
            CHECK(fabs(a - b) <= (i >= GRAD_W ? budget : 0), "%s[%zu] is %.17g, expected %.17g: %s",
                  gradient_names[i], k, b, a, p->text);
        }
    gradients_free(&once), gradients_free(&twice);
    result_free(&r);
}

TEST(reference, weight_gradients_are_added_and_data_gradients_written) {
    for_training_problems(run_added);
}

/* ---- loss scale -------------------------------------------------------------------------------------------------- */

/* A power of two multiplies without rounding: the weights' gradients keep their bits. */
static const float loss_scale = 64;

static void scale_rows(gru_const_view view, int32_t type, int64_t T, int64_t N, int64_t row) {
    const int64_t batch = view.batch_stride ? view.batch_stride : row;
    const int64_t time = view.time_stride ? view.time_stride : N * batch;
    for (int64_t t = 0; t < T; t++)
        for (int64_t n = 0; n < N; n++)
            for (int64_t i = 0; i < row; i++) {
                const size_t at = gru_view_index(time, batch, t, n) + (size_t)i;
                void *data = (void *)(uintptr_t)view.data;
                gru_store_double(data, type, at, loss_scale * gru_load_double(data, type, at));
            }
}

static void run_scaled(const problem *p, gru_context *context) {
    problem *scaled = problem_with(p, p->options);
    const gru_const_view dhT = {scaled->dhT, 0, 0};
    result r;
    gradients g, scaled_g;
    scale_rows(scaled->dy, p->config.io_type, p->shape.T, p->shape.N, p->shape.H);
    scale_rows(dhT, p->config.state_type, 1, p->shape.N, p->shape.H);
    scaled->loss_scale = &loss_scale;
    problem_run(p, context, &r);
    gradients_make(p, &g);
    gradients_make(p, &scaled_g);
    backward(p, &r, 0, &g);
    backward(scaled, &r, 0, &scaled_g);
    for (int i = 0; i < GRADS; i++) {
        if (!g.data[i]) continue;
        if (i < GRAD_W) /* subnormal f16 have fewer bits than what they become */
            for (size_t k = 0; k < g.count[i]; k++) {
                const double value = loss_scale * gru_load_double(g.data[i], g.type[i], k);
                gru_store_double(g.data[i], g.type[i], k, fabs(value) < 0x1p-7 ? 0 : value);
                if (fabs(value) < 0x1p-7) gru_store_double(scaled_g.data[i], g.type[i], k, 0);
            }
        check_same_array(gradient_names[i], p->text, g.type[i], g.data[i], scaled_g.data[i], g.count[i]);
    }
    gradients_free(&g), gradients_free(&scaled_g);
    result_free(&r);
    problem_free(scaled);
}

TEST(reference, a_loss_scale_divides_the_weight_gradients_only) {
    for_training_problems(run_scaled);
}

/* ---- other types, recomputing, empty calls ------------------------------------------------------------------------ */

static void run_exactly(const problem *p, gru_context *context) {
    problem *exact = problem_exact(p);
    result r, exact_r;
    gradients g, exact_g;
    if (p->config.io_type == GRU_F64) {
        problem_free(exact);
        return;
    }
    problem_run(p, context, &r);
    problem_run(exact, context, &exact_r);
    gradients_make(p, &g);
    gradients_make(exact, &exact_g);
    backward(p, &r, 0, &g);
    backward(exact, &exact_r, 0, &exact_g);
    check_gradients_close(p, NULL, &g, &exact_g);
    gradients_free(&g), gradients_free(&exact_g);
    result_free(&r), result_free(&exact_r);
    problem_free(exact);
}

TEST(reference, gradients_of_other_types_agree_with_double) {
    for_training_problems(run_exactly);
}

static void run_recomputed(const problem *p, gru_context *context) {
    problem *recompute = problem_with(p, (p->options & ~(uint32_t)PROBLEM_TRAIN) | PROBLEM_RECOMPUTE);
    result r, other;
    gradients g, other_g;
    problem_run(p, context, &r);
    problem_run(recompute, context, &other);
    gradients_make(p, &g);
    gradients_make(p, &other_g);
    backward(p, &r, 0, &g);
    backward(recompute, &other, 0, &other_g);
    check_same_gradients(p, &g, &other_g);
    gradients_free(&g), gradients_free(&other_g);
    result_free(&r), result_free(&other);
    problem_free(recompute);
}

TEST(reference, recomputing_gives_the_same_bits) {
    for_training_problems(run_recomputed);
}

static void run_empty(const shape *sizes) {
    gru_context *context = tester_context("cpu_reference", 1);
    gru_layer_config config = GRU_INIT;
    config.io_type = config.state_type = config.weight_type = GRU_F64;
    problem *p = problem_make(sizes, &config, PROBLEM_H0 | PROBLEM_H_RESET | PROBLEM_TRAIN, 1);
    result r;
    gradients g;
    problem_run(p, context, &r);
    check_same_bits(p, "hT", r.hT, p->run.h0);
    gradients_make(p, &g);
    backward(p, &r, 0, &g);
    check_same_array("dh0", p->text, GRU_F64, g.data[GRAD_H0], p->dhT, g.count[GRAD_H0]);
    for (int i = GRAD_H_RESET; i < GRADS; i++)
        for (size_t k = 0; k < g.count[i]; k++)
            CHECK(((double *)g.data[i])[k] == 0, "%s[%zu] is not 0: %s", gradient_names[i], k, p->text);
    gradients_free(&g);
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}

TEST(reference, no_steps_pass_the_gradient_of_the_state) {
    const shape sizes = {0, 3, 2, 3, "no steps"};
    run_empty(&sizes);
}

TEST(reference, no_rows_have_no_gradients) {
    const shape sizes = {3, 0, 2, 3, "no rows"};
    run_empty(&sizes);
}
