/* test_onednn.c: every engine's forward and the reference's backward against oneDNN's on the same numbers. */
#include <float.h>
#include <math.h>

#include "support/onednn.h"

static const shape shapes[] = {
    {1, 1, 1, 1, "the smallest problem"},
    {7, 5, 3, 5, "longest, widest, all sizes odd"},
    {3, 2, 16, 17, "one unit more than a vector"},
    {5, 4, 33, 31, "more inputs than units, one unit less than two vectors"},
    {6, 3, 8, 16, "H a whole vector"},
    {2, 5, 40, 7, "far more inputs than units"},
    {4, 1, 13, 64, "one sequence"},
    {7, 3, 9, 33, "two vectors and one unit"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Both resets, with and without h0: of a forward layer, a reverse one, and a forward one with attention. */
enum { FIRST = 0, FIRST_REVERSE = 4, FIRST_ATTENTION = 8, LAST = 12 };

static problem *make_problem(const shape *sizes, int variant, uint32_t options) {
    gru_layer_config config = GRU_INIT;
    config.reset_mode = variant & 1 ? GRU_RESET_BEFORE : GRU_RESET_AFTER;
    if (variant & 2) options |= PROBLEM_H0;
    if (variant >= FIRST_ATTENTION)
        options |= PROBLEM_ATTENTION;
    else if (variant >= FIRST_REVERSE)
        config.direction = GRU_REVERSE;
    return problem_make(sizes, &config, options, (uint64_t)variant + 1);
}

/* How far a result in single precision may lie from the exact one: a chain of products errs like a random
 * walk and the cell adds 8 roundings. A step forward sums I + H products; backward adds 3H, and over all T N
 * steps for a weight. largest: of the numbers compared, 1 at least. */
static double budget(const problem *p, int backward, double largest) {
    const double H = p->shape.H, steps = (double)(p->shape.T * p->shape.N);
    const double products = p->shape.I + H + (backward ? 3 * H + steps : 0);
    return (double)FLT_EPSILON * (2 * sqrt(products) + 8) * fmax(1, largest);
}

/* Both sides are in single precision. */
static void compare(const problem *p, const char *what, int backward, const float *got, const float *peer,
                    size_t count) {
    size_t worst = 0;
    double largest = 0, error = -1;
    REQUIRE(count > 0, "%s has no numbers: %s", what, p->text);
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)got[i] - (double)peer[i]);
        largest = fmax(largest, fabs((double)peer[i]));
        if (difference <= error) continue;
        error = isnan(difference) ? HUGE_VAL : difference;
        worst = i;
    }
    const double allowed = 2 * budget(p, backward, largest);
    CHECK(isfinite(error) && error <= allowed,
          "%s[%zu] is %.9g, oneDNN has %.9g: apart %.3g, budget %.3g: %s", what, worst, (double)got[worst],
          (double)peer[worst], error, allowed, p->text);
}

/* y and hT of p in both; with gradients, those too. */
static void compare_all(const problem *p, gru_context *context) {
    const size_t states = (size_t)(p->shape.N * p->shape.H), rows = (size_t)p->shape.T * states;
    const int training = p->run.mode != GRU_INFERENCE;
    float *y = tester_allocate(rows * sizeof *y), *hT = tester_allocate(states * sizeof *hT);
    gradients ours = {{NULL}, {0}, {0}}, theirs = ours;
    result r;
    if (training) gradients_make(p, &ours), gradients_make(p, &theirs);
    onednn_run(p, y, hT, training ? &theirs : NULL);
    problem_run(p, context, &r);
    compare(p, "y", 0, r.y, y, rows);
    compare(p, "hT", 0, r.hT, hT, states);
    if (training) REQUIRE(problem_backward(p, &r, 0, &ours) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int i = 0; i < GRADS; i++)
        if (ours.data[i]) compare(p, gradient_names[i], 1, ours.data[i], theirs.data[i], ours.count[i]);
    gradients_free(&ours), gradients_free(&theirs);
    result_free(&r);
    tester_free(y), tester_free(hT);
}

static void compare_variants(const char *engine, int first, int last, uint32_t options) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < SHAPES; i++)
        for (int variant = first; variant < last; variant++) {
            problem *p = make_problem(&shapes[i], variant, options);
            compare_all(p, context);
            problem_free(p);
        }
    gru_context_release(context);
}

ENGINE_TEST(onednn, forward) {
    compare_variants(engine, FIRST, LAST, 0);
}

ENGINE_TEST(onednn, backward) {
    ONLY_ON_THE_CPU(engine);
    compare_variants(engine, FIRST, FIRST_ATTENTION, PROBLEM_TRAIN);
}

/* ---- attention: gradients against differences of oneDNN's forward -------------------------------------- */

/* sum(dy y) + sum(dhT hT) of oneDNN's forward. */
static double loss(const problem *p) {
    const size_t states = (size_t)(p->shape.N * p->shape.H), rows = (size_t)p->shape.T * states;
    const float *dy = p->dy.data, *dhT = p->dhT;
    float *y = tester_allocate(rows * sizeof *y), *hT = tester_allocate(states * sizeof *hT);
    double sum = 0;
    onednn_run(p, y, hT, NULL);
    for (size_t i = 0; i < rows; i++) sum += (double)dy[i] * (double)y[i];
    for (size_t i = 0; i < states; i++) sum += (double)dhT[i] * (double)hT[i];
    tester_free(y), tester_free(hT);
    return sum;
}

/* The derivative of the loss after *input, from the two sides. */
static double difference(const problem *p, float *input, float step) {
    const float middle = *input, above = middle + step, below = middle - step;
    *input = above;
    const double more = loss(p);
    *input = below;
    const double less = loss(p);
    *input = middle;
    return (more - less) / ((double)above - (double)below);
}

/* A dozen numbers of the input at most. Two errors: rounding in all outputs, divided by the step, and the
 * cubic term, as a third derivative is at most about twice the largest first one, as in tanh. */
static void compare_differences(const problem *p, const char *what, const void *input, const float *gradient,
                                size_t count) {
    const float step = 0x1p-5f;
    const double outputs = (double)((p->shape.T + 1) * p->shape.N * p->shape.H);
    float *numbers = (float *)input; /* the problem's own memory, restored each time */
    double largest = 1;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)gradient[i]));
    const double allowed =
        budget(p, 0, 1) * sqrt(outputs) / (double)step + 2 * largest * (double)(step * step) / 6;
    for (size_t i = 0; i < count; i += 1 + count / 12) {
        const double slope = difference(p, numbers + i, step), error = fabs((double)gradient[i] - slope);
        CHECK(error <= allowed,
              "%s[%zu] is %.9g, differences of oneDNN say %.9g: apart %.3g, budget %.3g: %s", what, i,
              (double)gradient[i], slope, error, allowed, p->text);
    }
}

static void compare_attention(const problem *p, gru_context *context) {
    const void *const inputs[GRADS] = {[GRAD_X] = p->run.x.data, [GRAD_ATTENTION] = p->run.attention.data,
                                       [GRAD_H0] = p->run.h0,    [GRAD_W] = p->weights.W,
                                       [GRAD_R] = p->weights.R,  [GRAD_BW] = p->weights.bW,
                                       [GRAD_BR] = p->weights.bR};
    gradients g;
    result r;
    gradients_make(p, &g);
    problem_run(p, context, &r);
    REQUIRE(problem_backward(p, &r, 0, &g) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    for (int i = 0; i < GRADS; i++)
        if (g.data[i]) compare_differences(p, gradient_names[i], inputs[i], g.data[i], g.count[i]);
    gradients_free(&g);
    result_free(&r);
}

TEST(onednn, attention_gradients) {
    gru_context *context = tester_context("cpu_reference", 1);
    for (int i = 0; i < SHAPES; i++)
        for (int variant = FIRST_ATTENTION; variant < LAST; variant++) {
            problem *p = make_problem(&shapes[i], variant, PROBLEM_TRAIN);
            compare_attention(p, context);
            problem_free(p);
        }
    gru_context_release(context);
}
