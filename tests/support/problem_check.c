/* problem_check.c: compares the results of two runs, bit by bit or within the budget that arithmetic allows. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/layer.h"
#include "core/number.h"
#include "problem.h"

/* What it costs that tensor cores read operands of few bits: h and x are rounded to the type of the weights, or, in TF32, they
 * and the weights to 11 bits. Relative to the largest number.
 *
 * Rounding to nearest with p bits of significand errs by at most u = 2^-p of the number (f16 and TF32: p = 11, bf16: p = 8),
 * by u / sqrt 3 on average. Weights are uniform in +-1/sqrt(H), 1 / sqrt(3 H) on average. So the sum of I + H products errs,
 * on average, by u / 3 sqrt((I + H) / H), sqrt 2 times that if both operands are rounded. To the state this passes through
 * three slopes: of the candidate at most 1, of the update gate |h - n| / 4 <= 1 / 2, of the reset gate |c_n| / 4 <= 1 / 4 on
 * average: together sqrt(1 + 1/4 + 1/16) < 1.2. The next step keeps z, about a half, of the state's error, and
 * R passes on 1.2 / sqrt 3 of it: their squares add up to less than 3/4, so that the errors of all steps together are twice
 * that of one. Six times this average, which none of 10^8 numbers is expected to exceed, is
 * 6 * 2 * 1.2 * u / 3 sqrt((I + H) / H) < 5 u sqrt((I + H) / H).
 *
 * Layers of int8 weights on CPUs round h and x, but not the weights, to integers: by at most half of the largest number of the
 * row over the largest integer, which is for a number what u is above.
 *
 * GRU_ALLOW_BF16 rounds h and x to bf16 on CPUs.
 *
 * CUDA engines also take fast exponentials and divisions, together wrong by at most 2^-21 for each of three gates, twice
 * that over all steps: below 2^-18. */
static double operand_error(const problem *p, const gru_layer *layer) {
    double u = 0;
    if (!layer) return 0;
    if (p->config.weight_type == GRU_INT8) {
        const size_t K = (size_t)(p->shape.I > p->shape.H ? p->shape.I : p->shape.H);
        const double integers = fmin(INT16_MAX, floor(INT32_MAX / (128.0 * (double)K)));
        return 5 * (0.5 / integers) * sqrt(1 + (double)p->shape.I / p->shape.H);
    }
    if (layer->context->config.backend != GRU_BACKEND_CUDA) {
        const int allows = p->config.weight_type == GRU_BF16 && layer->context->config.flags & GRU_ALLOW_BF16;
        return allows ? 5 * 0x1p-8 * sqrt(1 + (double)p->shape.I / p->shape.H) : 0;
    }
    if (p->config.weight_type == GRU_F16) u = 0x1p-11;
    if (p->config.weight_type == GRU_BF16) u = 0x1p-8;
    if (p->config.weight_type == GRU_F32 && layer->context->config.flags & GRU_ALLOW_TF32)
        u = 0x1p-11 * sqrt(2);
    if (u == 0) return 0;
    return 5 * u * sqrt(1 + (double)p->shape.I / p->shape.H) + 0x1p-18;
}

double problem_budget(const problem *p, const gru_layer *layer, int32_t type, double exact, double largest) {
    const double epsilon = p->config.io_type == GRU_F64 ? DBL_EPSILON : FLT_EPSILON;
    const double chain = epsilon * (2 * sqrt((double)p->shape.I + p->shape.H) + 8);
    const double sum = (chain + operand_error(p, layer)) * fmax(1, largest);
    const double value = fabs(exact) + sum;
    if (type == GRU_F16) return sum + fmax(0x1p-11 * value, 0x1p-25); /* half an ulp; of subnormals below */
    if (type == GRU_BF16) return sum + 0x1p-8 * value;
    return sum;
}

static void find_output(const problem *p, const char *what, int32_t *type, size_t *count) {
    const int y = strcmp(what, "y") == 0;
    *type = y ? p->config.io_type : p->config.state_type;
    *count = (size_t)((y ? p->shape.T : 1) * p->shape.N * p->shape.H);
}

/* "y[t][n][j]" of the element. */
static const char *name_of(const problem *p, const char *what, size_t i, char name[80]) {
    const size_t H = (size_t)p->shape.H, N = (size_t)p->shape.N;
    if (strcmp(what, "y") == 0)
        (void)snprintf(name, 80, "y[%zu][%zu][%zu]", i / H / N, i / H % N, i % H);
    else
        (void)snprintf(name, 80, "%s[%zu][%zu]", what, i / H, i % H);
    return name;
}

void check_close(const problem *p, const gru_layer *layer, const char *what, const void *got,
                 const void *exact) {
    const double *expected = exact;
    int32_t type;
    size_t count, worst = 0, outside = 0;
    double largest = 0, worst_ratio = -1;
    char name[80];
    find_output(p, what, &type, &count);
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < count; i++) {
        const double error = fabs(gru_load_double(got, type, i) - expected[i]);
        const double ratio = error / problem_budget(p, layer, type, expected[i], largest);
        outside += !(ratio <= 1);
        if (ratio <= worst_ratio) continue;
        worst_ratio = isnan(ratio) ? HUGE_VAL : ratio;
        worst = i;
    }
    if (count == 0) return;
    const double value = gru_load_double(got, type, worst);
    CHECK(outside == 0, "%s is %.9g, exactly %.9g: error %.3g, budget %.3g (%zu of %zu outside): %s",
          name_of(p, what, worst, name), value, expected[worst], fabs(value - expected[worst]),
          problem_budget(p, layer, type, expected[worst], largest), outside, count, p->text);
}

/* The first number that differs, or count. */
static size_t first_difference(int32_t type, const void *a, const void *b, size_t count) {
    const size_t element = gru_type_bytes(type);
    if (memcmp(a, b, count * element) == 0) return count;
    for (size_t i = 0; i < count; i++)
        if (memcmp((const char *)a + i * element, (const char *)b + i * element, element) != 0 &&
            !(isnan(gru_load_double(a, type, i)) && isnan(gru_load_double(b, type, i))))
            return i;
    return count;
}

void check_same_bits(const problem *p, const char *what, const void *a, const void *b) {
    int32_t type;
    size_t count;
    char name[80];
    find_output(p, what, &type, &count);
    if (count == 0) return;
    const size_t i = first_difference(type, a, b, count);
    CHECK(i == count, "%s is %.17g and %.17g: %s", name_of(p, what, i, name),
          gru_load_double(a, type, i < count ? i : 0), gru_load_double(b, type, i < count ? i : 0), p->text);
}

void check_same_array(const char *what, const char *where, int32_t type, const void *a, const void *b,
                      size_t count) {
    if (count == 0) return;
    const size_t i = first_difference(type, a, b, count), shown = i < count ? i : 0;
    CHECK(i == count, "%s[%zu] is %.17g and %.17g: %s", what, i, gru_load_double(a, type, shown),
          gru_load_double(b, type, shown), where);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void check_norm(const problem *p, const gru_layer *layer, int g, const gradients *got,
                       const gradients *exact) {
    const double epsilon = got->type[g] == GRU_F64 ? DBL_EPSILON : FLT_EPSILON;
    const double budget =
        epsilon * (2 * sqrt((double)(p->shape.T * p->shape.N)) + 8) + operand_error(p, layer);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < got->count[g]; i++) {
        const double value = gru_load_double(got->data[g], got->type[g], i),
                     expected = ((const double *)exact->data[g])[i];
        difference += (value - expected) * (value - expected);
        norm += expected * expected;
    }
    CHECK(sqrt(difference) <= budget * sqrt(norm), "%s differs by %.3g of its norm, budget %.3g: %s",
          gradient_names[g], sqrt(difference / norm), budget, p->text);
}

static void check_elements(const problem *p, const gru_layer *layer, int g, const gradients *got,
                           const gradients *exact) {
    const double *expected = exact->data[g];
    double largest = 0;
    for (size_t i = 0; i < got->count[g]; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < got->count[g]; i++) {
        const double value = gru_load_double(got->data[g], got->type[g], i);
        const double budget = 4 * problem_budget(p, layer, got->type[g], expected[i], largest);
        CHECK(fabs(value - expected[i]) <= budget, "%s[%zu] is %.9g, exactly %.9g, budget %.3g: %s",
              gradient_names[g], i, value, expected[i], budget, p->text);
    }
}

void check_gradients_close(const problem *p, const gru_layer *layer, const gradients *got,
                           const gradients *exact) {
    for (int g = 0; g < GRADS; g++) {
        if (!got->data[g]) continue;
        if (g >= GRAD_W)
            check_norm(p, layer, g, got, exact);
        else
            check_elements(p, layer, g, got, exact);
    }
}

/* ---- whole problems ---------------------------------------------------------------------------------------------- */

void check_call(const problem *p, result *r) {
    result exact;
    REQUIRE(problem_call(p, r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    problem_run_exact(p, &exact);
    if (r->y) check_close(p, r->layer, "y", r->y, exact.y);
    if (r->hT) check_close(p, r->layer, "hT", r->hT, exact.hT);
    result_free(&exact);
}

int check_problem(const problem *p, gru_context *context) {
    result r;
    const gru_status status = problem_open(p, context, &r);
    if (status == GRU_UNSUPPORTED) return 0;
    REQUIRE(status == GRU_OK, "%s: %s", gru_last_error(), p->text);
    check_call(p, &r);
    result_free(&r);
    return 1;
}

void check_saved(const problem *p, gru_context *context) {
    gru_context *reference = tester_context("cpu_reference", 1);
    problem *exact = problem_exact(p);
    result trained, other, exact_trained;
    gradients g, exact_g;
    problem_run(p, context, &trained);
    problem_run(exact, reference, &exact_trained);
    REQUIRE(problem_open(p, reference, &other) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    memcpy(other.run.reserve, trained.run.reserve,
           trained.run.reserve_size); /* the CPU's own may be larger */
    gradients_make(p, &g);
    gradients_make(exact, &exact_g);
    REQUIRE(problem_backward(p, &other, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    REQUIRE(problem_backward(exact, &exact_trained, 0, &exact_g) == GRU_OK, "%s: %s", gru_last_error(),
            p->text);
    check_gradients_close(p, trained.layer, &g, &exact_g);
    gradients_free(&g), gradients_free(&exact_g);
    result_free(&trained), result_free(&other), result_free(&exact_trained);
    problem_free(exact);
    gru_context_release(reference);
}

void check_same_gradients(const problem *p, const gradients *a, const gradients *b) {
    for (int i = 0; i < GRADS; i++)
        if (a->data[i])
            check_same_array(gradient_names[i], p->text, a->type[i], a->data[i], b->data[i], a->count[i]);
}
