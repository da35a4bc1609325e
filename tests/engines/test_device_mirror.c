/* test_device_mirror.c: runs through copies of the buffers give the same bits, use the context's memory, and bring everything back. */
#define _POSIX_C_SOURCE 200112L /* setenv */
#include <stdlib.h>
#include <string.h>

#include "support/device_mirror.h"
#include "support/ledger.h"
#include "support/problem.h"

static gru_context *counted_context(ledger *l) {
    gru_context_config config = GRU_INIT;
    gru_context *context = NULL;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 1;
    config.allocator = ledger_allocator(l);
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    return context;
}

/* Buffers that an inference run with these options points to: x, y, workspace; in place h0 and hT are one. */
enum { BUFFERS_OF_ANY = 3 };
static const struct {
    uint32_t options;
    int buffers; /* apart from these */
} runs[] = {
    {PROBLEM_H0, 2},
    {PROBLEM_H0 | PROBLEM_IN_PLACE, 1},
    {PROBLEM_H0 | PROBLEM_LENGTHS | PROBLEM_SEGMENTS | PROBLEM_H_RESET | PROBLEM_ATTENTION, 6},
    {PROBLEM_H0 | PROBLEM_SLOTS | PROBLEM_STRIDES, 4},
    {PROBLEM_H0 | PROBLEM_TRAIN | PROBLEM_STRIDES, 3},
    {PROBLEM_H0 | PROBLEM_PACKED, 3},
};

TEST(device_mirror, copies_of_all_buffers_and_the_same_bits) {
    const shape sizes = {5, 3, 7, 19, "small"};
    const gru_layer_config config = GRU_INIT;
    ledger l = LEDGER_INIT;
    gru_context *context = counted_context(&l);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        problem *p = problem_make(&sizes, &config, runs[i].options, 1);
        result plain, mirrored;
        unsetenv("GRU_TEST_MIRROR");
        problem_run(p, context, &plain);
        setenv("GRU_TEST_MIRROR", "1", 1);
        REQUIRE(problem_open(p, context, &mirrored) == GRU_OK, "%s", gru_last_error());
        const ledger before = l;
        REQUIRE(problem_call(p, &mirrored) == GRU_OK, "%s", gru_last_error());
        CHECK(l.asked - before.asked == BUFFERS_OF_ANY + runs[i].buffers, "%ld copies, expected %d: %s",
              l.asked - before.asked, BUFFERS_OF_ANY + runs[i].buffers, p->text);
        CHECK(l.blocks == before.blocks, "%ld copies were not given back: %s", l.blocks - before.blocks,
              p->text);
        check_same_bits(p, "y", plain.y, mirrored.y);
        check_same_bits(p, "hT", plain.hT, mirrored.hT);
        result_free(&plain), result_free(&mirrored);
        problem_free(p);
    }
    unsetenv("GRU_TEST_MIRROR");
    gru_context_release(context);
}

/* Sentences about a run's sizes and alignment are those of the run as it was given. */
TEST(device_mirror, misalignment_is_kept) {
    const shape sizes = {5, 3, 7, 19, "small"};
    const gru_layer_config config = GRU_INIT;
    gru_context *context = tester_context(NULL, 1);
    problem *p = problem_make(&sizes, &config, 0, 1);
    result r;
    problem_run(p, context, &r);
    gru_run run = r.run;
    setenv("GRU_TEST_MIRROR", "1", 1);
    run.x.data = (const char *)run.x.data + 1;
    CHECK(device_mirror_forward(r.layer, &run) == GRU_BAD_ARGUMENT && strstr(gru_last_error(), "run.x is"),
          "a misaligned x: \"%s\"", gru_last_error());
    unsetenv("GRU_TEST_MIRROR");
    result_free(&r);
    problem_free(p);
    gru_context_release(context);
}
