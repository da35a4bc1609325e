/* test_bench_compare_lstm.c: the LSTM that a GRU is compared with, written a second time, and the table of both. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/bench_problem_check.h"
#include "../../bench/bench_problem_create.h"
#include "../../bench/compare_lstm.h"
#include "support/tester.h"

static float sigmoid(float v) {
    return 1 / (1 + expf(-v));
}

static float sum(const float *matrix, const float *vector, int64_t count, float bias) {
    for (int64_t i = 0; i < count; i++) bias += matrix[i] * vector[i];
    return bias;
}

/* Single precision; order: which rows are i, f, g, o. */
static void run(const bench_problem *p, const int *order) {
    const int64_t H = p->shape.H, I = p->shape.I, N = p->shape.N, T = p->shape.T;
    float *c = calloc((size_t)(N * H), sizeof *c);
    REQUIRE(c, "memory");
    for (int64_t row = 0; row < T * N; row++) {
        const float *h = row < N ? p->h0 + row * H : p->y + (row - N) * H;
        for (int64_t j = 0; j < H; j++) {
            float v[4], *state = &c[row % N * H + j];
            for (int k = 0; k < 4; k++) {
                const int64_t g = order[k] * H + j;
                v[k] = sum(p->R + g * H, h, H, sum(p->W + g * I, p->x + row * I, I, p->bW[g] + p->bR[g]));
            }
            *state = sigmoid(v[1]) * *state + sigmoid(v[0]) * tanhf(v[2]);
            p->y[row * H + j] = sigmoid(v[3]) * tanhf(*state);
        }
    }
    memcpy(p->hT, p->y + (T - 1) * N * H, (size_t)(N * H) * sizeof *p->hT);
    free(c);
}

TEST(bench_compare, only_an_lstm_passes_for_one) {
    static const int orders[][4] = {{0, 1, 2, 3}, {1, 0, 2, 3}, {0, 1, 3, 2}, {3, 1, 2, 0}};
    const bench_shape size = {"small", 9, 3, 20, 30, 9};
    char why[200] = "";
    bench_problem *p = bench_problem_create_lstm(&size, BENCH_F32);
    REQUIRE(p, "no problem");
    for (int k = 0; k < 4; k++) {
        bench_problem_clear_outputs(p);
        CHECK(!bench_problem_check(p, why, sizeof why), "NaN passes");
        run(p, orders[k]);
        const int good = bench_problem_check(p, why, sizeof why);
        CHECK(good == (k == 0), "order %d: %s", k, good ? "passes" : why);
    }
    bench_problem_release(p);
}

static void nothing(void *state) {
    (void)state;
}

/* Times are given, so that every column is known. */
TEST(bench_compare, table_of_both) {
    static const bench_candidate ours = {.name = "ours", .release = nothing},
                                 theirs = {.name = "theirs", .release = nothing};
    const bench_shape size = {"small", 2, 3, 4, 5, 2};
    bench_case *this_case = calloc(1, sizeof *this_case);
    FILE *json = tmpfile();
    char text[2000] = "";
    REQUIRE(this_case && json, "memory");
    this_case->entries[0] = (bench_entry){&ours, BENCH_ENGINE, {.shape = size, .threads = 1}};
    this_case->entries[1] =
        (bench_entry){&theirs, BENCH_PEER, {.shape = size, .layer = BENCH_LSTM, .threads = 1}};
    this_case->timings[0] = (bench_timing){.name = "ours", .median = 1e-6, .count = 5};
    this_case->timings[1] = (bench_timing){.name = "theirs", .median = 3e-6, .count = 5};
    this_case->count = 2;
    CHECK(bench_compare_lstm_parameters(&this_case->entries[0].problem) == 3 * (5 * 4 + 5 * 5 + 5) + 5,
          "GRU");
    CHECK(bench_compare_lstm_parameters(&this_case->entries[1].problem) == 4 * (5 * 4 + 5 * 5 + 5), "LSTM");
    CHECK(bench_compare_lstm_report(this_case, json) == 2, "rows");
    rewind(json);
    text[fread(text, 1, sizeof text - 1, json)] = 0;
    (void)fclose(json);
    CHECK(strstr(text, "\"layer\": \"GRU\"") && strstr(text, "\"gates\": 3, \"parameters\": 155, "
                                                             "\"flops_per_step\": 810, \"us_per_step\": 0.5, "
                                                             "\"x_lstm\": 3,"),
          "%s", text);
    CHECK(strstr(text, "\"layer\": \"LSTM\"") &&
              strstr(text, "\"gates\": 4, \"parameters\": 200, "
                           "\"flops_per_step\": 1080, \"us_per_step\": 1.5, "
                           "\"x_lstm\": 1,"),
          "%s", text);
    free(this_case);
}
