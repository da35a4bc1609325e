/* test_gradient_rules.c: what the gradients of every engine keep to: NaN stays in its row, absent steps are not read, and one
 * reserve gives the same bits however often and in whatever training mode it is read. */
#include <math.h>
#include <string.h>

#include "core/layout.h"
#include "core/number.h"
#include "support/problem.h"

static const shape sizes = {6, 5, 7, 19, "a panel and three units"};

/* A run that backward can start from, and its gradients. */
typedef struct training {
    problem *p;
    result r;
    gradients g;
} training;

static void backward(training *run) {
    for (int i = 0; i < GRADS; i++)
        if (run->g.data[i]) memset(run->g.data[i], 0xFF, run->g.count[i] * gru_type_bytes(run->g.type[i]));
    REQUIRE(problem_backward(run->p, &run->r, GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE,
                             &run->g) == GRU_OK,
            "%s: %s", gru_last_error(), run->p->text);
}

static void close_training(training *run) {
    gradients_free(&run->g);
    result_free(&run->r);
    problem_free(run->p);
}

/* 0: the engine has no backward pass, or none of such a layer. */
static int open_training(training *run, gru_context *context, int draw, uint32_t options) {
    const uint64_t types = (uint64_t)problem_type_count(context);
    gru_layer_config config = problem_variant((int)(tester_random(11, (uint64_t)draw) % VARIANTS));
    problem_types(&config, draw % 3 ? (int)(tester_random(12, (uint64_t)draw) % types) : 0);
    run->p = problem_make(&sizes, &config, options, (uint64_t)draw);
    problem_run(run->p, context, &run->r);
    gradients_make(run->p, &run->g);
    const gru_status status = problem_backward(run->p, &run->r, GRU_GRAD_OVERWRITE, &run->g);
    if (status == GRU_OK) return 1;
    CHECK(status == GRU_UNSUPPORTED, "%s: %s", gru_last_error(), run->p->text);
    close_training(run);
    return 0;
}

static uint32_t options_of(int draw) {
    return PROBLEM_LENGTHS | PROBLEM_H0 | PROBLEM_H_RESET | (draw % 2 ? PROBLEM_TRAIN : PROBLEM_RECOMPUTE) |
           (draw % 4 < 2 ? PROBLEM_SEGMENTS : 0) | (draw % 3 ? PROBLEM_ATTENTION : 0) |
           (draw % 5 == 0 ? PROBLEM_PROJECTED : 0) | (draw % 7 == 0 ? PROBLEM_STRIDES : 0);
}

static void for_trainings(const char *engine, void (*body)(training *run, const gradients *plain)) {
    enum { DRAWS = 24 };
    gru_context *context = tester_context(engine, 1);
    int ran = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        training plain, s;
        if (!tester_takes((uint64_t)draw) || !open_training(&plain, context, draw, options_of(draw)))
            continue;
        backward(&plain);
        if (open_training(&s, context, draw, options_of(draw))) {
            body(&s, &plain.g);
            close_training(&s);
            ran++;
        }
        close_training(&plain);
    }
    gru_context_release(context);
    if (!ran) SKIP("%s has no backward pass", engine);
}

static void check_unchanged(const training *run, const gradients *plain, const char *when) {
    char where[600];
    (void)snprintf(where, sizeof where, "%s: %s", when, run->p->text);
    for (int i = 0; i < GRADS; i++)
        if (plain->data[i])
            check_same_array(gradient_names[i], where, plain->type[i], plain->data[i], run->g.data[i],
                             plain->count[i]);
}

/* ---- one reserve, many times -------------------------------------------------------------------------------------- */

static void read_again(training *run, const gradients *plain) {
    check_unchanged(run, plain, "the second run");
    backward(run);
    check_unchanged(run, plain, "twice on one reserve");
    run->r.run.mode = GRU_TRAIN_RECOMPUTE;
    backward(run);
    check_unchanged(run, plain, "recomputed");
}

ENGINE_TEST(gradient_rules, one_reserve_gives_the_same_bits) {
    for_trainings(engine, read_again);
}

/* ---- NaN and infinity --------------------------------------------------------------------------------------------- */

/* The first number of row n at time t of a view with rows of `row` numbers. */
static size_t place_in(const problem *p, gru_const_view view, int64_t row, int64_t t, int64_t n) {
    const int64_t batch = view.batch_stride ? view.batch_stride : row;
    return gru_view_index(view.time_stride ? view.time_stride : p->shape.N * batch, batch, t, n);
}

static void set_row(const problem *p, gru_const_view view, int32_t type, int64_t row, int64_t t, int64_t n,
                    double value) {
    for (int64_t i = 0; i < row; i++)
        gru_store_double((void *)(uintptr_t)view.data, type, place_in(p, view, row, t, n) + (size_t)i, value);
}

/* The row that number k of a data gradient belongs to. */
static int64_t row_of(const training *run, int gradient, size_t k) {
    const int64_t H = run->p->shape.H, N = run->p->shape.N;
    const int64_t width = gradient == GRAD_X ? run->p->shape.I : gradient == GRAD_PROJECTED ? 3 * H : 1;
    return gradient < GRAD_H0 ? (int64_t)k / width % N : (int64_t)k / H;
}

/* Data gradients of all rows but n are those of the plain run, and n's value went on to the weights. */
static void check_stays(training *run, const gradients *plain, int64_t n, const char *what) {
    backward(run);
    int wild = 0;
    for (size_t k = 0; k < run->g.count[GRAD_BR]; k++)
        wild += !isfinite(gru_load_double(run->g.data[GRAD_BR], run->g.type[GRAD_BR], k));
    CHECK(wild > 0, "%s was lost: dbR is finite: %s", what, run->p->text);
    for (int i = 0; i < GRAD_W; i++) {
        const size_t element = gru_type_bytes(run->g.type[i]);
        for (size_t k = 0; run->g.data[i] && k < run->g.count[i]; k++)
            if (row_of(run, i, k) == n)
                memcpy((char *)run->g.data[i] + k * element, (const char *)plain->data[i] + k * element,
                       element);
        if (run->g.data[i])
            check_same_array(gradient_names[i], run->p->text, run->g.type[i], plain->data[i], run->g.data[i],
                             run->g.count[i]);
    }
}

/* One number becomes NaN, then infinity, then what it was. */
static void poison_number(training *run, const gradients *plain, void *data, int32_t type, size_t at,
                          const char *name) {
    static const double values[] = {NAN, INFINITY};
    const double kept = gru_load_double(data, type, at);
    for (int i = 0; i < 2; i++) {
        char what[64];
        (void)snprintf(what, sizeof what, "%g in %s", values[i], name);
        gru_store_double(data, type, at, values[i]);
        check_stays(run, plain, 0, what);
    }
    gru_store_double(data, type, at, kept);
}

/* In row 0, the longest. */
static void poison(training *run, const gradients *plain) {
    const problem *p = run->p;
    const size_t in_dy = place_in(p, p->dy, p->shape.H, 2, 0) + 3;
    poison_number(run, plain, (void *)(uintptr_t)p->dy.data, p->config.io_type, in_dy, "dy");
    poison_number(run, plain, p->dhT, p->config.state_type, 3, "dhT");
    backward(run);
    check_unchanged(run, plain, "as it was");
}

ENGINE_TEST(gradient_rules, nan_and_infinity_stay_in_their_row) {
    for_trainings(engine, poison);
}

/* NaN in x, projected input, attention and dy past the lengths is seen by nobody. */
static void poison_absent(training *run, const gradients *plain) {
    const problem *p = run->p;
    const int64_t I = p->shape.I, H = p->shape.H;
    const int32_t io = p->config.io_type, exact = io == GRU_F64 ? GRU_F64 : GRU_F32;
    for (int64_t n = 0; n < p->shape.N; n++)
        for (int64_t t = p->run.lengths[n]; t < p->shape.T; t++) {
            set_row(p, p->dy, io, H, t, n, NAN);
            if (p->run.x.data) set_row(p, p->run.x, io, I, t, n, NAN);
            if (p->run.projected.data) set_row(p, p->run.projected, io, 3 * H, t, n, NAN);
            if (p->run.attention.data) set_row(p, p->run.attention, exact, 1, t, n, NAN);
        }
    REQUIRE(problem_call(p, &run->r) == GRU_OK, "%s: %s", gru_last_error(), p->text);
    backward(run);
    check_unchanged(run, plain, "NaN past the lengths");
}

ENGINE_TEST(gradient_rules, absent_steps_are_not_read) {
    for_trainings(engine, poison_absent);
}
