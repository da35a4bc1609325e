/* test_float_mode.c: the floating-point mode that the caller has when it calls holds on all threads. */
#include <fenv.h>
#include <string.h>

#include "cpu/cpu_float_mode.h"
#include "meeting.h"
#include "support/problem.h"
#include "support/properties.h"

#if defined(__x86_64__)
enum { FLUSH = 0x8040 }; /* FTZ and DAZ of MXCSR */
#else
enum { FLUSH = 1 << 24 }; /* FZ of FPCR */
#endif

static void see_mode(void *modes, int32_t index) {
    ((gru_float_mode *)modes)[index] = gru_float_mode_get();
}

TEST(float_mode, travels_with_each_call) {
#if !defined(__x86_64__) && !defined(__aarch64__)
    SKIP("no floating-point mode is known here");
#endif
    gru_context *context = tester_context("cpu_scalar", 2);
    const gru_float_mode usual = gru_float_mode_get();
    gru_float_mode of[2];
    gru_float_mode_set(usual | FLUSH);
    (void)fesetround(FE_UPWARD);
    const gru_float_mode unusual = gru_float_mode_get();
    meet(context, see_mode, of);
    const gru_float_mode after = gru_float_mode_get();
    (void)fesetround(FE_TONEAREST);
    gru_float_mode_set(usual);
    CHECK(unusual != usual, "the mode of this thread could not be changed");
    CHECK(of[0] == unusual && of[1] == unusual, "modes %llx and %llx, expected %llx",
          (unsigned long long)of[0], (unsigned long long)of[1], (unsigned long long)unusual);
    CHECK(after == unusual, "the call changed its caller's mode");
    meet(context, see_mode, of);
    CHECK(of[1] == usual, "the mode of an earlier call stayed");
    gru_context_release(context);
}

/* Numbers so small that the cell meets subnormal ones: with FTZ and DAZ other bits than without. */
static problem *small_problem(const shape *sizes, int32_t reset_mode) {
    const gru_layer_config config = {.reset_mode = reset_mode, .candidate = GRU_CANDIDATE_LINEAR};
    problem *p = problem_make(sizes, &config, PROBLEM_TRAIN, 1);
    const size_t count = (size_t)(sizes->T * sizes->N * sizes->I);
    float *x = (float *)(uintptr_t)p->run.x.data;
    for (size_t i = 0; i < count; i++) x[i] *= 1e-38f;
    return p;
}

static void compare_threads(const char *engine, const shape *sizes, int32_t reset_mode) {
    problem *p = small_problem(sizes, reset_mode);
    gru_context *alone = tester_context(engine, 1), *two = tester_context(engine, 2);
    const gru_float_mode usual = gru_float_mode_get();
    result plain, one, many;
    problem_run(p, two, &plain);
    gru_float_mode_set(usual | FLUSH);
    (void)fesetround(FE_DOWNWARD);
    problem_run(p, alone, &one);
    for (int i = 0; i < 2; i++) {
        problem_run(p, two, &many);
        check_same_results(p, &one, &many);
        result_free(&many);
    }
    (void)fesetround(FE_TONEAREST);
    gru_float_mode_set(usual);
    CHECK(memcmp(one.y, plain.y, (size_t)(sizes->T * sizes->N * sizes->H) * sizeof(float)) != 0,
          "the mode changes no bit, so nothing was compared: %s", p->text);
    result_free(&plain), result_free(&one);
    gru_context_release(alone), gru_context_release(two);
    problem_free(p);
}

ENGINE_TEST(float_mode, bits_of_one_thread) {
    ONLY_ON_THE_CPU(engine);
    if (strcmp(engine, "cpu_reference") == 0) SKIP("%s runs on one thread", engine);
    const shape rows = {2, 32, 24, 129, "rows for two threads"},
                units = {5, 3, 33, 255, "units for two threads"};
    for (int reset = 0; reset < 3; reset++) {
        compare_threads(engine, &rows, reset);
        compare_threads(engine, &units, reset);
    }
}
