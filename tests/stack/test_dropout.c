/* test_dropout.c: the numbers that dropout draws, and stacks that train with it. */
#include "core/dropout.h"

#include <math.h>
#include <string.h>

#include "core/engine.h"
#include "support/device_mirror.h"
#include "support/stack_fixture.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

/* From the file kat_vectors of Random123, the generator's own library: counter, key, words. */
TEST(dropout, generator_gives_the_published_words) {
    static const struct {
        gru_philox_words counter;
        uint64_t key;
        gru_philox_words words;
    } known[] = {
        {{{0, 0, 0, 0}}, 0, {{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}}},
        {{{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}},
         0xffffffffffffffffu,
         {{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}}},
        {{{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}},
         0x299f31d0a4093822u,
         {{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}}},
    };
    for (int k = 0; k < COUNT(known); k++) {
        const gru_philox_words words = gru_philox(known[k].counter, known[k].key);
        CHECK(memcmp(&words, &known[k].words, sizeof words) == 0, "words %d: %08x %08x %08x %08x", k,
              words.word[0], words.word[1], words.word[2], words.word[3]);
    }
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

enum { STEPS = 40, ROWS = 24, WIDTH = 103 };

/* A tensor of ones, dropped. */
static void draw(gru_context *context, float rate, uint64_t seed, uint64_t offset, int32_t layer,
                 float *data) {
    const uint64_t seeds[2] = {seed, offset};
    const gru_dropout dropout = {GRU_F32, STEPS, ROWS,  WIDTH, {data, ROWS * WIDTH, WIDTH},
                                 rate,    layer, seeds, NULL};
    for (int i = 0; i < STEPS * ROWS * WIDTH; i++) data[i] = 1;
    REQUIRE(context->backend->apply_dropout(context, &dropout, NULL) == GRU_OK, "%s", gru_last_error());
}

/* Of trials that succeed with a probability: within five standard deviations, which one set in two million exceeds. */
static void check_share(const char *what, float rate, int64_t successes, int64_t trials, double probability) {
    const double expected = probability * (double)trials;
    const double deviation = sqrt(expected * (1 - probability));
    CHECK(fabs((double)successes - expected) <= 5 * deviation, "rate %g, %s: %lld of %lld, expected %g +- %g",
          (double)rate, what, (long long)successes, (long long)trials, expected, deviation);
}

/* Pairs of numbers `apart` places from each other that were dropped both or kept both. */
static void check_pairs(const char *what, float rate, const float *a, const float *b, int64_t count) {
    int64_t same = 0;
    for (int64_t i = 0; i < count; i++) same += (a[i] == 0) == (b[i] == 0);
    check_share(what, rate, same, count, (double)rate * rate + (1 - (double)rate) * (1 - (double)rate));
}

TEST(dropout, drops_each_number_by_itself_with_the_probability_asked_for) {
    static const float rates[] = {0.01f, 0.25f, 0.5f, 0.9f};
    static float a[STEPS * ROWS * WIDTH], b[STEPS * ROWS * WIDTH];
    const int64_t count = COUNT(a);
    gru_context *context = tester_context(NULL, 1);
    for (int k = 0; k < COUNT(rates); k++) {
        const float rate = rates[k], kept = (float)(1 / (1 - (double)rate));
        int64_t dropped = 0, others = 0;
        draw(context, rate, 1, 0, 0, a);
        for (int64_t i = 0; i < count; i++) {
            dropped += a[i] == 0;
            others += a[i] != 0 && a[i] != kept;
        }
        CHECK(others == 0, "rate %g: %lld numbers are neither 0 nor %.9g", (double)rate, (long long)others,
              (double)kept);
        check_share("dropped", rate, dropped, count, rate);
        check_pairs("units side by side", rate, a, a + 1, count - 1);
        check_pairs("sequences side by side", rate, a, a + WIDTH, count - WIDTH);
        check_pairs("steps one after the other", rate, a, a + ROWS * WIDTH, count - ROWS * WIDTH);
        draw(context, rate, 1, 0, 1, b);
        check_pairs("layers", rate, a, b, count);
        draw(context, rate, 1, 0, 64, b);
        check_pairs("layers 64 apart", rate, a, b, count);
        draw(context, rate, 1, 0, 1 << 30, b);
        check_pairs("layers 2^30 apart", rate, a, b, count);
        draw(context, rate, 2, 0, 0, b);
        check_pairs("seeds", rate, a, b, count);
        draw(context, rate, (uint64_t)1 << 32 | 1, 0, 0, b);
        check_pairs("seeds apart in the upper half", rate, a, b, count);
        draw(context, rate, 1, ROWS, 0, b);
        check_pairs("batches", rate, a, b, count);
    }
    gru_context_release(context);
}

/* Layers, times and rows that are the same in their lower bits. */
TEST(dropout, every_position_has_numbers_of_its_own) {
    static const int32_t layers[] = {0, 1, 63, 64, 65, 128, 1 << 25, INT32_MAX};
    static const int64_t times[] = {0, 1, INT64_C(1) << 31, INT64_C(1) << 32, INT64_C(1) << 38, INT64_MAX};
    static const uint64_t seed[2] = {5, 0};
    gru_philox_words words[COUNT(layers) * COUNT(times)];
    for (int i = 0; i < COUNT(words); i++)
        words[i] = gru_dropout_numbers(seed, layers[i % COUNT(layers)], times[i / COUNT(layers)], 7, 3);
    for (int i = 0; i < COUNT(words); i++)
        for (int j = 0; j < i; j++)
            CHECK(memcmp(&words[i], &words[j], sizeof *words) != 0,
                  "layer %d at %lld draws what layer %d draws at %lld", layers[i % COUNT(layers)],
                  (long long)times[i / COUNT(layers)], layers[j % COUNT(layers)],
                  (long long)times[j / COUNT(layers)]);
    /* below 64 and 2^32 the position alone is the counter, as in files of trained seeds */
    const gru_philox_words position = {{(63u << 26) + 3, 9, 7, 0}}, plain = gru_philox(position, 5),
                           drawn = gru_dropout_numbers(seed, 63, 9, 7, 3);
    CHECK(memcmp(&plain, &drawn, sizeof plain) == 0, "layer 63 draws other numbers than before");
}

TEST(dropout, also_drops_what_is_not_a_number) {
    float data[8] = {NAN, INFINITY, NAN, NAN, -INFINITY, NAN, NAN, NAN};
    const uint64_t seed[2] = {3, 0};
    const gru_dropout dropout = {GRU_F32, 1, 1, 8, {data, 8, 8}, 0.75f, 0, seed, NULL};
    gru_context *context = tester_context(NULL, 1);
    int dropped = 0, wild = 0;
    REQUIRE(context->backend->apply_dropout(context, &dropout, NULL) == GRU_OK, "%s", gru_last_error());
    for (int i = 0; i < 8; i++) dropped += data[i] == 0, wild += !isfinite(data[i]);
    CHECK(dropped > 0 && dropped + wild == 8, "%d dropped, %d not finite, of 8", dropped, wild);
    gru_context_release(context);
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

static const layer_spec concat[] = {{.hidden = 7, .bidirectional = 1},
                                    {.hidden = 5, .direction = GRU_REVERSE},
                                    {.hidden = 4, .bidirectional = 1}};
static const layer_spec sum[] = {{.hidden = 9, .bidirectional = 1, .merge = GRU_MERGE_SUM},
                                 {.hidden = 5, .bidirectional = 1, .merge = GRU_MERGE_SEPARATE}};
static const struct stack_spec {
    const char *name;
    const layer_spec *specs;
    int32_t count;
} stacks[] = {{"concatenated", concat, COUNT(concat)}, {"added", sum, COUNT(sum)}};

static const stack_fixture_sizes training = {
    .T = 5, .N = 4, .I = 3, .lengths = 1, .mode = GRU_TRAIN, .dropout = 0.4f};

static void forward(stack_fixture *fixture) {
    REQUIRE(device_mirror_stack_forward(fixture->stack, &fixture->run) == GRU_OK, "%s", gru_last_error());
}

/* Its sublayers one by one, with the same numbers dropped in between: the same bits, and others than without dropout. */
static void compare_by_hand(gru_context *context, const struct stack_spec *spec, stack_fixture_sizes sizes) {
    stack_fixture_sizes without = sizes;
    without.dropout = 0;
    stack_fixture *fixture = stack_fixture_make(context, spec->specs, spec->count, sizes),
                  *plain = stack_fixture_make(context, spec->specs, spec->count, without);
    stack_fixture_outputs hand;
    stack_fixture_run_sublayers(fixture, &hand);
    forward(fixture), forward(plain);
    stack_fixture_check(fixture, spec->name, &hand);
    CHECK(memcmp(fixture->y, plain->y, stack_fixture_y_count(fixture) * stack_fixture_io_bytes(fixture)) != 0,
          "%s: dropout changed nothing", spec->name);
    stack_fixture_free(fixture), stack_fixture_free(plain);
}

ENGINE_TEST(dropout, lies_between_the_layers) {
    gru_context *context = tester_context(engine, 1);
    for (int i = 0; i < COUNT(stacks); i++) {
        stack_fixture_sizes sizes = training;
        compare_by_hand(context, &stacks[i], sizes);
        sizes.mode = GRU_TRAIN_RECOMPUTE;
        compare_by_hand(context, &stacks[i], sizes);
        sizes.type = GRU_F16;
        compare_by_hand(context, &stacks[i], sizes);
        sizes.type = GRU_BF16;
        compare_by_hand(context, &stacks[i], sizes);
    }
    gru_context_release(context);
}

TEST(dropout, lies_between_the_layers_in_f64) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture_sizes sizes = training;
    sizes.type = GRU_F64;
    for (int i = 0; i < COUNT(stacks); i++) compare_by_hand(context, &stacks[i], sizes);
    gru_context_release(context);
}

/* Rows 2 and 3 of a batch of four, run alone with the offset of row 2. */
TEST(dropout, does_not_depend_on_how_a_batch_is_cut) {
    gru_context *context = tester_context(NULL, 1);
    stack_fixture_sizes sizes = training;
    sizes.lengths = 0;
    for (int i = 0; i < COUNT(stacks); i++) {
        stack_fixture *whole = stack_fixture_make(context, stacks[i].specs, stacks[i].count, sizes);
        forward(whole);
        float *expected = tester_copy(whole->y, stack_fixture_y_count(whole) * sizeof(float));
        const int64_t row = whole->outputs, I = sizes.I;
        const void *h0[STACK_FIXTURE_SUBLAYERS];
        void *hT[STACK_FIXTURE_SUBLAYERS];
        for (int32_t k = 0; k < whole->sublayers; k++) {
            h0[k] = (float *)whole->h0[k] + 2 * whole->configs[k].hidden;
            hT[k] = (float *)whole->hT[k] + 2 * whole->configs[k].hidden;
        }
        gru_run *data = &whole->run.data;
        data->N = 2;
        data->x = (gru_const_view){(float *)whole->x + 2 * I, 4 * I, I};
        data->y = (gru_view){(float *)whole->y + 2 * row, 4 * row, row};
        whole->run.y_reverse.data = NULL;
        whole->run.h0 = h0, whole->run.hT = hT;
        whole->dropout_seed[1] += 2;
        forward(whole);
        CHECK(memcmp(whole->y, expected, stack_fixture_y_count(whole) * sizeof(float)) == 0,
              "%s: rows 2 and 3 alone lost other numbers", stacks[i].name);
        whole->dropout_seed[1] -= 1;
        forward(whole);
        CHECK(memcmp(whole->y, expected, stack_fixture_y_count(whole) * sizeof(float)) != 0,
              "%s: another offset changed nothing", stacks[i].name);
        tester_free(expected);
        stack_fixture_free(whole);
    }
    gru_context_release(context);
}

TEST(dropout, has_no_part_in_inference) {
    gru_context *context = tester_context(NULL, 1);
    for (int i = 0; i < COUNT(stacks); i++) {
        stack_fixture_sizes sizes = training;
        sizes.mode = GRU_INFERENCE;
        stack_fixture *fixture = stack_fixture_make(context, stacks[i].specs, stacks[i].count, sizes);
        sizes.dropout = 0;
        stack_fixture *plain = stack_fixture_make(context, stacks[i].specs, stacks[i].count, sizes);
        forward(fixture), forward(plain);
        CHECK(memcmp(fixture->y, plain->y, stack_fixture_y_count(fixture) * sizeof(float)) == 0,
              "%s: y differs", stacks[i].name);
        stack_fixture_free(fixture), stack_fixture_free(plain);
    }
    gru_context_release(context);
}

/* What is dropped with the threads of a context is what is dropped with one. */
TEST(dropout, does_not_depend_on_threads) {
    for (int i = 0; i < COUNT(stacks); i++) {
        gru_context *contexts[2] = {tester_context(NULL, 1), tester_context(NULL, 3)};
        stack_fixture *fixture[2];
        for (int k = 0; k < 2; k++) {
            fixture[k] = stack_fixture_make(contexts[k], stacks[i].specs, stacks[i].count, training);
            forward(fixture[k]);
        }
        CHECK(memcmp(fixture[0]->y, fixture[1]->y, stack_fixture_y_count(fixture[0]) * sizeof(float)) == 0,
              "%s: y differs", stacks[i].name);
        for (int k = 0; k < 2; k++) stack_fixture_free(fixture[k]), gru_context_release(contexts[k]);
    }
}
