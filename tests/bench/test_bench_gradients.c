/* test_bench_gradients.c: the benchmark's bounds for gradients let rounded arithmetic in and keep wrong equations out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/bench_problem_check.h"
#include "../../bench/bench_problem_create.h"
#include "../../bench/bench_gradients.h"
#include "support/tester.h"

/* What a wrong program might forget of the equations, one at a time. */
enum {
    NOTHING,
    RESET_GATE,     /* da_r = 0 */
    UPDATE_GATE,    /* da_z = 0 */
    RESET_OF_STATE, /* the candidate's recurrent part without r */
    SLOPE,          /* tanh' taken for 1 */
    DIRECT,         /* z dh' not carried on */
    CARRIED_RESET,  /* R of this gate does not carry the gradient on */
    CARRIED_UPDATE,
    CARRIED_CANDIDATE,
    LAST_ROW,   /* the last sequence's weight gradients */
    FIRST_STEP, /* the weight gradients of the first step */
    MISTAKES
};
static const char *const mistakes[MISTAKES] = {
    "nothing",        "reset gate",      "update gate",        "reset of state", "slope",     "direct",
    "carried, reset", "carried, update", "carried, candidate", "last row",       "first step"};

typedef struct program {
    const bench_problem *p;
    int mistake;
    float *gates; /* [T][N][4][H] r, z, n and c_n, each as the type holds it */
} program;

static double hold(const program *self, double value) {
    float number = (float)value;
    bench_type_round(&number, 1, self->p->type);
    return (double)number;
}

static double sigmoid(double v) {
    return 1 / (1 + exp(-v));
}

static double sum(const float *matrix, const float *vector, int64_t count, double bias) {
    for (int64_t i = 0; i < count; i++) bias += (double)matrix[i] * (double)vector[i];
    return bias;
}

static const float *state_before(const bench_problem *p, int64_t t, int64_t n) {
    return t ? p->y + ((t - 1) * p->shape.N + n) * p->shape.H : p->h0 + n * p->shape.H;
}

static float *gates_of(const program *self, int64_t t, int64_t n) {
    return self->gates + (t * self->p->shape.N + n) * 4 * self->p->shape.H;
}

static void run_forward(const program *self, int64_t t, int64_t n) {
    const bench_problem *p = self->p;
    const int64_t H = p->shape.H, I = p->shape.I;
    const float *x = p->x + (t * p->shape.N + n) * I, *h = state_before(p, t, n);
    float *g = gates_of(self, t, n), *next = p->y + (t * p->shape.N + n) * H;
    for (int64_t j = 0; j < H; j++) {
        double a[3], c[3];
        for (int64_t k = 0; k < 3; k++) {
            a[k] = hold(self, sum(p->W + (k * H + j) * I, x, I, p->bW[k * H + j]));
            c[k] = hold(self, sum(p->R + (k * H + j) * H, h, H, p->bR[k * H + j]));
        }
        const double r = hold(self, sigmoid(a[0] + c[0])), z = hold(self, sigmoid(a[1] + c[1]));
        const double candidate = hold(self, tanh(a[2] + r * c[2]));
        g[j] = (float)r, g[H + j] = (float)z, g[2 * H + j] = (float)candidate, g[3 * H + j] = (float)c[2];
        next[j] = (float)hold(self, (1 - z) * candidate + z * (double)h[j]);
    }
}

/* da [3H] and dc_n [H] of one step, from dh. */
static void differentiate_cell(const program *self, int64_t t, int64_t n, const double *dh, float *da,
                               float *dc) {
    const int64_t H = self->p->shape.H;
    const float *g = gates_of(self, t, n), *h = state_before(self->p, t, n);
    for (int64_t j = 0; j < H; j++) {
        const double r = (double)g[j], z = (double)g[H + j], candidate = (double)g[2 * H + j];
        const double slope = self->mistake == SLOPE ? 1 : 1 - candidate * candidate;
        const double dn = (1 - z) * slope * dh[j];
        const double dr = dn * (double)g[3 * H + j] * r * (1 - r);
        const double dz = ((double)h[j] - candidate) * z * (1 - z) * dh[j];
        da[j] = (float)hold(self, self->mistake == RESET_GATE ? 0 : dr);
        da[H + j] = (float)hold(self, self->mistake == UPDATE_GATE ? 0 : dz);
        da[2 * H + j] = (float)hold(self, dn);
        dc[j] = (float)hold(self, self->mistake == RESET_OF_STATE ? dn : dn * r);
    }
}

/* vector[columns] += matrix[H][columns]^T rows[H] */
static void carry(const float *matrix, const float *rows, int64_t H, int64_t columns, double *vector) {
    for (int64_t j = 0; j < H; j++)
        for (int64_t k = 0; k < columns; k++) vector[k] += (double)matrix[j * columns + k] * (double)rows[j];
}

/* matrix[H][columns] += rows[H] inputs[columns]^T; inputs NULL: ones. */
static void accumulate(const float *rows, const float *inputs, int64_t H, int64_t columns, float *matrix) {
    for (int64_t j = 0; j < H; j++)
        for (int64_t k = 0; k < columns; k++) matrix[j * columns + k] += rows[j] * (inputs ? inputs[k] : 1);
}

static void add_weights(const program *self, int64_t t, int64_t n, const float *da, const float *dc) {
    const bench_problem *p = self->p;
    const int64_t H = p->shape.H, I = p->shape.I;
    if (self->mistake == LAST_ROW && n == p->shape.N - 1) return;
    if (self->mistake == FIRST_STEP && t == 0) return;
    for (int64_t k = 0; k < 3; k++) {
        const float *recurrent = k == 2 ? dc : da + k * H;
        accumulate(da + k * H, p->x + (t * p->shape.N + n) * I, H, I, p->gradients[BENCH_DW] + k * H * I);
        accumulate(recurrent, state_before(p, t, n), H, H, p->gradients[BENCH_DR] + k * H * H);
        accumulate(da + k * H, NULL, H, 1, p->gradients[BENCH_DBW] + k * H);
        accumulate(recurrent, NULL, H, 1, p->gradients[BENCH_DBR] + k * H);
    }
}

/* dh [H]: of the state that leaves the step, then of the one that enters it. */
static void run_backward(const program *self, int64_t t, int64_t n, double *dh, float *da, double *dx) {
    const bench_problem *p = self->p;
    const int64_t H = p->shape.H, I = p->shape.I, row = t * p->shape.N + n;
    const float *g = gates_of(self, t, n);
    float *dc = da + 3 * H;
    for (int64_t j = 0; j < H; j++) dh[j] += (double)p->dy[row * H + j];
    differentiate_cell(self, t, n, dh, da, dc);
    for (int64_t j = 0; j < H; j++) dh[j] = self->mistake == DIRECT ? 0 : (double)g[H + j] * dh[j];
    memset(dx, 0, (size_t)I * sizeof *dx);
    for (int64_t k = 0; k < 3; k++) {
        if (self->mistake != CARRIED_RESET + k) carry(p->R + k * H * H, k == 2 ? dc : da + k * H, H, H, dh);
        carry(p->W + k * H * I, da + k * H, H, I, dx);
    }
    for (int64_t i = 0; i < I; i++) p->gradients[BENCH_DX][row * I + i] = (float)hold(self, dx[i]);
    add_weights(self, t, n, da, dc);
}

static void run(const program *self) {
    const bench_problem *p = self->p;
    const bench_shape s = p->shape;
    double *dh = malloc((size_t)s.H * sizeof *dh), *dx = malloc((size_t)s.I * sizeof *dx);
    float *da = malloc((size_t)(4 * s.H) * sizeof *da);
    REQUIRE(dh && dx && da, "memory");
    for (int which = BENCH_DW; which < BENCH_GRADIENTS; which++)
        memset(p->gradients[which], 0, (size_t)bench_problem_gradient_count(&s, which) * sizeof(float));
    for (int64_t t = 0; t < s.T; t++)
        for (int64_t n = 0; n < s.N; n++) run_forward(self, t, n);
    memcpy(p->hT, p->y + (s.T - 1) * s.N * s.H, (size_t)(s.N * s.H) * sizeof *p->hT);
    for (int64_t n = 0; n < s.N; n++) {
        memset(dh, 0, (size_t)s.H * sizeof *dh);
        for (int64_t t = s.T - 1; t >= 0; t--) run_backward(self, t, n, dh, da, dx);
        for (int64_t j = 0; j < s.H; j++) p->gradients[BENCH_DH0][n * s.H + j] = (float)dh[j];
    }
    free(dh), free(dx), free(da);
}

static void try_mistake(const bench_problem *p, int mistake) {
    const bench_shape s = p->shape;
    char why[200] = "";
    program self = {p, mistake, malloc((size_t)(s.T * s.N * 4 * s.H) * sizeof(float))};
    REQUIRE(self.gates, "memory");
    bench_problem_clear_outputs(p);
    CHECK(!bench_problem_check(p, why, sizeof why), "NaN passes");
    run(&self);
    const int good = bench_problem_check(p, why, sizeof why);
    CHECK(good == (mistake == NOTHING), "%s, %s: without %s %s %s", s.name, bench_type_names[p->type],
          mistakes[mistake], good ? "passes" : "fails:", good ? "" : why);
    free(self.gates);
}

TEST(bench_gradients, bounds_let_honest_arithmetic_in) {
    const bench_shape shapes[] = {
        {"square", 30, 5, 48, 48, 30}, {"wide", 12, 3, 100, 24, 12}, {"tall", 9, 2, 3, 70, 9}};
    for (int k = 0; k < 3; k++)
        for (int type = 0; type < BENCH_TYPES; type++) {
            bench_problem *p = bench_problem_create(&shapes[k], BENCH_BOTH, GRU_RESET_AFTER, type);
            REQUIRE(p, "no problem");
            for (int mistake = 0; mistake < MISTAKES; mistake++) try_mistake(p, mistake);
            bench_problem_release(p);
        }
}

/* Of a long run the reference knows the first steps only, and the rest must not be seen in the bounds. */
TEST(bench_gradients, later_steps_cannot_be_seen) {
    const bench_shape size = {"long", 3000, 1, 60, 60, 3000};
    for (int type = 0; type < BENCH_TYPES; type++) {
        bench_problem *p = bench_problem_create(&size, BENCH_BOTH, GRU_RESET_AFTER, type);
        REQUIRE(p, "no problem");
        CHECK(p->steps < size.T && p->steps > 1, "%lld steps are judged", (long long)p->steps);
        int ordinary = 0;
        for (int64_t i = 0; i < size.T * size.N * size.H; i++) ordinary += isnormal(p->dy[i]) != 0;
        CHECK(ordinary > size.T * size.N * size.H * 99 / 100, "%d numbers of dy are ordinary", ordinary);
        try_mistake(p, NOTHING);
        try_mistake(p, FIRST_STEP);
        bench_problem_release(p);
    }
}

/* A backward pass alone reads y and may not lose it. */
TEST(bench_gradients, backward_alone_keeps_states) {
    const bench_shape size = {"small", 3, 2, 4, 5, 3};
    bench_problem *p = bench_problem_create(&size, BENCH_BACKWARD, GRU_RESET_AFTER, BENCH_F32);
    REQUIRE(p, "no problem");
    p->y[0] = 7;
    bench_problem_clear_outputs(p);
    CHECK(p->y[0] == 7 && isnan(p->gradients[BENCH_DX][0]) && isnan(p->gradients[BENCH_DBR][0]), "forgotten");
    CHECK(bench_problem_flops(p) == 2 * 6.0 * 5 * 9 * 2 * 3, "%g operations", bench_problem_flops(p));
    bench_problem_release(p);
}
