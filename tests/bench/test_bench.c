/* test_bench.c: the benchmark's own decisions: types and their rounding, which candidates are timed, when the GPU is faster. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/bench_problem_check.h"
#include "../../bench/bench_problem_create.h"
#include "../../bench/break_even.h"
#include "../../bench/bench_case.h"
#include "../../bench/bench_engines.h"
#include "../../bench/measure.h"
#include "../../bench/bench_options.h"
#include "support/tester.h"

/* ---- numbers --------------------------------------------------------------------------------------------------- */

TEST(bench_number, every_half_survives) {
    for (int type = BENCH_F16; type <= BENCH_BF16; type++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            const uint16_t half = (uint16_t)bits;
            uint16_t again;
            float wide;
            bench_type_widen(&half, 1, type, &wide);
            bench_type_narrow(&wide, 1, type, &again);
            if (isnan(wide))
                CHECK((again & 0x7fff) > (type == BENCH_F16 ? 0x7c00 : 0x7f80), "%s %x: NaN became %x",
                      bench_type_names[type], bits, again);
            else
                CHECK(again == half, "%s %x became %x", bench_type_names[type], bits, again);
        }
}

/* Between neighbours the nearer one is taken, and in the middle the even one. */
TEST(bench_number, rounds_to_nearest_even) {
    for (int type = BENCH_F16; type <= BENCH_BF16; type++)
        for (uint16_t half = 0; half < (type == BENCH_F16 ? 0x7bff : 0x7f7f); half++) {
            const uint16_t pair[2] = {half, (uint16_t)(half + 1)};
            float ends[2];
            uint16_t got[3];
            bench_type_widen(pair, 2, type, ends);
            const float middle = ends[0] + (ends[1] - ends[0]) / 2;
            const float tries[3] = {nextafterf(middle, 0), middle, nextafterf(middle, INFINITY)};
            bench_type_narrow(tries, 3, type, got);
            const uint16_t even = half % 2 ? pair[1] : half;
            CHECK((got[0] == half || middle == 0) && got[1] == even && got[2] == pair[1], "%s %x: %x %x %x",
                  bench_type_names[type], half, got[0], got[1], got[2]);
        }
}

/* ---- command line ---------------------------------------------------------------------------------------------- */

static int parse(bench_options *options, const char *name, const char *value) {
    char program[] = "gru_bench", option[40], given[200];
    (void)snprintf(option, sizeof option, "--%s", name);
    (void)snprintf(given, sizeof given, "%s", value);
    char *arguments[] = {program, option, given, NULL};
    optind = 0; /* from the start again */
    return bench_options_parse(3, arguments, options);
}

TEST(bench_options, types) {
    bench_options *options = malloc(sizeof *options);
    REQUIRE(options, "memory");
    CHECK(parse(options, "type", "bf16,f32") == 1 && options->type_count == 2, "%d types",
          options->type_count);
    CHECK(options->types[0] == BENCH_BF16 && options->types[1] == BENCH_F32, "in this order");
    CHECK(parse(options, "seconds", "1") == 1 && options->type_count == 1 && options->types[0] == BENCH_F32,
          "f32 alone without it");
    CHECK(parse(options, "type", "f8") == -1 && parse(options, "type", "f32,") == -1 &&
              parse(options, "type", "f32,f32,f32,f32,f32,f32") == -1,
          "refused");
    CHECK(parse(options, "weights", "bf16,int8") == 1 && options->weights_count == 2 &&
              options->weights[0] == BENCH_WEIGHTS_BF16 && options->weights[1] == BENCH_WEIGHTS_INT8,
          "weights");
    CHECK(parse(options, "weights", "same") == -1 && parse(options, "weights", "int4") == -1, "refused");
    CHECK(parse(options, "stage", "streaming,recurrence") == 1 && options->stage_count == 2 &&
              options->stages[0] == BENCH_STREAMING && options->stages[1] == BENCH_RECURRENCE,
          "stages");
    free(options);
}

/* ---- who is let in --------------------------------------------------------------------------------------------- */

typedef struct habits { /* of a candidate that rounds to 16 bits wherever it may */
    int swapped_gates, no_bias;
} habits;

static float rounded(double value, int type) {
    float number = (float)value;
    bench_type_round(&number, 1, type);
    return number;
}

static double sigmoid(double v) {
    return 1 / (1 + exp(-v));
}

static double sum(const float *matrix, const float *vector, int64_t count, double bias) {
    for (int64_t i = 0; i < count; i++) bias += (double)matrix[i] * (double)vector[i];
    return bias;
}

/* One unit's next state; h holds the type's numbers, and so do both sums. */
static float next_state(const bench_problem *p, const habits *how, const float *x, const float *h,
                        int64_t j) {
    const int64_t H = p->shape.H, I = p->shape.I;
    double a[3], c[3];
    for (int64_t g = 0; g < 3; g++) {
        const int64_t row = g * H + j;
        a[g] = (double)rounded(sum(p->W + row * I, x, I, p->bW[row]), p->type);
        c[g] = (double)rounded(sum(p->R + row * H, h, H, how->no_bias ? 0 : p->bR[row]), p->type);
    }
    const int reset = how->swapped_gates, update = !reset;
    const double r = sigmoid(a[reset] + c[reset]), z = sigmoid(a[update] + c[update]);
    return rounded((1 - z) * tanh(a[2] + r * c[2]) + z * (double)h[j], p->type);
}

static void run(const bench_problem *p, const habits *how) {
    const bench_shape s = p->shape;
    for (int64_t t = 0; t < s.T; t++)
        for (int64_t n = 0; n < s.N; n++) {
            const float *h = t ? p->y + ((t - 1) * s.N + n) * s.H : p->h0 + n * s.H;
            for (int64_t j = 0; j < s.H; j++)
                p->y[(t * s.N + n) * s.H + j] = next_state(p, how, p->x + (t * s.N + n) * s.I, h, j);
        }
    memcpy(p->hT, p->y + (s.T - 1) * s.N * s.H, (size_t)(s.N * s.H) * sizeof *p->hT);
}

static int passes(const bench_shape *size, int type, const habits *how) {
    char why[200] = "";
    bench_problem *problem = bench_problem_create(size, BENCH_FORWARD, GRU_RESET_AFTER, type);
    REQUIRE(problem, "no problem");
    bench_problem_clear_outputs(problem);
    CHECK(!bench_problem_check(problem, why, sizeof why), "NaN passes");
    run(problem, how);
    const int good = bench_problem_check(problem, why, sizeof why);
    bench_problem_release(problem);
    return good;
}

/* Of all that a type may round, everything is rounded: such arithmetic must pass, other equations must not. */
TEST(bench_problem, bounds_let_honest_arithmetic_in) {
    const bench_shape shapes[] = {
        {"square", 60, 5, 64, 64, 60}, {"wide", 30, 3, 200, 24, 30}, {"tall", 20, 2, 3, 130, 20}};
    const habits honest = {0, 0}, swapped = {1, 0}, biasless = {0, 1};
    for (int k = 0; k < 3; k++)
        for (int type = BENCH_F16; type <= BENCH_BF16; type++) {
            CHECK(passes(&shapes[k], type, &honest), "%s %s", shapes[k].name, bench_type_names[type]);
            CHECK(!passes(&shapes[k], type, &swapped), "%s %s: swapped gates pass", shapes[k].name,
                  bench_type_names[type]);
            CHECK(!passes(&shapes[k], type, &biasless), "%s %s: without bR passes", shapes[k].name,
                  bench_type_names[type]);
        }
}

/* A state in f32 belongs to a y that is its rounding, and to no other. */
TEST(bench_problem, states_may_keep_more_digits) {
    const bench_shape size = {"small", 3, 2, 4, 5, 3};
    const habits honest = {0, 0};
    char why[200];
    bench_problem *problem = bench_problem_create(&size, BENCH_FORWARD, GRU_RESET_AFTER, BENCH_BF16);
    REQUIRE(problem, "no problem");
    run(problem, &honest);
    problem->hT[3] *= 1.0001f;
    CHECK(bench_problem_check(problem, why, sizeof why), "%s", why);
    problem->hT[3] *= 1.01f;
    CHECK(!bench_problem_check(problem, why, sizeof why) && strstr(why, "hT"), "%s", why);
    bench_problem_release(problem);
}

/* Engines run in memory of their own and bring back what they made, in each type. */
TEST(bench_library, engines_collect_what_they_made) {
    static bench_candidate engines[BENCH_ENGINES];
    const bench_shape size = {"small", 4, 3, 5, 7, 4};
    char why[BENCH_WHY] = "";
    REQUIRE(bench_engines_find("cpu_reference", NULL, 0, engines) == 1, "one row");
    for (int type = 0; type < BENCH_TYPES; type++) {
        bench_problem *problem = bench_problem_create(&size, BENCH_FORWARD, GRU_RESET_AFTER, type);
        REQUIRE(problem, "no problem");
        void *state = engines[0].prepare(&engines[0], problem, why);
        CHECK(!state == (type == BENCH_TF32) && !*why, "%s: %s", bench_type_names[type], why);
        bench_problem_clear_outputs(problem);
        if (state) {
            engines[0].collect(state);
            CHECK(!bench_problem_check(problem, why, sizeof why), "passes before it ran");
            engines[0].run(state);
            engines[0].collect(state);
            CHECK(bench_problem_check(problem, why, sizeof why), "%s: %s", bench_type_names[type], why);
            engines[0].release(state);
        }
        *why = 0;
        bench_problem_release(problem);
    }
}

/* Rows with weights of fewer bits: right within their unit and wrong without it, for problems of f32 alone. */
TEST(bench_library, engines_hold_weights_in_fewer_bits) {
    static const int weights[] = {BENCH_WEIGHTS_BF16, BENCH_WEIGHTS_BF16_PRODUCTS, BENCH_WEIGHTS_INT8};
    static bench_candidate engines[BENCH_ENGINES];
    const bench_shape size = {"small", 4, 3, 50, 70, 4};
    char why[BENCH_WHY] = "";
    REQUIRE(bench_engines_find("cpu_scalar", weights, 3, engines) == 4, "four rows");
    CHECK(strcmp(engines[3].name, "cpu_scalar int8") == 0, "%s", engines[3].name);
    for (int row = 1; row < 4; row++) {
        bench_problem *problem = bench_problem_create(&size, BENCH_FORWARD, GRU_RESET_AFTER, BENCH_F32);
        bench_problem *half = bench_problem_create(&size, BENCH_FORWARD, GRU_RESET_AFTER, BENCH_F16);
        REQUIRE(problem && half, "no problem");
        void *state = engines[row].prepare(&engines[row], problem, why);
        REQUIRE(state, "%s", why);
        engines[row].run(state);
        engines[row].collect(state);
        CHECK(!bench_problem_check(problem, why, sizeof why), "the weights were not rounded");
        problem->weights_unit = bench_weights_unit(engines[row].weights);
        CHECK(bench_problem_check(problem, why, sizeof why), "%s", why);
        CHECK(!engines[row].prepare(&engines[row], half, why), "only problems of f32");
        engines[row].release(state);
        bench_problem_release(problem), bench_problem_release(half);
    }
}

/* A device with its own memory, which computes only when it is waited for. */
typedef struct late_device {
    const bench_problem *problem;
    float *y; /* [T][N][H] */
    int waiting, wrong;
} late_device;

static void *prepare_late(const bench_candidate *self, const bench_problem *problem, char *why) {
    late_device *device = calloc(1, sizeof *device);
    (void)why;
    device->problem = problem, device->wrong = self->variant;
    device->y = calloc((size_t)(problem->shape.T * problem->shape.N * problem->shape.H), sizeof *device->y);
    return device;
}

static void run_late(void *opaque) {
    late_device *device = opaque;
    device->waiting = 1;
}

static void wait_late(void *opaque) {
    late_device *device = opaque;
    const bench_shape s = device->problem->shape;
    for (int64_t i = 0; device->waiting && i < device->problem->steps * s.N * s.H; i++)
        device->y[i] = (float)device->problem->reference[i] + (device->wrong && i == 0 ? 0.01f : 0);
    device->waiting = 0;
}

static void collect_late(void *opaque) {
    const late_device *device = opaque;
    const bench_shape s = device->problem->shape;
    memcpy(device->problem->y, device->y, (size_t)(s.T * s.N * s.H) * sizeof *device->y);
    memcpy(device->problem->hT, device->y + (s.T - 1) * s.N * s.H, (size_t)(s.N * s.H) * sizeof *device->y);
}

static void release_late(void *opaque) {
    late_device *device = opaque;
    free(device->y), free(device);
}

TEST(bench_case, waits_and_collects_before_it_judges) {
    const bench_shape size = {"small", 4, 3, 5, 7, 4};
    bench_candidate right = {
        .name = "right", .prepare = prepare_late, .run = run_late, .release = release_late};
    right.wait = wait_late, right.collect = collect_late, right.device = BENCH_GPU;
    bench_candidate wrong = right, hasty = right;
    wrong.name = "wrong", wrong.variant = 1;
    hasty.name = "hasty", hasty.wait = NULL; /* its memory still holds zeros */
    bench_case *this_case = calloc(1, sizeof *this_case);
    bench_problem *problem = bench_problem_create(&size, BENCH_FORWARD, GRU_RESET_AFTER, BENCH_F32);
    REQUIRE(this_case && problem, "no problem");
    bench_case_add(this_case, &right, BENCH_ENGINE, problem, INFINITY);
    CHECK(this_case->count == 1 && this_case->wrong == 0, "%d take part, %d are wrong", this_case->count,
          this_case->wrong);
    bench_case_add(this_case, &wrong, BENCH_ENGINE, problem, INFINITY);
    bench_case_add(this_case, &hasty, BENCH_ENGINE, problem, INFINITY);
    CHECK(this_case->count == 1 && this_case->wrong == 2, "%d take part, %d are wrong", this_case->count,
          this_case->wrong);
    CHECK(bench_case_measure_read(this_case, problem, 0, 0.01) && this_case->read_seconds == 0,
          "no CPU, no reading");
    bench_case_clear(this_case);
    bench_problem_release(problem);
    free(this_case);
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

typedef struct queue {
    int64_t waiting, done, waits;
} queue;

static void enqueue(void *opaque) {
    queue *self = opaque;
    self->waiting++;
}

static void finish(void *opaque) {
    queue *self = opaque;
    self->done += self->waiting;
    self->waiting = 0, self->waits++;
}

TEST(bench_measure, samples_end_with_a_wait) {
    queue calls = {0, 0, 0};
    bench_timing *one = calloc(1, sizeof *one);
    REQUIRE(one, "memory");
    one->name = "queue", one->run = enqueue, one->wait = finish, one->state = &calls, one->threads = 1;
    one->once = 1.1e-3;
    CHECK(bench_measure(one, 1, 1e-3, 0), "measured");
    const int64_t samples = one->count + one->repeated;
    CHECK(one->count >= 5 && calls.waiting == 0 && calls.waits == 2 * samples, "%d samples, %lld waits",
          one->count, (long long)calls.waits);
    CHECK(calls.done == samples * 6, "%lld calls in %lld samples: one to warm and five of 1.1 ms",
          (long long)calls.done, (long long)samples);
    free(one);
}

/* ---- break-even ------------------------------------------------------------------------------------------------ */

static bench_break_even_pair pair(int64_t N, int64_t H, double cpu, double gpu) {
    return (bench_break_even_pair){BENCH_FORWARD, BENCH_F32, 0, N, H, cpu, gpu};
}

TEST(bench_break_even, smallest_size_from_which_on_it_wins) {
    const bench_break_even_pair pairs[] = {pair(1, 128, 1, 5),   pair(8, 128, 4, 5), pair(32, 128, 9, 6),
                                           pair(64, 128, 18, 7), pair(1, 256, 6, 5), pair(8, 256, 12, 6),
                                           pair(64, 64, 1, 2),   pair(1, 512, 0, 6), pair(1, 768, 9, 0)};
    const int count = sizeof pairs / sizeof *pairs;
    CHECK(bench_break_even(pairs, count, 1, 128) == 32, "H = 128 from N = 32");
    CHECK(bench_break_even(pairs, count, 1, 256) == 1, "H = 256 from N = 1");
    CHECK(bench_break_even(pairs, count, 1, 64) == 0, "H = 64 nowhere");
    CHECK(bench_break_even(pairs, count, 0, 1) == 256, "N = 1 from H = 256");
    CHECK(bench_break_even(pairs, count, 0, 8) == 256, "N = 8 from H = 256");
    CHECK(bench_break_even(pairs, count, 0, 64) == 128, "N = 64 from H = 128");
}

/* A loss at a larger size takes back the wins below it, and so does one at the same size. */
TEST(bench_break_even, wins_below_a_loss_do_not_count) {
    const bench_break_even_pair gap[] = {pair(1, 8, 2, 1), pair(2, 8, 1, 2), pair(4, 8, 2, 1)};
    const bench_break_even_pair twice[] = {pair(4, 8, 2, 1), pair(4, 8, 1, 2), pair(8, 8, 3, 1)};
    const bench_break_even_pair last[] = {pair(1, 8, 2, 1), pair(2, 8, 1, 1)};
    CHECK(bench_break_even(gap, 3, 1, 8) == 4, "above the gap");
    CHECK(bench_break_even(twice, 3, 1, 8) == 8, "one of two shapes lost");
    CHECK(bench_break_even(last, 2, 1, 8) == 0, "a draw is no win");
}

TEST(bench_break_even, one_sentence_for_each_kind) {
    static bench_break_even_pairs pairs;
    char text[1000] = "";
    FILE *file = tmpfile();
    REQUIRE(file, "no file");
    pairs.list[0] = pair(1, 64, 1, 2), pairs.list[1] = pair(8, 64, 4, 2), pairs.list[2] = pair(8, 128, 0, 2);
    pairs.list[3] = pairs.list[0], pairs.list[3].single = 1, pairs.count = 4;
    bench_break_even_print(&pairs, file);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    (void)fclose(file);
    const char *wanted = "\nBreak-even, forward, f32, sequences: the GPU is faster than the CPU (each by its "
                         "fastest engine) at "
                         "H = 64 from N = 8; at N = 1 nowhere, N = 8 from H = 64.\n"
                         "\nBreak-even, forward, f32, one step: the GPU is faster than the CPU (each by its "
                         "fastest engine) at "
                         "H = 64 nowhere; at N = 1 nowhere.\n";
    CHECK(strcmp(text, wanted) == 0, "printed %s", text);
}
