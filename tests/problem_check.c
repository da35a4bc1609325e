/* problem_check.c: compares the results of two runs, bit by bit or within the budget that arithmetic allows. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "number.h"
#include "problem.h"

double problem_budget(const problem *p, int32_t type, double exact, double largest) {
    const double epsilon = p->config.io_type == GRU_F64 ? DBL_EPSILON : FLT_EPSILON;
    const double chain = epsilon * (2 * sqrt((double)p->shape.I + p->shape.H) + 8) * fmax(1, largest);
    const double value = fabs(exact) + chain;
    if (type == GRU_F16) return chain + fmax(0x1p-11 * value, 0x1p-25); /* half an ulp; of subnormals below */
    if (type == GRU_BF16) return chain + 0x1p-8 * value;
    return chain;
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

void check_close(const problem *p, const char *what, const void *got, const void *exact) {
    const double *expected = exact;
    int32_t type;
    size_t count, worst = 0, outside = 0;
    double largest = 0, worst_ratio = -1;
    char name[80];
    find_output(p, what, &type, &count);
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < count; i++) {
        const double error = fabs(gru_load_double(got, type, i) - expected[i]);
        const double ratio = error / problem_budget(p, type, expected[i], largest);
        outside += !(ratio <= 1);
        if (ratio <= worst_ratio) continue;
        worst_ratio = isnan(ratio) ? HUGE_VAL : ratio;
        worst = i;
    }
    if (count == 0) return;
    const double value = gru_load_double(got, type, worst);
    CHECK(outside == 0, "%s is %.9g, exactly %.9g: error %.3g, budget %.3g (%zu of %zu outside): %s",
          name_of(p, what, worst, name), value, expected[worst], fabs(value - expected[worst]),
          problem_budget(p, type, expected[worst], largest), outside, count, p->text);
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

static void check_norm(const problem *p, int g, const gradients *got, const gradients *exact) {
    const double budget = FLT_EPSILON * (2 * sqrt((double)(p->shape.T * p->shape.N)) + 8);
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

static void check_elements(const problem *p, int g, const gradients *got, const gradients *exact) {
    const double *expected = exact->data[g];
    double largest = 0;
    for (size_t i = 0; i < got->count[g]; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < got->count[g]; i++) {
        const double value = gru_load_double(got->data[g], got->type[g], i);
        const double budget = 4 * problem_budget(p, got->type[g], expected[i], largest);
        CHECK(fabs(value - expected[i]) <= budget, "%s[%zu] is %.9g, exactly %.9g, budget %.3g: %s",
              gradient_names[g], i, value, expected[i], budget, p->text);
    }
}

void check_gradients_close(const problem *p, const gradients *got, const gradients *exact) {
    for (int g = 0; g < GRADS; g++) {
        if (!got->data[g]) continue;
        if (g >= GRAD_W)
            check_norm(p, g, got, exact);
        else
            check_elements(p, g, got, exact);
    }
}
